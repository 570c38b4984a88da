"""Calls between services: gRPC sessions over sockets, and the same stubs in one process."""
