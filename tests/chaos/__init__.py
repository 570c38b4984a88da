"""Kills processes at random under load and checks the books: `make chaos KILLS=100`."""
