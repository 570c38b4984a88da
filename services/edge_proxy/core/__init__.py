"""Requests, errors, usage and money of the public API; pure."""
