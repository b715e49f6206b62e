"""What other registries hold: connections to them, and one canonical record of each version."""
