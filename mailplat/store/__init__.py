"""Keeps delivered mail (the MS): an index and a place for contents."""
