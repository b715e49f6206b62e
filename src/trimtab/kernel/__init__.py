"""Words every room shares: ids, clock, verdict, events, errors. Standard library only."""
