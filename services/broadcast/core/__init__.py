"""Decisions of broadcast, pure."""
