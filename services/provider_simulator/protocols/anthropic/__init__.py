"""The wire format of api.anthropic.com/v1."""
