"""Replicate: predictions of official language models, as chat."""
