"""Tables of the PostgreSQL event log: numbered, forward only."""
