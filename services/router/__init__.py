"""The catalogue and the plan for a request; see README.md."""
