"""Google Gemini (generativelanguage.googleapis.com/v1beta), for all hosts that speak it."""
