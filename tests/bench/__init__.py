"""Measurements of the whole product, side by side: `python -m tests.bench`."""
