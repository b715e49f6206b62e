"""The REST interface: one file for each noun that a visitor types."""
