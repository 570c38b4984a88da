"""Wire formats of providers, one folder each, pure: bytes in, bytes and facts out."""
