"""Numbered forward-only SQL of schema `key_management`."""
