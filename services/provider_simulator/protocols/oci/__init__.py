"""Oracle's own format: signatures, one envelope, three kinds of chat in it, and embeddings."""
