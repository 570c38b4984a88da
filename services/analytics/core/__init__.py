"""Decisions of analytics, pure."""
