"""Cohere v2 (api.cohere.com/v2), for all hosts that speak it."""
