"""The serving process: verified models, sticky routes, and predictions that are shipped.

Liftable: it runs alone from its last verified routing table and artifacts.
"""
