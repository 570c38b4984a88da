"""Every service as a process of its own on one machine, supervised. See README.md."""
