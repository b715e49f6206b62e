"""One file for each neighbour."""
