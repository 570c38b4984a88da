"""The event log: one port, three implementations, and the spool in front of it."""
