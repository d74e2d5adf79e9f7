"""The command ``mailplat``: what an operator says to a house."""

from __future__ import annotations

from mailplat.app.cli.commands import account, main
from mailplat.app.cli.holdings import examine, usage
from mailplat.app.cli.keeping import backup, restore, upgrade, verify
from mailplat.app.cli.mime import media_types
from mailplat.app.cli.moving import export_mail, import_mail, store
from mailplat.app.cli.room import quota, undelete

for command in (media_types, backup, restore, upgrade, verify, import_mail, export_mail, store):
    main.add_command(command)
for part in (usage, examine):
    store.add_command(part)
main.add_command(undelete)
account.add_command(quota)

__all__ = ["main"]
