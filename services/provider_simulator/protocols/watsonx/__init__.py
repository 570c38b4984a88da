"""watsonx.ai's chat: OpenAI's checks and chunks in IBM's envelope."""
