"""Everything that an operator can do to a house: each thing one function.

The command line sends an operation to the server that holds the state folder,
or runs it itself where none does; pages and interfaces to come call the same
functions.  Arguments and results are what JSON can carry, or a `Conversation`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mailplat.app.operations import (
    accounts,
    addresses,
    dkim,
    keeping,
    messages,
    migrating,
    mime,
    moving,
    queue,
    retention,
    room,
    server,
    store,
)
from mailplat.app.operations.desk import Desk

Operation = Callable[..., Awaitable[Any]]
"""``operation(desk, **arguments)``; raises `MailError` to refuse."""

OPERATIONS: dict[str, Operation] = {
    "account.list": accounts.list_accounts,
    "account.add": accounts.add_account,
    "account.passwd": accounts.set_password,
    "account.disable": accounts.disable_account,
    "account.enable": accounts.enable_account,
    "account.remove": accounts.remove_account,
    "account.quota": room.set_quota,
    "account.expunged": retention.list_expunged,
    "account.undelete": retention.undelete,
    "alias.list": addresses.list_aliases,
    "alias.add": addresses.add_alias,
    "alias.remove": addresses.remove_alias,
    "dkim.list": dkim.list_keys,
    "dkim.add": dkim.add_keys,
    "dkim.rotate": dkim.rotate_keys,
    "dkim.dns": dkim.records,
    "dkim.remove": dkim.remove_key,
    "domain.list": addresses.list_domains,
    "domain.add": addresses.add_domain,
    "domain.dns": addresses.records_of_domain,
    "domain.remove": addresses.remove_domain,
    "house.backup": keeping.backup,
    "house.restore": keeping.restore_account,
    "house.verify": keeping.verify,
    "mail.import": moving.import_mail,
    "mail.export": moving.export_mail,
    "message.explain": messages.explain,
    "mime.list": mime.list_types,
    "mime.show": mime.show_type,
    "mime.add": mime.add_type,
    "mime.remove": mime.remove_type,
    "mime.guess": mime.guess,
    "queue.list": queue.list_messages,
    "queue.show": queue.show,
    "queue.hold": queue.hold,
    "queue.release": queue.release,
    "queue.retry": queue.retry,
    "queue.reroute": queue.reroute,
    "queue.remove": queue.remove,
    "queue.stats": queue.stats,
    "queue.route": queue.route,
    "store.migrate": migrating.migrate,
    "store.usage": store.usage,
    "server.status": server.status,
    "server.furnish": server.furnish,
}

__all__ = ["OPERATIONS", "Desk", "Operation"]
