"""What others need to talk to Trimtab and to check it: shapes, client, ledger verifier."""
