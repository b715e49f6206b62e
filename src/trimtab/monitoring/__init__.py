"""Windows over what models did: has the input moved, does the output still hold?"""
