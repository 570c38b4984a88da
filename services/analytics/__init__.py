"""Generation records and daily activity; see README.md."""
