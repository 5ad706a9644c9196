"""Passwords, tokens and cryptography; imports nothing of the project."""
