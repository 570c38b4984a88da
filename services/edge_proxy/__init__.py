"""The public HTTP door; see README.md."""
