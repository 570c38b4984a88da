"""Cohere v2: chat, embed and rerank."""
