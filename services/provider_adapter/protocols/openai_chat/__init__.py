"""The chat completions format of OpenAI and of the many hosts that copy it."""
