"""Artifacts: digests, signatures, formats by content, static inspection, scoring.

Liftable: the kernel, the standard library and `cryptography` are enough for everything
but inspecting, signing and running a model, which load their library when called.
"""
