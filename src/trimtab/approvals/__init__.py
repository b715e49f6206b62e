"""Who says yes: requests, votes by persons, and what a yes is worth."""
