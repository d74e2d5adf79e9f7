"""What STATUS says of a mailbox (RFC 9051 section 6.3.11, RFC 7162, 7889, 8474)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mailplat.mail.mailbox import Mailbox
from mailplat.wire.imap.cursor import Cursor

if TYPE_CHECKING:
    from mailplat.portals.imap.session import ImapSession as Session

_COUNTS: dict[bytes, Callable[[Mailbox], int]] = {
    b"MESSAGES": lambda mailbox: mailbox.messages,
    b"RECENT": lambda _: 0,
    b"UIDNEXT": lambda mailbox: mailbox.uid_next,
    b"UIDVALIDITY": lambda mailbox: mailbox.uid_validity,
    b"UNSEEN": lambda mailbox: mailbox.unseen,
    b"DELETED": lambda mailbox: mailbox.deleted,
    b"SIZE": lambda mailbox: mailbox.size,
    b"HIGHESTMODSEQ": lambda mailbox: max(mailbox.highest_modseq, 1),
}
_OTHERS = frozenset({b"MAILBOXID", b"APPENDLIMIT"})


def read_counts(cursor: Cursor) -> tuple[bytes, ...]:
    """Read what is asked of a mailbox, in parentheses."""
    items: dict[bytes, None] = {}
    for _ in cursor.list_items():
        start = cursor.at
        item = cursor.word("something to count")
        if item not in _COUNTS and item not in _OTHERS:
            cursor.at = start
            raise cursor.wrong("something to count")
        items[item] = None
    if not items:
        raise cursor.wrong("something to count")
    return tuple(items)


def status_line(session: Session, mailbox: Mailbox, items: tuple[bytes, ...]) -> bytes:
    """Return the line that says it."""
    if b"HIGHESTMODSEQ" in items:
        session.enable("CONDSTORE")
    said = b" ".join(b"%b %b" % (item, _said(session, mailbox, item)) for item in items)
    return b"* STATUS %b (%b)\r\n" % (session.spelt(mailbox.name), said)


def _said(session: Session, mailbox: Mailbox, item: bytes) -> bytes:
    if item == b"MAILBOXID":
        return b"(%b)" % mailbox.id.encode()
    if item == b"APPENDLIMIT":
        return b"%d" % session.rules.limits.message_size
    return b"%d" % _COUNTS[item](mailbox)
