"""The embeddings format of OpenAI and of the hosts that copy it, Voyage and Jina among them."""
