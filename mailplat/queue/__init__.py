"""Keeps what we have promised to deliver, until each recipient has a final outcome."""
