"""Every service in one process; the only shape that imports them all. See README.md."""
