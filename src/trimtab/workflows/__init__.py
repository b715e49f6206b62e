"""The loops that cross rooms: intake, checks, release, watch, repair, retrain."""
