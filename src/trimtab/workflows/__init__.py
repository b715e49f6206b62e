"""The five loops that cross rooms: intake, release, watch, repair, retrain."""
