"""What is demanded of each risk tier: strict presets, units in the keys, a digest."""
