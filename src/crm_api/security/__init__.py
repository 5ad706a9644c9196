"""Passwords, tokens, cryptography and networks of clients; imports nothing of the project."""
