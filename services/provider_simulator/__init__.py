"""A stand-in upstream that speaks real provider wire formats, with dials for latency, errors and cut streams."""
