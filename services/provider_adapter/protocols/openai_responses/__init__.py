"""OpenAI's Responses as an upstream: items instead of messages, events instead of chunks."""
