"""How long mail is kept: in mailboxes of some roles, and behind an expunge."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mailplat.mail.mailbox import MailboxId, Role

A_DAY = 24 * 3600.0
KEPT_EXPUNGED = 7 * A_DAY
RESTORED = "Restored"
"""The mailbox in which what is brought back lies whose own mailbox has gone."""


@attrs.frozen
class Retention:
    """Ages in seconds after which mail goes of its own accord.

    In mailboxes of those roles a message is expunged so long after it came there.
    What has been expunged can be brought back for ``keep_expunged`` (0: it can't).
    """

    by_role: Mapping[Role, float] = attrs.field(factory=dict)
    keep_expunged: float = KEPT_EXPUNGED


NOTHING_KEPT = Retention(keep_expunged=0)


@attrs.frozen
class Expunged:
    """A message that was expunged and can be brought back.

    ``id`` is opaque and good for this account; ``mailbox`` and ``name`` are where
    it was; ``at`` is when it was expunged, in seconds since 1970.
    """

    id: str
    mailbox: MailboxId
    name: str
    at: float
    size: int
    received: float
    summary: bytes
