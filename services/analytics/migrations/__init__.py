"""Numbered SQL files of schema `analytics`."""
