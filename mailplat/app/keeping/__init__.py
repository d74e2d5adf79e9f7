"""Backups of a house: made while it runs, kept in generations, put back whole or in part."""
