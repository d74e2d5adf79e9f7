"""The command ``mailplat``: what an operator says to a house."""

from __future__ import annotations

from mailplat.app.cli.commands import main

__all__ = ["main"]
