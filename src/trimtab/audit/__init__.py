"""Writing is auditing: units of work, the ledger, its proofs, its signed heads."""
