"""The legacy text completions format of OpenAI."""
