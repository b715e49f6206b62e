"""What other people's programs make of the same two files, each in an environment of its own.

`python -m benchmarks.peers.with_NAME REFERENCE CURRENT [METHOD]` runs in the environment of NAME,
in one thread, and prints one line of JSON: which columns it calls moved, the seconds after its
imports, and the most memory that the process held. `setup.sh` makes the environments;
`benchmarks.drift_peers` runs all of it.
"""
