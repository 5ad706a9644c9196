"""Contacts, deals and tickets: access rules, reads, searches, updates and idempotent creates."""
