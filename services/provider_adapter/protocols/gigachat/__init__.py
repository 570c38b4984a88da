"""GigaChat's chat: OpenAI's first functions, one call a turn, arguments as objects."""
