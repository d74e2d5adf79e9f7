"""A message as another store had it, on its way into this one."""

from __future__ import annotations

import attrs

from mailplat.mail.mailbox import NewMessage, Record


@attrs.frozen
class Restored:
    """A message and its record, flags wanted; the message's own flags and date don't count."""

    record: Record
    message: NewMessage
