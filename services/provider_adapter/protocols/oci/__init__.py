"""Oracle's own format at OCI Generative AI: one envelope, three kinds of chat in it, and embeddings."""
