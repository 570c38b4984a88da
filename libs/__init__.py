"""Small libraries, each named by its purpose; see libs/README.md."""
