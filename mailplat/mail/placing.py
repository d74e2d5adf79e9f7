"""Where messages lie and how they are flagged, as a place of contents is to show it."""

from __future__ import annotations

import attrs

from mailplat.mail.mailbox import MailboxId, Uid, UidSet


@attrs.frozen
class Placed:
    """A message in a mailbox, as it is now."""

    uid: Uid
    key: str  # of its content; empty if that lies in the index's database
    flags: frozenset[str]
    received: float  # seconds since 1970


@attrs.frozen
class Shown:
    """A mailbox in which something has changed.

    ``placed`` are the messages that have come or have been flagged anew, ``removed``
    those that have gone; where ``is_whole`` is set, ``placed`` are all there are.
    Without a ``name`` the mailbox has gone with all that was in it.
    """

    mailbox: MailboxId
    name: str | None
    placed: tuple[Placed, ...] = ()
    removed: UidSet = UidSet()
    is_whole: bool = False
