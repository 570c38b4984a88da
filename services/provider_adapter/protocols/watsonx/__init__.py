"""IBM watsonx.ai: the chat format in an envelope of its own."""
