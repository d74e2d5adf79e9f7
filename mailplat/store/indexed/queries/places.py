"""The places that emails have in mailboxes: rows of `store_messages`, and what counts them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mailplat.mail.mailbox import DELETED, SEEN, ModSeq, UidSet
from mailplat.mail.people import AccountId
from mailplat.sql import Connection, bulk
from mailplat.store.indexed.queries.changes import What, note, note_all
from mailplat.store.indexed.queries.flags import flag_set_each, flag_sets


@attrs.frozen
class Place:
    """A row of `store_messages`, with its email's size."""

    uid: int
    flags: int
    email: int
    size: int


@attrs.frozen
class NewPlace:
    """An email that is to get a place in a mailbox."""

    account: AccountId
    mailbox: int
    modseq: ModSeq
    email: int
    flags: frozenset[str]
    size: int
    saved: float


def places_of(db: Connection, account: AccountId, mailbox: int, uids: UidSet) -> list[Place]:
    """Return those of the messages that are there."""
    return [
        Place(*row)
        for first, last in uids.intervals
        for row in db.all(
            "SELECT m.uid, m.flags, m.email, e.size FROM store_messages m"
            " JOIN store_emails e ON e.account = m.account AND e.email = m.email"
            " WHERE m.account = ? AND m.mailbox = ? AND m.uid BETWEEN ? AND ? ORDER BY m.uid",
            (account, mailbox, first, last),
        )
    ]


def add_places(db: Connection, places: Sequence[NewPlace]) -> list[int]:
    """Give each the next UID of its mailbox, in their order; return the UIDs."""
    uids = _claim_uids(db, places)
    numbers = flag_set_each(db, dict.fromkeys((one.account, one.flags) for one in places))
    rows = [
        (
            place.account,
            place.mailbox,
            uid,
            place.modseq,
            numbers[place.account, place.flags],
            place.email,
            place.saved,
        )
        for place, uid in zip(places, uids, strict=True)
    ]
    bulk(db, "INSERT INTO store_messages VALUES {rows}", rows)
    ranges: dict[tuple[AccountId, ModSeq, int], tuple[int, int]] = {}
    for place, uid in zip(places, uids, strict=True):
        key = (place.account, place.modseq, place.mailbox)
        ranges[key] = (ranges.get(key, (uid, uid))[0], uid)
    note_all(db, What.ADDED, [(*key, *interval) for key, interval in ranges.items()])
    return uids


def _claim_uids(db: Connection, places: Sequence[NewPlace]) -> list[int]:
    """Count the places in their mailboxes, and return the UIDs that they get."""
    counts: dict[tuple[AccountId, int], list[int]] = {}
    for place in places:
        row = counts.setdefault((place.account, place.mailbox), [0, 0, 0, 0, 0])
        row[0] += 1
        row[1] += SEEN not in place.flags
        row[2] += DELETED in place.flags
        row[3] += place.size
        row[4] = place.modseq
    claimed = bulk(
        db,
        "UPDATE store_mailboxes SET uid_next = uid_next + column3,"
        " messages = messages + column3, unseen = unseen + column4,"
        " deleted = deleted + column5, size = size + column6, modseq = column7"
        " FROM (VALUES {rows}) AS new WHERE account = column1 AND mailbox = column2"
        " RETURNING account, mailbox, uid_next",
        [(*key, *row) for key, row in sorted(counts.items())],
    )
    following = {
        (account, mailbox): next_uid - counts[account, mailbox][0]
        for account, mailbox, next_uid in claimed
    }
    uids: list[int] = []
    for place in places:
        uid = following[place.account, place.mailbox]
        following[place.account, place.mailbox] = uid + 1
        uids.append(uid)
    return uids


def drop_places(
    db: Connection,
    account: AccountId,
    mailbox: int,
    places: Sequence[Place],
    modseq: ModSeq,
    kept_at: float | None = None,
) -> UidSet:
    """Remove places; contents without any other are left to the sweep.

    With ``kept_at``, the time of now, they can be brought back.
    """
    gone = UidSet.from_rising([place.uid for place in places])
    if not gone:
        return gone
    sets = flag_sets(db, account)
    db.executemany(
        "DELETE FROM store_messages WHERE account = ? AND mailbox = ? AND uid BETWEEN ? AND ?",
        [(account, mailbox, first, last) for first, last in gone.intervals],
    )
    if kept_at is not None:
        _keep(db, account, mailbox, places, modseq, kept_at)
    emails = [(account, place.email) for place in places]
    db.executemany(
        "UPDATE store_emails SET places = places - 1 WHERE account = ? AND email = ?", emails
    )
    db.executemany(
        "INSERT INTO store_unnamed SELECT account, email, ? FROM store_emails e"
        " WHERE account = ? AND email = ? AND places = 0 AND NOT EXISTS ("
        " SELECT 1 FROM store_expunged x WHERE x.account = e.account AND x.email = e.email)"
        " ON CONFLICT DO NOTHING",
        [(modseq, *email) for email in emails],
    )
    db.execute(
        "UPDATE store_mailboxes SET messages = messages - ?, unseen = unseen - ?,"
        " deleted = deleted - ?, size = size - ?, modseq = ?"
        " WHERE account = ? AND mailbox = ?",
        (
            len(places),
            sum(SEEN not in sets[place.flags] for place in places),
            sum(DELETED in sets[place.flags] for place in places),
            sum(place.size for place in places),
            modseq,
            account,
            mailbox,
        ),
    )
    note(db, account, modseq, mailbox, What.REMOVED, gone)
    return gone


def _keep(
    db: Connection,
    account: AccountId,
    mailbox: int,
    places: Sequence[Place],
    modseq: ModSeq,
    now: float,
) -> None:
    """Remember where messages were that are being expunged."""
    row = db.one(
        "SELECT name FROM store_mailboxes WHERE account = ? AND mailbox = ?", (account, mailbox)
    )
    name = row[0] if row else ""
    bulk(
        db,
        "INSERT INTO store_expunged VALUES {rows}",
        [
            (account, one.email, mailbox, one.uid, name, one.flags, modseq, now)
            for one in places
        ],
    )
