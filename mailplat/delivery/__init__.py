"""Carries a message one hop."""
