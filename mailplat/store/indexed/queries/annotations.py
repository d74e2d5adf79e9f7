"""Annotations of mailboxes, and of accounts themselves."""

from __future__ import annotations

from collections.abc import Mapping

from mailplat.mail.annotations import is_private, proper_entry
from mailplat.mail.errors import TooLarge, TooMany
from mailplat.mail.events import AccountChanged
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import MailboxId, ModSeq
from mailplat.mail.people import AccountId
from mailplat.sql import Connection
from mailplat.store.indexed.queries.changes import Done, What, known, note
from mailplat.store.indexed.queries.mailboxes import claim, touch

ITSELF = 0  # stands in a mailbox's place for the account


def entries_of(
    db: Connection, account: AccountId, identity: MailboxId | None, reader: AccountId
) -> dict[str, bytes]:
    """Return entries and their values (see `IAnnotations.annotations`)."""
    rows = db.all(
        "SELECT entry, octets FROM store_annotations"
        " WHERE account = ? AND mailbox = ? AND reader IN ('', ?) ORDER BY entry",
        (account, _number(db, account, identity), reader),
    )
    return {entry: bytes(octets) for entry, octets in rows}


def annotate(
    db: Connection,
    account: AccountId,
    identity: MailboxId | None,
    reader: AccountId,
    entries: Mapping[str, bytes | None],
    now: float,
    limits: Limits,
) -> Done:
    """Set entries, or remove them (see `IAnnotations.annotate`)."""
    mailbox = _number(db, account, identity)
    proper = {proper_entry(entry): octets for entry, octets in entries.items()}
    if any(len(octets or b"") > limits.annotation for octets in proper.values()):
        raise TooLarge(f"an annotation of over {limits.annotation} octets")
    modseq = claim(db, account, now)
    for entry, octets in proper.items():
        _set(db, account, mailbox, reader if is_private(entry) else "", entry, octets)
    _insist_on_room(db, account, mailbox, limits)
    if mailbox == ITSELF:
        note(db, account, modseq, ITSELF, What.EDITED)
        news = (AccountChanged(account, modseq, frozenset()),)
        return Done(modseq, ModSeq(0), frozenset(), news=news)
    return Done(modseq, modseq, frozenset({touch(db, account, mailbox, modseq)}))


def _number(db: Connection, account: AccountId, identity: MailboxId | None) -> int:
    return ITSELF if identity is None else known(db, account, identity)


def _set(
    db: Connection,
    account: AccountId,
    mailbox: int,
    reader: str,
    entry: str,
    octets: bytes | None,
) -> None:
    key = (account, mailbox, reader, entry)
    if octets is None:
        db.execute(
            "DELETE FROM store_annotations"
            " WHERE account = ? AND mailbox = ? AND reader = ? AND entry = ?",
            key,
        )
    else:
        db.execute(
            "INSERT INTO store_annotations VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (account, mailbox, reader, entry)"
            " DO UPDATE SET octets = excluded.octets",
            (*key, octets),
        )


def _insist_on_room(db: Connection, account: AccountId, mailbox: int, limits: Limits) -> None:
    row = db.one(
        "SELECT count(*) FROM store_annotations WHERE account = ? AND mailbox = ?",
        (account, mailbox),
    )
    if row and row[0] > limits.annotations:
        raise TooMany(f"there would be {row[0]} annotations")
