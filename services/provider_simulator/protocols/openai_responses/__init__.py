"""The wire format of api.openai.com/v1/responses."""
