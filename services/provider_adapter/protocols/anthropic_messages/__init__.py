"""Anthropic Messages (api.anthropic.com/v1/messages), for all hosts that speak it."""
