"""Releases by canary: exposure that grows step by step, on evidence only."""
