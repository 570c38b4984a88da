"""Credentials that are not a header alone: signatures, and tokens that expire."""
