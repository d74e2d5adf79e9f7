"""Adding messages: how they get their emails and places, and deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

import attrs

from mailplat.mail.errors import NotPermitted, StoreFailed
from mailplat.mail.mailbox import (
    INBOX,
    ModSeq,
    Placement,
    Role,
    proper_name,
)
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Allowance, Amount
from mailplat.sql import Connection, bulk
from mailplat.store.indexed.queries import room
from mailplat.store.indexed.queries.changes import (
    Done,
    email_id,
    mailbox_id,
)
from mailplat.store.indexed.queries.contents import PIECES, claim_emails
from mailplat.store.indexed.queries.flags import spelt
from mailplat.store.indexed.queries.keys import Kept, name_keys
from mailplat.store.indexed.queries.mailboxes import (
    INBOX_NUMBER,
    claim_each,
    make,
    named,
    with_role,
)
from mailplat.store.indexed.queries.places import NewPlace, add_places
from mailplat.store.indexed.queries.threads import Referring, threads_of

LASTING = 1e18  # the time at which keys were made that are never too old


@attrs.frozen
class Stored:
    """A message whose summary is made and whose octets are at hand, or kept already.

    ``email`` is the number under which a large content lies in the database, in
    pieces; of a small one ``octets`` are given; one that is ``kept`` lies elsewhere.
    """

    size: int
    summary: bytes
    references: tuple[bytes, ...]
    flags: frozenset[str]
    received: float | None
    octets: bytes | None = None
    email: int = 0
    kept: Kept | None = None

    @property
    def unneeded(self) -> tuple[str, ...]:
        """The key that is left over where this message turns out to be there already."""
        return (self.kept.key,) if self.kept else ()


@attrs.frozen
class Order:
    """A delivery to be made (see `mailplat.mail.mailbox.Delivery`)."""

    account: AccountId
    key: str
    message: Stored
    placements: Sequence[Placement]
    now: float
    lasting: bool = False
    allowance: Allowance = Allowance()
    beyond_quota: bool = False

    @property
    def amount(self) -> Amount:
        """How much room it takes; a little more than that, if two placements are one."""
        return _times(self.message, len(self.placements))


@attrs.frozen
class Arrival:
    """A new message, and its flags in each mailbox where it is to get a place."""

    account: AccountId
    modseq: ModSeq
    message: Stored
    mailboxes: dict[int, frozenset[str]]
    now: float


@attrs.frozen
class Arrived:
    """What a message got: its number, its thread's, and a UID in each mailbox.

    ``left`` is the key of its content, where another email has the same one.
    """

    email: int
    thread: int
    uids: dict[int, int]
    left: tuple[str, ...]


# Deliveries ------------------------------------------------------------------


def deliver(db: Connection, orders: Sequence[Order]) -> list[Done]:
    """Make all placements of each delivery together with its key (see `IMailStore`).

    An answer says where the message lies; that of a repeat, where it was put at
    first, and its content stays without a name.  That of a delivery for which there
    is no room is an `OverQuota`, so that it undoes no others.
    """
    rows = bulk(
        db,
        "SELECT key, account, detail FROM store_deliveries WHERE (key, account) IN"
        " (VALUES {rows})",
        [(order.key, order.account) for order in orders],
    )
    details: dict[tuple[str, str], str] = {(key, account): told for key, account, told in rows}
    fresh = {
        (order.key, order.account): order
        for order in reversed(orders)
        if (order.key, order.account) not in details
    }
    made = _make(db, list(reversed(fresh.values())))
    done: list[Done] = []
    for order in orders:
        key = (order.key, order.account)
        if fresh.get(key) is order:
            done.append(made[key])
            continue
        detail = details[key] if key in details else made[key].answer
        done.append(Done(detail, ModSeq(0), frozenset(), order.message.unneeded))
    return done


def known_keys(db: Connection, account: AccountId, keys: Sequence[str]) -> frozenset[str]:
    """Return those of the keys that deliveries to the account were made under."""
    rows = bulk(
        db,
        "SELECT key FROM store_deliveries WHERE (key, account) IN (VALUES {rows})",
        [(key, account) for key in keys],
    )
    return frozenset(key for [key] in rows)


def _make(db: Connection, orders: Sequence[Order]) -> dict[tuple[str, str], Done]:
    made: dict[tuple[str, str], Done] = {}
    admission = room.admit(db, orders)
    news = dict(admission.news)
    for at, error in admission.refusals.items():
        warning = news.pop(orders[at].account, None)
        made[orders[at].key, orders[at].account] = Done(
            error,
            ModSeq(0),
            frozenset(),
            orders[at].message.unneeded,
            (warning,) if warning else (),
        )
    orders = [one for at, one in enumerate(orders) if at not in admission.refusals]
    arrivals = _arrivals(db, orders)
    rows: list[tuple[str, str, float, str]] = []
    for order, arrival, arrived in zip(orders, arrivals, add(db, arrivals), strict=True):
        detail = ", ".join(f"{mailbox_id(box)}:{uid}" for box, uid in arrived.uids.items())
        touched = frozenset(map(mailbox_id, arrived.uids))
        warning = news.pop(order.account, None)
        made[order.key, order.account] = Done(
            detail, arrival.modseq, touched, arrived.left, (warning,) if warning else ()
        )
        made_at = LASTING if order.lasting else order.now
        rows.append((order.key, order.account, made_at, detail))
    bulk(db, "INSERT INTO store_deliveries (key, account, made, detail) VALUES {rows}", rows)
    return made


def _arrivals(db: Connection, orders: Sequence[Order]) -> list[Arrival]:
    """Return where each delivery is to go; mailboxes that are wanted and missing are made."""
    claimed = claim_each(db, Counter(order.account for order in orders), _latest(orders))
    arrivals: list[Arrival] = []
    for order in orders:
        modseq = claimed[order.account]
        claimed[order.account] = ModSeq(modseq + 1)
        flags: dict[int, frozenset[str]] = {}
        for placement in order.placements:
            number = _mailbox_for(db, order.account, placement, modseq, order.now)
            wanted = spelt(db, order.account, order.message.flags | placement.flags)
            flags[number] = flags.get(number, frozenset()) | wanted
        arrivals.append(Arrival(order.account, modseq, order.message, flags, order.now))
    return arrivals


def _latest(orders: Sequence[Order]) -> float:
    return max((order.now for order in orders), default=0.0)


def _mailbox_for(
    db: Connection, account: AccountId, placement: Placement, modseq: ModSeq, now: float
) -> int:
    """Return the mailbox that a placement leads to (see there)."""
    if placement.role is not Role.NONE:
        number = with_role(db, account, placement.role)
        if number is not None:
            return number
    try:
        name = proper_name(placement.mailbox)
    except NotPermitted:
        name = INBOX
    if name == INBOX:
        return INBOX_NUMBER
    number = named(db, account, name)
    if number is None and placement.create:
        return make(db, account, name, placement.role, modseq, now)[-1]
    return INBOX_NUMBER if number is None else number


# What all that add share ------------------------------------------------------------------------


def keep_emails(
    db: Connection, arrivals: Sequence[Arrival]
) -> tuple[list[int], list[int], set[str]]:
    """Keep messages without their places; return their emails, threads, and keys left over."""
    first = claim_emails(db, sum(not arrival.message.email for arrival in arrivals))
    emails: list[int] = []
    for arrival in arrivals:
        emails.append(arrival.message.email or first)
        first += not arrival.message.email
    threads = threads_of(
        db,
        [
            Referring(arrival.account, email, _hashed(arrival.message.references))
            for arrival, email in zip(arrivals, emails, strict=True)
        ],
    )
    left = _keep(db, arrivals, emails, threads)
    return emails, threads, left


def add(db: Connection, arrivals: Sequence[Arrival]) -> list[Arrived]:
    """Keep messages, and give them their places."""
    emails, threads, left = keep_emails(db, arrivals)
    places = [
        NewPlace(
            arrival.account,
            mailbox,
            arrival.modseq,
            email,
            flags,
            arrival.message.size,
            arrival.now,
        )
        for arrival, email in zip(arrivals, emails, strict=True)
        for mailbox, flags in arrival.mailboxes.items()
    ]
    uids = iter(add_places(db, places))
    return [
        Arrived(
            email,
            thread,
            {mailbox: next(uids) for mailbox in arrival.mailboxes},
            tuple(key for key in arrival.message.unneeded if key in left),
        )
        for arrival, email, thread in zip(arrivals, emails, threads, strict=True)
    ]


def _times(message: Stored, count: int) -> Amount:
    return Amount(message.size * count, count)


def _hashed(references: Sequence[bytes]) -> list[bytes]:
    return [blake2b(name, digest_size=12).digest() for name in references]


def _keep(
    db: Connection, arrivals: Sequence[Arrival], emails: Sequence[int], threads: Sequence[int]
) -> set[str]:
    """Keep what all places of each message share; return the keys that no email has got."""
    rows: list[tuple[int, str, int | None, int, float, int, bytes]] = []
    contents: list[tuple[int, str, bytes]] = []
    for arrival, email, thread in zip(arrivals, emails, threads, strict=True):
        message = arrival.message
        row = (
            email,
            arrival.account,
            None if thread == email else thread,
            message.size,
            arrival.now if message.received is None else message.received,
            len(arrival.mailboxes),
            message.summary,
        )
        if message.email:
            _name(db, row)
            continue
        rows.append(row)
        if message.octets is not None:
            contents.append((email * PIECES, arrival.account, message.octets))
    bulk(db, "INSERT INTO store_emails VALUES {rows}", rows)
    bulk(db, "INSERT INTO store_contents VALUES {rows}", contents)
    named = [
        (email, arrival.account, arrival.message.kept)
        for arrival, email in zip(arrivals, emails, strict=True)
        if arrival.message.kept
    ]
    return set(name_keys(db, named)) if named else set()


def _name(db: Connection, row: tuple[int, str, int | None, int, float, int, bytes]) -> None:
    """Make an email of a content that has arrived in pieces."""
    email, account, *facts = row
    waited = "DELETE FROM store_unnamed WHERE account = ? AND email = ? AND modseq = 0"
    if not db.execute(waited, (account, email)):
        raise StoreFailed(f"the content of {email_id(email)} was swept away too soon")
    db.execute(
        "UPDATE store_emails SET thread = ?, size = ?, received = ?, places = ?, summary = ?"
        " WHERE account = ? AND email = ?",
        (*facts, account, email),
    )
