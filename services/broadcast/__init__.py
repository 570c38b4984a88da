"""Delivery of traces to observability destinations; see README.md."""
