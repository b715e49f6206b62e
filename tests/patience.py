"""How long a test waits for what has to come: machines differ by a factor of five and more."""

PATIENCE_SECONDS = 300.0
