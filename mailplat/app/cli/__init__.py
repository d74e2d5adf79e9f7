"""The command ``mailplat``: what an operator says to a house."""

from __future__ import annotations

from mailplat.app.cli.commands import main
from mailplat.app.cli.keeping import backup, restore, upgrade, verify
from mailplat.app.cli.mime import media_types
from mailplat.app.cli.moving import export_mail, import_mail

main.add_command(media_types)
main.add_command(backup)
main.add_command(restore)
main.add_command(upgrade)
main.add_command(verify)

for command in (media_types, backup, restore, import_mail, export_mail):
    main.add_command(command)

__all__ = ["main"]
