"""Vertex AI: Gemini's and Anthropic's pages under the cloud's paths, with the cloud's rules."""
