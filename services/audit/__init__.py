"""The audit: recomputes the books from their entries; see README.md."""
