"""GigaChat's chat and embeddings, as the vendor's SDK writes and reads them."""
