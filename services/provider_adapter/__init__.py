"""Provider wire formats and connections; see README.md."""
