"""Judges each message and hands it on."""
