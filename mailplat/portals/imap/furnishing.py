"""Gives a new account the mailboxes that clients look for (RFC 6154)."""

from __future__ import annotations

from collections.abc import Mapping

from mailplat.interfaces import IAccount
from mailplat.mail.errors import AlreadyExists, NotPermitted
from mailplat.mail.mailbox import INBOX, Role


async def furnish(account: IAccount, wanted: Mapping[str, Role]) -> None:
    """Make these mailboxes, by name and role, where there is none but INBOX; subscribe all.

    What is there already, or bears the role, because another session has been here at
    the same time, stays as it is.
    """
    if not wanted or len(await account.mailboxes()) > 1:
        return
    for name, role in wanted.items():
        try:
            await account.create(name, role)
        except (AlreadyExists, NotPermitted):
            continue
    await account.subscribe([INBOX, *wanted], True)
