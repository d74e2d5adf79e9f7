"""Adding, moving and removing messages."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import attrs

from mailplat.mail.errors import NoSuchMessage, NotPermitted, StoreFailed
from mailplat.mail.mailbox import (
    DELETED,
    INBOX,
    SEEN,
    SEPARATOR,
    Appended,
    MailboxId,
    ModSeq,
    Moved,
    Placement,
    Replaced,
    Role,
    Uid,
    UidSet,
    proper_name,
)
from mailplat.mail.people import AccountId
from mailplat.sql import Connection
from mailplat.store.indexed.queries.changes import (
    Done,
    What,
    account_modseq,
    email_id,
    known,
    mailbox_id,
    note,
    number_of,
    thread_id,
)
from mailplat.store.indexed.queries.contents import add_pieces, drop_content
from mailplat.store.indexed.queries.flags import flag_set, flag_sets, spelt
from mailplat.store.indexed.queries.mailboxes import (
    INBOX_NUMBER,
    claim,
    mailbox,
    mailboxes,
    make,
    named,
    shown,
    with_role,
)


@attrs.frozen
class Stored:
    """A message whose summary is made and whose octets are at hand, or kept already.

    ``email`` is the number under which a large content lies, in pieces; of a
    small one ``octets`` are given.
    """

    size: int
    summary: bytes
    references: tuple[bytes, ...]
    flags: frozenset[str]
    received: float | None
    octets: bytes | None = None
    email: int = 0


@attrs.frozen
class _Place:
    """A row of `store_messages`, with its email's size."""

    uid: int
    flags: int
    email: int
    size: int


def deliver(
    db: Connection,
    account: AccountId,
    key: str,
    message: Stored,
    placements: Sequence[Placement],
    now: float,
) -> Done:
    """Make all placements of a delivery together with its key, or none (see `IMailStore`).

    The answer says where the message lies; that of a repeat, where it was put
    at first.
    """
    made = db.one(
        "SELECT detail FROM store_deliveries WHERE account = ? AND key = ?", (account, key)
    )
    if made:
        drop_content(db, account, message.email)
        return Done(made[0], ModSeq(0), frozenset())
    modseq = claim(db, account, now)
    flags: dict[int, frozenset[str]] = {}
    for placement in placements:
        number = _place(db, account, placement, modseq, now)
        wanted = spelt(db, account, message.flags | placement.flags)
        flags[number] = flags.get(number, frozenset()) | wanted
    email, _ = _add_email(db, account, message, len(flags), now)
    where: list[str] = []
    for number, names in flags.items():
        first = _add_places(db, account, number, [(email, names, message.size)], modseq, now)
        where.append(f"{mailbox_id(number)}:{first}")
    detail = ", ".join(where)
    db.execute("INSERT INTO store_deliveries VALUES (?, ?, ?, ?)", (account, key, now, detail))
    return Done(detail, modseq, frozenset(map(mailbox_id, flags)))


def _place(
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


def append(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    messages: Sequence[Stored],
    replacing: Replaced | None,
    now: float,
) -> Done:
    """Add messages, all or none (see `IAccount.append`)."""
    number = known(db, account, identity)
    source = known(db, account, replacing.mailbox) if replacing else 0
    replaced = _places(db, account, source, UidSet.of(replacing.uid)) if replacing else []
    if replacing and not replaced:
        raise NoSuchMessage(f"{replacing} has gone")
    if not messages:
        return Done([], ModSeq(0), frozenset())
    modseq = claim(db, account, now)
    added = [_add_email(db, account, message, 1, now) for message in messages]
    rows = [
        (email, spelt(db, account, message.flags), message.size)
        for (email, _), message in zip(added, messages, strict=True)
    ]
    first = _add_places(db, account, number, rows, modseq, now)
    _drop(db, account, source, replaced, modseq)
    appended = [
        Appended(Uid(first + at), modseq, email_id(email), thread_id(thread))
        for at, (email, thread) in enumerate(added)
    ]
    touched = {identity, replacing.mailbox} if replacing else {identity}
    return Done(appended, modseq, frozenset(touched))


def _add_email(
    db: Connection, account: AccountId, message: Stored, places: int, now: float
) -> tuple[int, int]:
    """Keep what all places of a message share; return its number and its thread's."""
    hashed = [blake2b(name, digest_size=12).digest() for name in message.references]
    thread = _thread(db, account, hashed) if hashed else None
    received = now if message.received is None else message.received
    if message.octets is None:
        email = message.email
        _name_email(db, account, message, (thread, received, places))
    else:
        row = db.one(
            "INSERT INTO store_emails (account, thread, size, received, places, summary)"
            " VALUES (?, ?, ?, ?, ?, ?) RETURNING email",
            (account, thread, message.size, received, places, message.summary),
        )
        assert row
        email = int(row[0])
        add_pieces(db, account, email, 0, [message.octets])
    thread = thread or email
    db.executemany(
        "INSERT INTO store_references VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(account, reference, thread) for reference in hashed],
    )
    return email, thread


def _name_email(
    db: Connection,
    account: AccountId,
    message: Stored,
    facts: tuple[int | None, float, int],
) -> None:
    """Make an email of a content that has arrived in pieces."""
    waited = "DELETE FROM store_unnamed WHERE account = ? AND email = ? AND modseq = 0"
    if not db.execute(waited, (account, message.email)):
        raise StoreFailed(f"the content of {email_id(message.email)} was swept away too soon")
    db.execute(
        "UPDATE store_emails SET thread = ?, received = ?, places = ?, size = ?, summary = ?"
        " WHERE email = ? AND account = ?",
        (*facts, message.size, message.summary, message.email, account),
    )


def _thread(db: Connection, account: AccountId, hashed: Sequence[bytes]) -> int | None:
    """Return the thread that has one of the references, if there is any.

    Threads that now share a reference become one.
    """
    marks = ", ".join("?" * len(hashed))
    rows = db.all(
        "SELECT DISTINCT thread FROM store_references"  # noqa: S608 - marks are question marks
        f" WHERE account = ? AND reference IN ({marks})",
        (account, *hashed),
    )
    if not rows:
        return None
    thread, *others = sorted({root_of(db, account, found) for [found] in rows})
    for other in others:
        _join(db, account, other, thread)
    return thread


def root_of(db: Connection, account: AccountId, thread: int) -> int:
    """Return the thread that a thread has become one with, or itself."""
    joined = "SELECT root FROM store_joined_threads WHERE account = ? AND thread = ?"
    row = db.one(joined, (account, thread))
    return int(row[0]) if row else thread


def _join(db: Connection, account: AccountId, thread: int, root: int) -> None:
    """Let a thread be one with an older one."""
    for begun_here in ("thread = ?", "email = ? AND thread IS NULL"):
        db.execute(
            f"UPDATE store_emails SET thread = ? WHERE account = ? AND {begun_here}",  # noqa: S608
            (root, account, thread),
        )
    db.execute(
        "UPDATE store_joined_threads SET root = ? WHERE account = ? AND root = ?",
        (root, account, thread),
    )
    db.execute("INSERT INTO store_joined_threads VALUES (?, ?, ?)", (account, thread, root))


def _add_places(
    db: Connection,
    account: AccountId,
    mailbox: int,
    rows: Sequence[tuple[int, frozenset[str], int]],
    modseq: ModSeq,
    now: float,
) -> int:
    """Give emails, with their flags and sizes, the mailbox's next UIDs; return the first."""
    row = db.one(
        "UPDATE store_mailboxes SET uid_next = uid_next + ?, messages = messages + ?,"
        " unseen = unseen + ?, deleted = deleted + ?, size = size + ?, modseq = ?"
        " WHERE account = ? AND mailbox = ? RETURNING uid_next",
        (
            len(rows),
            len(rows),
            sum(SEEN not in flags for _, flags, _ in rows),
            sum(DELETED in flags for _, flags, _ in rows),
            sum(size for _, _, size in rows),
            modseq,
            account,
            mailbox,
        ),
    )
    assert row
    first = int(row[0]) - len(rows)
    numbers = {flags: flag_set(db, account, flags) for flags in {flags for _, flags, _ in rows}}
    db.executemany(
        "INSERT INTO store_messages VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (account, mailbox, first + at, modseq, numbers[flags], email, now)
            for at, (email, flags, _) in enumerate(rows)
        ],
    )
    if rows:
        whole = UidSet(((first, first + len(rows) - 1),))
        note(db, account, modseq, mailbox, What.ADDED, whole)
    return first


def _places(db: Connection, account: AccountId, mailbox: int, uids: UidSet) -> list[_Place]:
    return [
        _Place(*row)
        for first, last in uids.intervals
        for row in db.all(
            "SELECT m.uid, m.flags, m.email, e.size FROM store_messages m"
            " JOIN store_emails e ON e.account = m.account AND e.email = m.email"
            " WHERE m.account = ? AND m.mailbox = ? AND m.uid BETWEEN ? AND ? ORDER BY m.uid",
            (account, mailbox, first, last),
        )
    ]


def move(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    uids: UidSet,
    target: MailboxId,
    keep: bool,
    now: float,
) -> Done:
    """Give messages a place in another mailbox (see `IAccount.move`)."""
    source, goal = known(db, account, identity), known(db, account, target)
    places = _places(db, account, source, uids)
    validity = shown(db, account, goal).uid_validity
    if not places:
        newest = account_modseq(db, account) or ModSeq(0)
        return Done(Moved(validity, (), (), newest), newest, frozenset())
    modseq = claim(db, account, now)
    sets = flag_sets(db, account)
    rows = [(place.email, sets[place.flags], place.size) for place in places]
    first = _add_places(db, account, goal, rows, modseq, now)
    db.executemany(
        "UPDATE store_emails SET places = places + 1 WHERE account = ? AND email = ?",
        [(account, place.email) for place in places],
    )
    if not keep:
        _drop(db, account, source, places, modseq)
    moved = Moved(
        validity,
        tuple(place.uid for place in places),
        tuple(range(first, first + len(places))),
        modseq,
    )
    return Done(moved, modseq, frozenset({target} if keep else {identity, target}))


def expunge(
    db: Connection, account: AccountId, identity: MailboxId, uids: UidSet, now: float
) -> Done:
    """Remove messages (see `IAccount.expunge`)."""
    number = known(db, account, identity)
    places = _places(db, account, number, uids)
    if not places:
        return Done(UidSet(), ModSeq(0), frozenset())
    modseq = claim(db, account, now)
    return Done(_drop(db, account, number, places, modseq), modseq, frozenset({identity}))


def _drop(
    db: Connection, account: AccountId, mailbox: int, places: Sequence[_Place], modseq: ModSeq
) -> UidSet:
    """Remove places; contents without any other are left to the sweep."""
    gone = UidSet.from_sorted(place.uid for place in places)
    if not gone:
        return gone
    sets = flag_sets(db, account)
    db.executemany(
        "DELETE FROM store_messages WHERE account = ? AND mailbox = ? AND uid BETWEEN ? AND ?",
        [(account, mailbox, first, last) for first, last in gone.intervals],
    )
    emails = [(account, place.email) for place in places]
    db.executemany(
        "UPDATE store_emails SET places = places - 1 WHERE account = ? AND email = ?", emails
    )
    db.executemany(
        "INSERT INTO store_unnamed SELECT account, email, ? FROM store_emails"
        " WHERE account = ? AND email = ? AND places = 0 ON CONFLICT DO NOTHING",
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


def remove(db: Connection, account: AccountId, identity: MailboxId, now: float) -> Done:
    """Remove a mailbox and its messages (see `IAccount.remove`)."""
    box = mailbox(db, account, identity)
    if box.role is Role.INBOX:
        raise NotPermitted("INBOX can't be removed")
    above = box.name + SEPARATOR
    if any(other.name.startswith(above) for other in mailboxes(db, account)):
        raise NotPermitted("there are mailboxes in it")
    modseq = claim(db, account, now)
    number = number_of(identity)
    _drop(db, account, number, _places(db, account, number, UidSet.all()), modseq)
    db.execute(
        "DELETE FROM store_mailboxes WHERE account = ? AND mailbox = ?", (account, number)
    )
    note(db, account, modseq, number, What.GONE)
    return Done(None, modseq, frozenset({identity}))
