"""The command ``mailplat``: what an operator says to a house."""

from __future__ import annotations

from mailplat.app.cli.commands import main
from mailplat.app.cli.keeping import backup, restore, upgrade, verify
from mailplat.app.cli.mime import media_types

main.add_command(media_types)
main.add_command(backup)
main.add_command(restore)
main.add_command(upgrade)
main.add_command(verify)

__all__ = ["main"]
