"""Media that callers name by address, fetched for providers that want bytes."""
