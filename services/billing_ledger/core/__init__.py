"""Pure rules of the ledger: windows, admission, what is charged, books."""
