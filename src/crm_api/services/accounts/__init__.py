"""User accounts: registration, verification, sessions, passwords, profile and export."""
