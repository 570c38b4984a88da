"""One package per service; services never import one another (services/standalone excepted)."""
