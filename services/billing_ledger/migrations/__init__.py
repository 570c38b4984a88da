"""Numbered forward-only SQL of schema `billing_ledger`."""
