"""Accounts and API keys; see README.md."""
