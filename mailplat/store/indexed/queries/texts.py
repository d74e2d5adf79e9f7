"""What the index of texts asks of the mail: contents in the order of their coming."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs

from mailplat.mail.mailbox import MailboxId, UidSet
from mailplat.mail.people import AccountId
from mailplat.sql import Connection, Row, bulk
from mailplat.store.indexed.queries.changes import known
from mailplat.store.indexed.queries.contents import PIECES

FEW = 2048  # emails that are looked for by SQL; more are picked out of all


@attrs.frozen
class Arrived:
    """An email to be indexed; its octets, if they are few and lie in the database.

    One that is not ``ready`` is still arriving.
    """

    email: int
    account: AccountId
    size: int
    ready: bool
    octets: bytes | None


_EMAILS = (
    "SELECT e.email, e.account, e.size, u.modseq FROM store_emails e"
    " LEFT JOIN store_unnamed u ON u.account = e.account AND u.email = e.email"
)


def newest_email(db: Connection) -> int:
    """Return the highest number that an email got."""
    [[newest]] = db.all("SELECT email FROM store_numbers")
    return int(newest)


def arrived(db: Connection, after: int, most: int, small: int, octets: int) -> list[Arrived]:
    """Return emails behind one, not more than so many, nor many octets beyond those."""
    rows = db.all(f"{_EMAILS} WHERE e.email > ? ORDER BY e.email LIMIT ?", (after, most))
    return _with_octets(db, rows, small, octets)


def arrived_late(
    db: Connection, emails: Sequence[int], small: int, octets: int
) -> list[Arrived]:
    """Return those of the emails that are still there, as `arrived` does."""
    rows = bulk(db, f"{_EMAILS} WHERE e.email IN (VALUES {{rows}})", [(one,) for one in emails])
    return _with_octets(db, rows, small, octets)


def _with_octets(db: Connection, rows: Sequence[Row], small: int, octets: int) -> list[Arrived]:
    found: list[Arrived] = []
    for email, account, size, unnamed in rows:
        ready = unnamed != 0
        content = None
        if ready and size <= small:
            row = db.one(
                "SELECT octets FROM store_contents WHERE account = ? AND piece = ?",
                (account, email * PIECES),
            )
            content = bytes(row[0]) if row else None
        found.append(Arrived(email, AccountId(account), size, ready, content))
        octets -= len(content or b"")
        if octets <= 0:
            break
    return found


def gone(db: Connection, emails: Sequence[tuple[AccountId, int]]) -> set[int]:
    """Return those of the emails that are not there any more."""
    rows = bulk(
        db,
        "SELECT email FROM store_emails WHERE (account, email) IN (VALUES {rows})",
        emails,
    )
    return {email for _, email in emails} - {email for [email] in rows}


def places_among(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    sure: Collection[int],
    unsure: Collection[int],
    beyond: int,
) -> tuple[UidSet, UidSet]:
    """Return the UIDs of emails in a mailbox: of those that are sure, and of those that aren't.

    Not sure are also all emails ``beyond`` a number.
    """
    mailbox = known(db, account, identity)
    sql = "SELECT uid, email FROM store_messages WHERE account = ? AND mailbox = ?"
    wanted = [*sure, *unsure]
    if len(wanted) <= FEW:
        wanted += [-1] * ((1 << len(wanted).bit_length()) - len(wanted))  # of few lengths
        among = ", ".join(["(?)"] * len(wanted))
        rows = db.all(
            f"{sql} AND (email > ? OR email IN (VALUES {among})) ORDER BY uid",
            (account, mailbox, beyond, *wanted),
        )
    else:
        rows = db.all(f"{sql} ORDER BY uid", (account, mailbox))
    return (
        UidSet.from_rising([uid for uid, email in rows if email in sure and email <= beyond]),
        UidSet.from_rising([uid for uid, email in rows if email in unsure or email > beyond]),
    )
