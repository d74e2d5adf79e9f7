"""Octets in pieces, and the forgetting of what nobody names.

What forgets is done again until there is no more, and says each time which keys of
contents elsewhere no email has any more: these are removed behind the commit.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mailplat.mail.errors import NoSuchMessage
from mailplat.mail.mailbox import ModSeq
from mailplat.mail.people import AccountId
from mailplat.sql import Connection, Row, makes_room
from mailplat.store.indexed.queries.changes import email_id
from mailplat.store.indexed.queries.expunged import forget_all_of
from mailplat.store.indexed.queries.keys import forget_key
from mailplat.store.indexed.queries.mailboxes import ensure_account

PIECES = 1 << 20  # that an email can have
SWEPT_AT_ONCE = 64  # contents, or pieces of some, removed in one unit of work: up to 16 MiB
ROWS_AT_ONCE = 1000  # of other tables

_OF_ACCOUNTS = {  # what else there is of an account, with the rest of each table's key
    "references": "reference",
    "joined_threads": "thread",
    "changes": "modseq, mailbox, what, first",
    "scripts": "name",
    "annotations": "mailbox, reader, entry",
    "rights": "mailbox, identifier, negative",
    "flag_sets": "flags",
    "keywords": "folded",
    "subscriptions": "name",
    "mailboxes": "mailbox",
}


@attrs.frozen
class Swept:
    """What a unit of work has forgotten: whether there is more, and which keys went."""

    more: bool
    keys: tuple[str, ...] = ()


def begin_content(db: Connection, account: AccountId, now: float) -> int:
    """Return the number of an email whose octets will come in pieces."""
    ensure_account(db, account, now)
    email = claim_emails(db, 1)
    db.execute(
        "INSERT INTO store_emails VALUES (?, ?, NULL, 0, ?, 0, ?)", (email, account, now, b"")
    )
    db.execute("INSERT INTO store_unnamed VALUES (?, ?, 0)", (account, email))
    return email


def claim_emails(db: Connection, count: int) -> int:
    """Return the first of so many numbers for new emails."""
    row = db.one("UPDATE store_numbers SET email = email + ? RETURNING email", (count,))
    assert row
    return int(row[0]) - count + 1


def add_pieces(
    db: Connection, account: AccountId, email: int, first: int, pieces: Sequence[bytes]
) -> None:
    """Keep the next pieces of a content; raises `NoSuchMessage` if it has been forgotten."""
    waiting = "SELECT 1 FROM store_unnamed WHERE account = ? AND email = ? AND modseq = 0"
    if not db.one(waiting, (account, email)):
        raise NoSuchMessage(f"{account} has no content {email_id(email)} any more")
    start = email * PIECES + first
    db.executemany(
        "INSERT INTO store_contents VALUES (?, ?, ?)",
        [(start + at, account, octets) for at, octets in enumerate(pieces)],
    )


def pieces(
    db: Connection, account: AccountId, email: int, first: int, last: int
) -> list[bytes]:
    """Return some pieces of a content; raises `NoSuchMessage` if they have gone."""
    rows = db.all(
        "SELECT octets FROM store_contents"
        " WHERE account = ? AND piece BETWEEN ? AND ? ORDER BY piece",
        (account, email * PIECES + first, email * PIECES + last),
    )
    if len(rows) != last - first + 1:
        raise NoSuchMessage(f"{account} has no content {email_id(email)}")
    return [octets for [octets] in rows]


def drop_content(db: Connection, account: AccountId, email: int) -> Swept:
    """Forget some of a content unless a message names it.

    That clears up behind a message which could not be kept, and must not take
    the room that is reserved for those who delete.
    """
    waiting = "SELECT account, email FROM store_unnamed WHERE account = ? AND email = ?"
    return _forget(db, db.all(waiting, (account, email)))


@makes_room
def sweep(db: Connection, account: AccountId, since: ModSeq | None) -> Swept:
    """Forget some contents without a name that nobody reads.

    ``since`` is what the oldest reader saw: what lost its name later stays for it.
    """
    rows = db.all(
        "SELECT account, email FROM store_unnamed"
        " WHERE account = ? AND modseq BETWEEN 1 AND ? LIMIT ?",
        (account, 2**62 if since is None else since, SWEPT_AT_ONCE),
    )
    return _forget(db, rows, len(rows) == SWEPT_AT_ONCE)


@makes_room
def sweep_all(db: Connection) -> Swept:
    """Forget some contents without a name, of any account, when nobody reads yet."""
    rows = db.all("SELECT account, email FROM store_unnamed LIMIT ?", (SWEPT_AT_ONCE,))
    return _forget(db, rows, len(rows) == SWEPT_AT_ONCE)


def _forget(db: Connection, emails: Sequence[Row], more: bool = False) -> Swept:
    """Forget contents, as many pieces as one unit may take; ``more`` may be left anyway."""
    room = SWEPT_AT_ONCE
    keys: list[str] = []
    for account, email in emails:
        room -= db.execute(
            "DELETE FROM store_contents WHERE account = ?1 AND piece IN"
            " (SELECT piece FROM store_contents"
            " WHERE account = ?1 AND piece BETWEEN ?2 AND ?3 LIMIT ?4)",
            (account, email * PIECES, email * PIECES + PIECES - 1, room + 1),
        )
        if room < 0:  # there may be more of this one
            return Swept(True, tuple(keys))
        keys += forget_key(db, account, email)
        for table in ("emails", "unnamed"):
            db.execute(
                f"DELETE FROM store_{table} WHERE account = ? AND email = ?",  # noqa: S608
                (account, email),
            )
    return Swept(more, tuple(keys))


@makes_room
def begin_removal(db: Connection, account: AccountId) -> None:
    """Note that an account's mail is to be forgotten, so that a crash can't stop it."""
    db.execute("INSERT INTO store_removals VALUES (?) ON CONFLICT DO NOTHING", (account,))


def removals(db: Connection) -> list[AccountId]:
    """Return the accounts that are being forgotten."""
    return [AccountId(account) for [account] in db.all("SELECT account FROM store_removals")]


@makes_room
def go_on_removing(db: Connection, account: AccountId) -> Swept:
    """Forget some of an account's mail.

    The keys of its deliveries are forgotten when they are old, as all others are.
    """
    if forget_all_of(db, account, SWEPT_AT_ONCE):
        return Swept(True)
    places = db.all(
        "SELECT mailbox, uid, email FROM store_messages WHERE account = ? LIMIT ?",
        (account, SWEPT_AT_ONCE),
    )
    unnamed = db.all(
        "SELECT email FROM store_unnamed WHERE account = ? LIMIT ?", (account, SWEPT_AT_ONCE)
    )
    swept = _forget(db, [(account, row[-1]) for row in (*places, *unnamed)])
    if swept.more:
        return swept
    db.executemany(
        "DELETE FROM store_messages WHERE account = ? AND mailbox = ? AND uid = ?",
        [(account, mailbox, uid) for mailbox, uid, _ in places],
    )
    if places or unnamed or _forget_rows(db, account):
        return attrs.evolve(swept, more=True)
    db.execute("DELETE FROM store_rights WHERE identifier = ?", (account,))
    for table in ("mailboxes", "quotas", "accounts", "removals"):  # INBOX goes with its account
        db.execute(f"DELETE FROM store_{table} WHERE account = ?", (account,))  # noqa: S608
    return Swept(False)


def _forget_rows(db: Connection, account: AccountId) -> bool:
    """Forget what belongs to an account beside its mail; return whether there is more."""
    room = ROWS_AT_ONCE
    for table, key in _OF_ACCOUNTS.items():
        but = "AND name <> 'INBOX'" if table == "mailboxes" else ""
        room -= db.execute(
            f"DELETE FROM store_{table} WHERE (account, {key}) IN (SELECT account, {key}"  # noqa: S608
            f" FROM store_{table} WHERE account = ? {but} LIMIT ?)",
            (account, room),
        )
        if room <= 0:
            return True
    return False
