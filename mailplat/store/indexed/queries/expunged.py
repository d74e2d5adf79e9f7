"""What was expunged and can still be brought back."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mailplat.mail.errors import NotPermitted
from mailplat.mail.mailbox import DELETED, SEPARATOR, ModSeq, Role, UidSet, proper_name
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Allowance, Amount
from mailplat.mail.retention import RESTORED, Expunged
from mailplat.sql import Connection, Row, makes_room
from mailplat.store.indexed.queries import room
from mailplat.store.indexed.queries.changes import Done, mailbox_id
from mailplat.store.indexed.queries.flags import flag_sets
from mailplat.store.indexed.queries.mailboxes import claim, make, named
from mailplat.store.indexed.queries.places import (
    NewPlace,
    add_places,
    drop_places,
    places_of,
)

AT_ONCE = 1000  # rows looked at in one unit of work
LISTED = 10000  # told in one answer

# Bringing back ---------------------------------------------------------------


def expunged(db: Connection, account: AccountId, since: float, name: str) -> list[Expunged]:
    """Return what can be brought back, the latest first (see `IUndelete.expunged`)."""
    rows = db.all(
        "SELECT x.email, x.mailbox, x.uid, coalesce(m.name, x.name), x.expunged, e.size,"
        " e.received, e.summary FROM store_expunged x"
        " JOIN store_emails e ON e.account = x.account AND e.email = x.email"
        " LEFT JOIN store_mailboxes m ON m.account = x.account AND m.mailbox = x.mailbox"
        " WHERE x.account = ?1 AND x.expunged >= ?2"
        " AND (?3 = '' OR coalesce(m.name, x.name) = ?3)"
        " ORDER BY x.expunged DESC, x.email DESC LIMIT ?4",
        (account, since, name, LISTED),
    )
    return [
        Expunged(f"{email}.{mailbox}.{uid}", mailbox_id(mailbox), *rest)
        for email, mailbox, uid, *rest in rows
    ]


@attrs.frozen
class _Kept:
    """A row of `store_expunged` that is to be brought back."""

    email: int
    mailbox: int
    uid: int
    name: str
    flags: int
    size: int


def undelete(
    db: Connection, account: AccountId, ids: Sequence[str], now: float, allowance: Allowance
) -> Done:
    """Bring back messages (see `IUndelete.undelete`); answers how many there were."""
    found = [_kept(db, account, one) for one in ids]
    kept = [one for one in dict.fromkeys(found) if one]
    if not kept:
        return Done(0, ModSeq(0), frozenset())
    news = room.insist(db, account, allowance, Amount(sum(k.size for k in kept), len(kept)))
    modseq = claim(db, account, now)
    targets = {
        key: _target(db, account, *key, modseq, now)
        for key in dict.fromkeys((one.mailbox, one.name) for one in kept)
    }
    sets = flag_sets(db, account)
    add_places(
        db,
        [
            NewPlace(
                account,
                targets[one.mailbox, one.name],
                modseq,
                one.email,
                sets[one.flags] - {DELETED},
                one.size,
                now,
            )
            for one in kept
        ],
    )
    db.executemany(
        "UPDATE store_emails SET places = places + 1 WHERE account = ? AND email = ?",
        [(account, one.email) for one in kept],
    )
    _delete(db, [(account, one.email, one.mailbox, one.uid) for one in kept])
    touched = frozenset(map(mailbox_id, targets.values()))
    return Done(len(kept), modseq, touched, news=news)


def _kept(db: Connection, account: AccountId, identity: str) -> _Kept | None:
    parts = identity.split(".")
    if len(parts) != 3 or not all(p.isascii() and p.isdigit() and len(p) < 19 for p in parts):
        return None
    row = db.one(
        "SELECT x.email, x.mailbox, x.uid, x.name, x.flags, e.size FROM store_expunged x"
        " JOIN store_emails e ON e.account = x.account AND e.email = x.email"
        " WHERE x.account = ? AND x.email = ? AND x.mailbox = ? AND x.uid = ?",
        (account, *map(int, parts)),
    )
    return _Kept(*row) if row else None


def _target(
    db: Connection, account: AccountId, mailbox: int, name: str, modseq: ModSeq, now: float
) -> int:
    """Return the mailbox to bring a message back to: its own, one of that name, or another."""
    there = "SELECT 1 FROM store_mailboxes WHERE account = ? AND mailbox = ?"
    if db.one(there, (account, mailbox)):
        return mailbox
    try:
        instead = proper_name(f"{RESTORED}{SEPARATOR}{name}")
    except NotPermitted:
        instead = RESTORED
    for candidate in (name, instead):
        number = named(db, account, candidate)
        if number is not None:
            return number
    return make(db, account, instead, Role.NONE, modseq, now)[-1]


# Letting go ------------------------------------------------------------------


@makes_room
def forget_expunged(
    db: Connection, last: Row, before: float
) -> tuple[Row | None, frozenset[AccountId]]:
    """Let go of what was expunged before a time, as far as one unit goes.

    Return where to go on, if anywhere, and whose contents may now be swept; one
    begins behind ``("", 0, 0, 0)``.
    """
    rows = db.all(
        "SELECT account, email, mailbox, uid, expunged FROM store_expunged"
        " WHERE (account, email, mailbox, uid) > (?, ?, ?, ?)"
        " ORDER BY account, email, mailbox, uid LIMIT ?",
        (*last, AT_ONCE),
    )
    old = [row[:4] for row in rows if row[4] < before]
    _let_go(db, old)
    behind = rows[-1][:4] if len(rows) == AT_ONCE else None
    return behind, frozenset(AccountId(row[0]) for row in old)


@makes_room
def forget_oldest(db: Connection, octets: int) -> tuple[int, frozenset[AccountId]]:
    """Let go of what was expunged longest ago, so much of it that ``octets`` become free.

    Return how many messages that were, as far as one unit goes, and whose contents may
    now be swept.
    """
    rows = db.all(
        "SELECT x.account, x.email, x.mailbox, x.uid, e.size, e.places FROM store_expunged x"
        " JOIN store_emails e ON e.account = x.account AND e.email = x.email"
        " ORDER BY x.expunged, x.email LIMIT ?",
        (AT_ONCE,),
    )
    old: list[Row] = []
    for *key, size, places in rows:
        if octets <= 0:
            break
        old.append(tuple(key))
        octets -= 0 if places else size
    _let_go(db, old)
    return len(old), frozenset(AccountId(row[0]) for row in old)


def forget_all_of(db: Connection, account: AccountId, most: int) -> int:
    """Let go of so much that was expunged in an account; return how much that was."""
    rows = db.all(
        "SELECT account, email, mailbox, uid FROM store_expunged WHERE account = ? LIMIT ?",
        (account, most),
    )
    _let_go(db, rows)
    return len(rows)


def _let_go(db: Connection, rows: Sequence[Row]) -> None:
    """Forget rows; emails that nothing else names wait to be swept, behind their readers."""
    modseqs: dict[Row, int] = {}
    for key in rows:
        found = db.one(
            "SELECT modseq FROM store_expunged"
            " WHERE account = ? AND email = ? AND mailbox = ? AND uid = ?",
            key,
        )
        if found:
            modseqs[key[:2]] = max(found[0], modseqs.get(key[:2], 0))
    _delete(db, rows)
    db.executemany(
        "INSERT INTO store_unnamed SELECT account, email, ? FROM store_emails e"
        " WHERE account = ? AND email = ? AND places = 0 AND NOT EXISTS ("
        " SELECT 1 FROM store_expunged x WHERE x.account = e.account AND x.email = e.email)"
        " ON CONFLICT DO NOTHING",
        [(modseq, *email) for email, modseq in modseqs.items()],
    )


def _delete(db: Connection, keys: Sequence[Row]) -> None:
    db.executemany(
        "DELETE FROM store_expunged"
        " WHERE account = ? AND email = ? AND mailbox = ? AND uid = ?",
        keys,
    )


# Mail that has grown old in its mailbox --------------------------------------


def mailboxes_with(db: Connection, role: Role, last: Row) -> list[Row]:
    """Return some mailboxes of a role that have messages, behind one that is named."""
    return db.all(
        "SELECT account, mailbox FROM store_mailboxes WHERE role = ? AND messages > 0"
        " AND (account, mailbox) > (?, ?) ORDER BY account, mailbox LIMIT ?",
        (role.value, *last, AT_ONCE),
    )


def grown_old(
    db: Connection, account: AccountId, mailbox: int, before: float, most: int
) -> UidSet:
    """Return the first messages that came into a mailbox before a time.

    They have come in the order of their UIDs: behind one that is younger there are
    none that are older, unless the clock was set.
    """
    rows = db.all(
        "SELECT uid, saved FROM store_messages WHERE account = ? AND mailbox = ?"
        " ORDER BY uid LIMIT ?",
        (account, mailbox, most),
    )
    return UidSet.from_sorted(uid for uid, saved in rows if saved < before)


@makes_room
def expire(
    db: Connection,
    account: AccountId,
    mailbox: int,
    uids: UidSet,
    now: float,
    keep: bool,
) -> Done:
    """Expunge messages that have grown old."""
    places = places_of(db, account, mailbox, uids)
    if not places:
        return Done(None, ModSeq(0), frozenset())
    modseq = claim(db, account, now)
    drop_places(db, account, mailbox, places, modseq, kept_at=now if keep else None)
    return Done(None, modseq, frozenset({mailbox_id(mailbox)}))
