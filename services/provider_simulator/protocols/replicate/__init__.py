"""Replicate's predictions of language models: created, streamed, looked at, cancelled."""
