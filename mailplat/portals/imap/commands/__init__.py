"""Every IMAP command this server knows; a new one adds its line here."""

from __future__ import annotations

from mailplat.portals.imap.command import Command
from mailplat.portals.imap.commands.append import Append
from mailplat.portals.imap.commands.capability import Capability
from mailplat.portals.imap.commands.close import Close
from mailplat.portals.imap.commands.copy import Copy, Move, UidCopy, UidMove
from mailplat.portals.imap.commands.create import Create
from mailplat.portals.imap.commands.delete import Delete
from mailplat.portals.imap.commands.enable import Enable
from mailplat.portals.imap.commands.expunge import Expunge, UidExpunge
from mailplat.portals.imap.commands.fetch import Fetch, UidFetch
from mailplat.portals.imap.commands.id import Id
from mailplat.portals.imap.commands.idle import Idle
from mailplat.portals.imap.commands.list import List, Lsub
from mailplat.portals.imap.commands.login import Authenticate, Login
from mailplat.portals.imap.commands.logout import Logout
from mailplat.portals.imap.commands.namespace import Namespace
from mailplat.portals.imap.commands.noop import Check, Noop
from mailplat.portals.imap.commands.rename import Rename
from mailplat.portals.imap.commands.search import Search, UidSearch
from mailplat.portals.imap.commands.select import Examine, Select
from mailplat.portals.imap.commands.starttls import StartTls
from mailplat.portals.imap.commands.status import Status
from mailplat.portals.imap.commands.store import Store, UidStore
from mailplat.portals.imap.commands.subscribe import Subscribe, Unsubscribe
from mailplat.portals.imap.commands.unselect import Unselect

COMMANDS: dict[bytes, type[Command]] = {
    command.name: command
    for command in (
        *(Capability, Noop, Logout, Id, StartTls, Authenticate, Login, Enable),
        *(Select, Examine, Create, Delete, Rename, Subscribe, Unsubscribe, List, Lsub),
        *(Namespace, Status, Append, Idle, Check, Close, Unselect, Expunge, UidExpunge),
        *(Search, UidSearch, Fetch, UidFetch, Store, UidStore, Copy, UidCopy, Move, UidMove),
    )
}
