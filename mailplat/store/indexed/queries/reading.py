"""Messages as rows."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from mailplat.mail.mailbox import MailboxId, MailboxIndex, ModSeq, UidSet, narrow
from mailplat.mail.people import AccountId
from mailplat.sql import Connection, Row
from mailplat.store.indexed.queries.changes import account_modseq, known
from mailplat.store.indexed.queries.contents import PIECES
from mailplat.store.indexed.queries.flags import flag_sets


def index(db: Connection, account: AccountId, identity: MailboxId) -> MailboxIndex:
    """Return a mailbox's numbers, made here so that the reactor does nothing else meanwhile."""
    number = known(db, account, identity)
    rows = db.all(
        "SELECT uid, flags, modseq FROM store_messages"
        " WHERE account = ? AND mailbox = ? ORDER BY uid",
        (account, number),
    )
    names = flag_sets(db, account)
    numbers: dict[int, int] = {}
    flags = [numbers.setdefault(row[1], len(numbers)) for row in rows]
    return MailboxIndex(
        modseq=account_modseq(db, account) or ModSeq(0),
        uids=array("I", [row[0] for row in rows]),
        flags=narrow(flags, len(numbers)),
        flag_sets=tuple(names[found] for found in numbers),
        modseqs=array("Q", [row[2] for row in rows]),
    )


def batch(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    uids: UidSet,
    most: int,
    octets: int,
    summaries: bool,
    contents_up_to: int,
) -> list[Row]:
    """Return up to ``most`` messages as rows; contents only of those not larger than that.

    Their summaries and contents have ``octets`` together, unless it is one message.
    The last column is the key of a content that lies elsewhere.
    """
    mailbox = known(db, account, identity)
    columns = "m.uid, m.modseq, m.email, coalesce(e.thread, m.email), e.size, e.received, m.saved, m.flags"
    columns += ", e.summary" if summaries else ", NULL"
    columns += ", c.octets, k.key" if contents_up_to else ", NULL, NULL"
    contents = (
        f"LEFT JOIN store_contents c ON c.account = m.account AND c.piece = m.email * {PIECES}"
        " AND e.size <= ? LEFT JOIN store_keys k ON k.account = m.account"
        " AND k.email = m.email AND e.size <= ?"
        if contents_up_to
        else ""
    )
    sql = (
        f"SELECT {columns} FROM store_messages m"  # noqa: S608 - all of it stands above
        " JOIN store_emails e ON e.account = m.account AND e.email = m.email"
        f" {contents} WHERE m.account = ? AND m.mailbox = ? AND m.uid BETWEEN ? AND ?"
        " ORDER BY m.uid LIMIT ?"
    )
    limit = (contents_up_to, contents_up_to) if contents_up_to else ()
    rows: list[Row] = []
    for first, last in uids.intervals:
        room = most - len(rows)
        if first < last and (summaries or contents_up_to):
            wanted = (int(summaries), contents_up_to, account, mailbox, first, last, room)
            room = _fitting(db.all(_OCTETS, wanted), octets, room) or int(not rows)
        some = db.all(sql, (*limit, account, mailbox, first, last, room))
        octets -= sum(map(_octets_of, some))
        if rows and octets < 0:
            break
        rows += some
        if len(some) >= room:
            break
    return rows


_SIZE = 4  # the column in which the size stands

# How large summary and content of each message are; neither is read for it.
_OCTETS = """
    SELECT CASE WHEN ? = 1 THEN length(e.summary) ELSE 0 END
        + CASE WHEN e.size <= ? THEN e.size ELSE 0 END
    FROM store_messages m JOIN store_emails e ON e.account = m.account AND e.email = m.email
    WHERE m.account = ? AND m.mailbox = ? AND m.uid BETWEEN ? AND ? ORDER BY m.uid LIMIT ?
"""


def _octets_of(row: Row) -> int:
    """Return how many octets a row's summary and content have, wherever the content lies."""
    *_, summary, content, key = row
    return len(summary or b"") + (row[_SIZE] if key else len(content or b""))


def _fitting(sizes: Sequence[Row], octets: int, otherwise: int) -> int:
    """Return how many of the first sizes fit into so many octets; ``otherwise`` if all do."""
    for count, (size,) in enumerate(sizes):
        octets -= size
        if octets < 0:
            return count
    return otherwise
