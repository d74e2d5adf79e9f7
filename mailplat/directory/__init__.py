"""Knows the people: domains, accounts, aliases and passwords, kept in the database."""
