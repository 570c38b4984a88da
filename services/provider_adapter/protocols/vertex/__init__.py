"""Google's Vertex AI: Gemini and Claude, each in its own format behind other paths."""
