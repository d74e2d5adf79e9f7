"""The index's statements: plain functions of a connection, each a unit of work or part of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from hashlib import blake2b

import attrs

from mailplat.mail.errors import AlreadyExists, NoSuchMailbox, NoSuchMessage, NotPermitted
from mailplat.mail.mailbox import (
    DELETED,
    INBOX,
    SEEN,
    SEPARATOR,
    SYSTEM_FLAGS,
    Appended,
    Changes,
    FlagChange,
    Flagged,
    Mailbox,
    MailboxChanges,
    MailboxEdit,
    MailboxId,
    ModSeq,
    Moved,
    Placement,
    Replaced,
    Role,
    Uid,
    UidSet,
    names_above,
    proper_name,
)
from mailplat.mail.people import AccountId
from mailplat.sql import Connection, Row

KEPT_KEYS = 30 * 24 * 3600.0  # seconds for which a delivery's repeat is recognised
KEPT_CHANGES = 100_000  # mod-sequences that `changes` can go back
SWEPT_AT_ONCE = 64  # contents removed in one unit of work
NO_UIDS = UidSet(((0, 0),))  # for what is said of a mailbox as a whole
_SYSTEM = {name.lower(): name for name in SYSTEM_FLAGS}


class What(IntEnum):
    """What a row of `store_changes` says of a mailbox, or of a range of its messages."""

    MADE = 1
    EDITED = 2
    GONE = 3
    ADDED = 4
    CHANGED = 5
    REMOVED = 6


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
class Done:
    """What a unit of work answers, and what it has changed in which mailboxes."""

    answer: object
    modseq: ModSeq
    mailboxes: frozenset[MailboxId]


@attrs.frozen
class _Place:
    """A row of `store_messages`, with its email's size."""

    uid: int
    flags: int
    email: int
    size: int


# Identities.


def mailbox_id(number: int) -> MailboxId:
    """Return a mailbox's identity by its number."""
    return MailboxId(f"F{number}")


def email_id(number: int) -> str:
    """Return an email's identity by its number."""
    return f"M{number}"


def thread_id(number: int) -> str:
    """Return a thread's identity by its number."""
    return f"T{number}"


def number_of(identity: str) -> int:
    """Return the number in an identity; 0, which nothing has, if there is none."""
    digits = identity[1:]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0


# Accounts.


def ensure_account(db: Connection, account: AccountId, now: float) -> ModSeq:
    """Make the account and its INBOX where they are missing; return the mod-sequence."""
    row = db.one("SELECT modseq FROM store_accounts WHERE account = ?", (account,))
    if row is None:
        db.execute("INSERT INTO store_accounts VALUES (?, 1, 0, 0, 0)", (account,))
        _make_one(db, account, INBOX, Role.INBOX, 1, now)
        return ModSeq(1)
    return ModSeq(row[0])


def account_modseq(db: Connection, account: AccountId) -> ModSeq | None:
    """Return the account's newest mod-sequence, or None where it has no mail yet."""
    row = db.one("SELECT modseq FROM store_accounts WHERE account = ?", (account,))
    return ModSeq(row[0]) if row else None


def _claim(
    db: Connection, account: AccountId, now: float, numbers: int = 0
) -> tuple[ModSeq, int]:
    """Begin a change: return its mod-sequence, and the first of so many new numbers."""
    sql = (
        "UPDATE store_accounts SET modseq = modseq + 1, number = number + ?"
        " WHERE account = ? RETURNING modseq, number"
    )
    row = db.one(sql, (numbers, account))
    if row is None:
        ensure_account(db, account, now)
        row = db.one(sql, (numbers, account))
        assert row
    return ModSeq(row[0]), row[1] - numbers + 1


def begin_removal(db: Connection, account: AccountId) -> None:
    """Note that an account's mail is to be forgotten, so that a crash can't stop it."""
    db.execute("INSERT INTO store_removals VALUES (?) ON CONFLICT DO NOTHING", (account,))


def removals(db: Connection) -> list[AccountId]:
    """Return the accounts that are being forgotten."""
    return [AccountId(account) for [account] in db.all("SELECT account FROM store_removals")]


def go_on_removing(db: Connection, account: AccountId) -> bool:
    """Forget some of an account's mail; return whether there is more."""
    emails = db.all(
        "SELECT DISTINCT email FROM store_contents WHERE account = ? LIMIT ?",
        (account, SWEPT_AT_ONCE),
    )
    if emails:
        db.executemany(
            "DELETE FROM store_contents WHERE account = ? AND email = ?",
            [(account, email) for [email] in emails],
        )
        return True
    for table in (
        "messages",
        "emails",
        "unnamed",
        "references",
        "changes",
        "deliveries",
        "flag_sets",
        "keywords",
        "subscriptions",
        "mailboxes",
        "accounts",
        "removals",
    ):
        db.execute(f"DELETE FROM store_{table} WHERE account = ?", (account,))  # noqa: S608
    return False


# Mailboxes.

_MAILBOX = (
    "SELECT m.mailbox, m.name, m.role, s.name IS NOT NULL, m.uid_validity, m.uid_next,"
    " m.modseq, m.messages, m.unseen, m.deleted, m.size FROM store_mailboxes m"
    " LEFT JOIN store_subscriptions s ON s.account = m.account AND s.name = m.name"
    " WHERE m.account = ?"
)


def mailboxes(db: Connection, account: AccountId) -> list[Mailbox]:
    """Return the account's mailboxes, INBOX first."""
    rows = db.all(f"{_MAILBOX} ORDER BY m.role <> 'inbox', m.name", (account,))
    return [_mailbox(row) for row in rows]


def _mailbox(row: Row) -> Mailbox:
    number, name, role, subscribed, *counts = row
    return Mailbox(mailbox_id(number), name, Role(role), bool(subscribed), *counts)


def _shown(db: Connection, account: AccountId, number: int) -> Mailbox:
    row = db.one(f"{_MAILBOX} AND m.mailbox = ?", (account, number))
    if row is None:
        raise NoSuchMailbox(f"{account} has no mailbox {mailbox_id(number)}")
    return _mailbox(row)


def mailbox(db: Connection, account: AccountId, identity: MailboxId) -> Mailbox:
    """Return one mailbox; raises `NoSuchMailbox`."""
    return _shown(db, account, number_of(identity))


def _named(db: Connection, account: AccountId, name: str) -> int | None:
    row = db.one(
        "SELECT mailbox FROM store_mailboxes WHERE account = ? AND name = ?", (account, name)
    )
    return row[0] if row else None


def _with_role(db: Connection, account: AccountId, role: Role) -> int | None:
    row = db.one(
        "SELECT mailbox FROM store_mailboxes WHERE account = ? AND role = ?",
        (account, role.value),
    )
    return row[0] if row else None


def create(db: Connection, account: AccountId, name: str, role: Role, now: float) -> Done:
    """Make a mailbox (see `IAccount.create`)."""
    name = proper_name(name)
    _refuse_taken(db, account, name)
    _refuse_role(db, account, role)
    modseq, _ = _claim(db, account, now)
    made = _make(db, account, name, role, modseq, now)
    return Done(_shown(db, account, made[-1]), modseq, frozenset(map(mailbox_id, made)))


def _make(
    db: Connection, account: AccountId, name: str, role: Role, modseq: ModSeq, now: float
) -> list[int]:
    """Make a mailbox, and those above it that are missing; return their numbers."""
    made = [
        _make_one(db, account, above, Role.NONE, modseq, now)
        for above in names_above(name)
        if _named(db, account, above) is None
    ]
    return [*made, _make_one(db, account, name, role, modseq, now)]


def _make_one(
    db: Connection, account: AccountId, name: str, role: Role, modseq: ModSeq | int, now: float
) -> int:
    row = db.one(
        "UPDATE store_accounts SET number = number + 1,"
        " uid_validity = max(uid_validity + 1, ?) WHERE account = ?"
        " RETURNING number, uid_validity",
        (int(now), account),
    )
    assert row
    number, validity = row
    db.execute(
        "INSERT INTO store_mailboxes VALUES (?, ?, ?, ?, ?, 1, ?, 0, 0, 0, 0)",
        (account, number, name, role.value, validity, modseq),
    )
    _note(db, account, modseq, number, What.MADE)
    return int(number)


def edit(
    db: Connection, account: AccountId, identity: MailboxId, change: MailboxEdit, now: float
) -> Done:
    """Rename a mailbox, or give it another role (see `IAccount.edit`)."""
    box = mailbox(db, account, identity)
    name = box.name if change.name is None else proper_name(change.name)
    role = box.role if change.role is None else change.role
    if role is not box.role:
        _refuse_role(db, account, role)
    if box.role is Role.INBOX and (name, role) != (box.name, box.role):
        raise NotPermitted("INBOX stays what it is")
    if name != box.name:
        _refuse_taken(db, account, name)
        if name.startswith(box.name + SEPARATOR):
            raise NotPermitted("a mailbox can't be put into itself")
    modseq, _ = _claim(db, account, now)
    touched = {number_of(identity)}
    if name != box.name:
        touched |= _rename(db, account, box.name, name, modseq, now)
    db.execute(
        "UPDATE store_mailboxes SET role = ?, modseq = ? WHERE account = ? AND mailbox = ?",
        (role.value, modseq, account, number_of(identity)),
    )
    _note(db, account, modseq, number_of(identity), What.EDITED)
    return Done(mailbox(db, account, identity), modseq, frozenset(map(mailbox_id, touched)))


def _rename(
    db: Connection, account: AccountId, old: str, new: str, modseq: ModSeq, now: float
) -> set[int]:
    """Rename a mailbox and those in it, and make what is missing above the new name."""
    renamed = [
        (number, proper_name(new + name[len(old) :]))
        for number, name in db.all(
            "SELECT mailbox, name FROM store_mailboxes WHERE account = ?", (account,)
        )
        if f"{name}{SEPARATOR}".startswith(old + SEPARATOR)
    ]
    for number, name in renamed:
        db.execute(
            "UPDATE store_mailboxes SET name = ?, modseq = ? WHERE account = ? AND mailbox = ?",
            (name, modseq, account, number),
        )
        _note(db, account, modseq, number, What.EDITED)
    made = [
        _make_one(db, account, above, Role.NONE, modseq, now)
        for above in names_above(new)
        if _named(db, account, above) is None
    ]
    return {number for number, _ in renamed} | set(made)


def remove(db: Connection, account: AccountId, identity: MailboxId, now: float) -> Done:
    """Remove a mailbox and its messages (see `IAccount.remove`)."""
    box = mailbox(db, account, identity)
    if box.role is Role.INBOX:
        raise NotPermitted("INBOX can't be removed")
    above = box.name + SEPARATOR
    if any(other.name.startswith(above) for other in mailboxes(db, account)):
        raise NotPermitted("there are mailboxes in it")
    modseq, _ = _claim(db, account, now)
    number = number_of(identity)
    _drop(db, account, number, _places(db, account, number, UidSet.all()), modseq)
    db.execute(
        "DELETE FROM store_mailboxes WHERE account = ? AND mailbox = ?", (account, number)
    )
    _note(db, account, modseq, number, What.GONE)
    return Done(None, modseq, frozenset({identity}))


def subscriptions(db: Connection, account: AccountId) -> frozenset[str]:
    """Return the subscribed names."""
    rows = db.all("SELECT name FROM store_subscriptions WHERE account = ?", (account,))
    return frozenset(name for [name] in rows)


def subscribe(
    db: Connection, account: AccountId, names: Iterable[str], on: bool, now: float
) -> Done:
    """Subscribe names, or end it (see `IAccount.subscribe`)."""
    sql = (
        "INSERT INTO store_subscriptions VALUES (?, ?) ON CONFLICT DO NOTHING"
        if on
        else "DELETE FROM store_subscriptions WHERE account = ? AND name = ?"
    )
    changed = [name for name in map(proper_name, names) if db.execute(sql, (account, name))]
    numbers = [n for n in (_named(db, account, name) for name in changed) if n is not None]
    if not numbers:
        return Done(None, ModSeq(0), frozenset())
    modseq, _ = _claim(db, account, now)
    for number in numbers:
        db.execute(
            "UPDATE store_mailboxes SET modseq = ? WHERE account = ? AND mailbox = ?",
            (modseq, account, number),
        )
        _note(db, account, modseq, number, What.EDITED)
    return Done(None, modseq, frozenset(map(mailbox_id, numbers)))


def _refuse_taken(db: Connection, account: AccountId, name: str) -> None:
    if _named(db, account, name) is not None:
        raise AlreadyExists(f"there is a mailbox {name!r}")


def _refuse_role(db: Connection, account: AccountId, role: Role) -> None:
    if role is not Role.NONE and _with_role(db, account, role) is not None:
        raise NotPermitted(f"another mailbox is {role.value}")


# Flags.


def flag_sets(db: Connection, account: AccountId) -> dict[int, frozenset[str]]:
    """Return the account's flag sets by their numbers; a number never changes its meaning."""
    rows = db.all("SELECT flags, names FROM store_flag_sets WHERE account = ?", (account,))
    return {0: frozenset(), **{number: frozenset(names.split()) for number, names in rows}}


def _flag_set(db: Connection, account: AccountId, names: frozenset[str]) -> int:
    """Return the number of a flag set, which gets one if it has none."""
    if not names:
        return 0
    words = " ".join(sorted(names))
    row = db.one(
        "SELECT flags FROM store_flag_sets WHERE account = ? AND names = ?", (account, words)
    ) or db.one(
        "INSERT INTO store_flag_sets SELECT ?, coalesce(max(flags), 0) + 1, ?"
        " FROM store_flag_sets WHERE account = ? RETURNING flags",
        (account, words, account),
    )
    assert row
    return int(row[0])


def _spelt(db: Connection, account: AccountId, names: Iterable[str]) -> frozenset[str]:
    """Return flags as the account spells them, which remembers those that are new."""
    return frozenset(_SYSTEM.get(name.lower()) or _keyword(db, account, name) for name in names)


def _keyword(db: Connection, account: AccountId, name: str) -> str:
    db.execute(
        "INSERT INTO store_keywords VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (account, name.lower(), name),
    )
    row = db.one(
        "SELECT name FROM store_keywords WHERE account = ? AND folded = ?",
        (account, name.lower()),
    )
    assert row
    return str(row[0])


def flag(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    uids: UidSet,
    change: FlagChange,
    unless_after: ModSeq | None,
    now: float,
) -> Done:
    """Change the flags of messages (see `IAccount.flag`)."""
    number = _known(db, account, identity)
    change = FlagChange(change.change, _spelt(db, account, change.flags))
    sets = flag_sets(db, account)
    becomes = {old: change.applied_to(names) for old, names in sets.items()}
    failed: list[int] = []
    changed: dict[int, list[int]] = {}
    for first, last in uids.intervals:
        for uid, flags, modseq in db.all(
            "SELECT uid, flags, modseq FROM store_messages"
            " WHERE account = ? AND mailbox = ? AND uid BETWEEN ? AND ?",
            (account, number, first, last),
        ):
            if unless_after is not None and modseq > unless_after:
                failed.append(uid)
            elif becomes[flags] != sets[flags]:
                changed.setdefault(flags, []).append(uid)
    refused = UidSet.from_sorted(failed)
    if not changed:
        newest = account_modseq(db, account) or ModSeq(0)
        return Done(Flagged(newest, UidSet(), refused), newest, frozenset())
    modseq, _ = _claim(db, account, now)
    unseen = deleted = 0
    for old, touched in changed.items():
        new = becomes[old]
        _set_flags(db, account, number, touched, _flag_set(db, account, new), modseq)
        unseen += len(touched) * ((SEEN in sets[old]) - (SEEN in new))
        deleted += len(touched) * ((DELETED in new) - (DELETED in sets[old]))
    everything = UidSet.from_sorted(
        sorted(uid for touched in changed.values() for uid in touched)
    )
    db.execute(
        "UPDATE store_mailboxes SET unseen = unseen + ?, deleted = deleted + ?, modseq = ?"
        " WHERE account = ? AND mailbox = ?",
        (unseen, deleted, modseq, account, number),
    )
    _note(db, account, modseq, number, What.CHANGED, everything)
    return Done(Flagged(modseq, everything, refused), modseq, frozenset({identity}))


def _set_flags(
    db: Connection,
    account: AccountId,
    mailbox: int,
    uids: Sequence[int],
    flags: int,
    modseq: ModSeq,
) -> None:
    db.executemany(
        "UPDATE store_messages SET flags = ?, modseq = ?"
        " WHERE account = ? AND mailbox = ? AND uid BETWEEN ? AND ?",
        [
            (flags, modseq, account, mailbox, first, last)
            for first, last in UidSet.from_sorted(uids).intervals
        ],
    )


# Adding.


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
    known = db.one(
        "SELECT detail FROM store_deliveries WHERE account = ? AND key = ?", (account, key)
    )
    if known:
        return Done(known[0], ModSeq(0), frozenset())
    modseq, email = _claim(db, account, now, numbers=0 if message.email else 1)
    email = message.email or email
    flags: dict[int, frozenset[str]] = {}
    for placement in placements:
        number = _place(db, account, placement, modseq, now)
        wanted = _spelt(db, account, message.flags | placement.flags)
        flags[number] = flags.get(number, frozenset()) | wanted
    _add_email(db, account, email, message, len(flags), now)
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
        number = _with_role(db, account, placement.role)
        if number is not None:
            return number
    try:
        name = proper_name(placement.mailbox)
    except NotPermitted:
        name = INBOX
    number = _named(db, account, name)
    if number is None and placement.create:
        return _make(db, account, name, placement.role, modseq, now)[-1]
    if number is None:
        number = _with_role(db, account, Role.INBOX)
    assert number is not None
    return number


def append(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    messages: Sequence[Stored],
    replacing: Replaced | None,
    now: float,
) -> Done:
    """Add messages, all or none (see `IAccount.append`)."""
    number = _known(db, account, identity)
    source = _known(db, account, replacing.mailbox) if replacing else 0
    replaced = _places(db, account, source, UidSet.of(replacing.uid)) if replacing else []
    if replacing and not replaced:
        raise NoSuchMessage(f"{replacing} has gone")
    if not messages:
        return Done([], ModSeq(0), frozenset())
    small = sum(not message.email for message in messages)
    modseq, fresh = _claim(db, account, now, numbers=small)
    emails = []
    for message in messages:
        emails.append(message.email or fresh)
        fresh += not message.email
    threads = [
        _add_email(db, account, email, message, 1, now)
        for email, message in zip(emails, messages, strict=True)
    ]
    rows = [
        (email, _spelt(db, account, message.flags), message.size)
        for email, message in zip(emails, messages, strict=True)
    ]
    first = _add_places(db, account, number, rows, modseq, now)
    _drop(db, account, source, replaced, modseq)
    appended = [
        Appended(Uid(first + at), modseq, email_id(email), thread_id(thread))
        for at, (email, thread) in enumerate(zip(emails, threads, strict=True))
    ]
    touched = {identity, replacing.mailbox} if replacing else {identity}
    return Done(appended, modseq, frozenset(touched))


def _add_email(
    db: Connection, account: AccountId, email: int, message: Stored, places: int, now: float
) -> int:
    """Keep what all places of a message share; return its thread."""
    thread = _thread(db, account, email, message.references)
    received = now if message.received is None else message.received
    db.execute(
        "INSERT INTO store_emails VALUES (?, ?, ?, ?, ?, ?, ?)",
        (account, email, thread, message.size, received, places, message.summary),
    )
    if message.octets is None:
        db.execute(
            "DELETE FROM store_unnamed WHERE account = ? AND email = ?", (account, email)
        )
    else:
        db.execute(
            "INSERT INTO store_contents VALUES (?, ?, 0, ?)", (account, email, message.octets)
        )
    return thread


def _thread(db: Connection, account: AccountId, email: int, references: Sequence[bytes]) -> int:
    """Return the thread that shares a reference; those that now share one become one."""
    if not references:
        return email
    hashed = [blake2b(name, digest_size=12).digest() for name in references]
    marks = ", ".join("?" * len(hashed))
    rows = db.all(
        "SELECT DISTINCT thread FROM store_references"  # noqa: S608 - marks are question marks
        f" WHERE account = ? AND reference IN ({marks})",
        (account, *hashed),
    )
    thread, *others = sorted(known for [known] in rows) or [email]
    for other in others:
        for table in ("emails", "references"):
            db.execute(
                f"UPDATE store_{table} SET thread = ? WHERE account = ? AND thread = ?",  # noqa: S608
                (thread, account, other),
            )
    db.executemany(
        "INSERT INTO store_references VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(account, one, thread) for one in hashed],
    )
    return int(thread)


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
    numbers = {
        flags: _flag_set(db, account, flags) for flags in {flags for _, flags, _ in rows}
    }
    db.executemany(
        "INSERT INTO store_messages VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (account, mailbox, first + at, modseq, numbers[flags], email, now)
            for at, (email, flags, _) in enumerate(rows)
        ],
    )
    if rows:
        whole = UidSet(((first, first + len(rows) - 1),))
        _note(db, account, modseq, mailbox, What.ADDED, whole)
    return first


# Moving and removing.


def _known(db: Connection, account: AccountId, identity: MailboxId) -> int:
    """Return a mailbox's number; raises `NoSuchMailbox`."""
    number = number_of(identity)
    if not db.one(
        "SELECT 1 FROM store_mailboxes WHERE account = ? AND mailbox = ?", (account, number)
    ):
        raise NoSuchMailbox(f"{account} has no mailbox {identity}")
    return number


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
    source, goal = _known(db, account, identity), _known(db, account, target)
    places = _places(db, account, source, uids)
    validity = _shown(db, account, goal).uid_validity
    if not places:
        newest = account_modseq(db, account) or ModSeq(0)
        return Done(Moved(validity, (), (), newest), newest, frozenset())
    modseq, _ = _claim(db, account, now)
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
    number = _known(db, account, identity)
    places = _places(db, account, number, uids)
    if not places:
        return Done(UidSet(), ModSeq(0), frozenset())
    modseq, _ = _claim(db, account, now)
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
    _note(db, account, modseq, mailbox, What.REMOVED, gone)
    return gone


# Contents.


def begin_content(db: Connection, account: AccountId, now: float) -> int:
    """Return the number of an email whose octets will come in pieces."""
    _, email = _claim(db, account, now, numbers=1)
    db.execute("INSERT INTO store_unnamed VALUES (?, ?, 0)", (account, email))
    return email


def add_pieces(
    db: Connection, account: AccountId, email: int, first: int, pieces: Sequence[bytes]
) -> None:
    """Keep the next pieces of a content."""
    db.executemany(
        "INSERT INTO store_contents VALUES (?, ?, ?, ?)",
        [(account, email, first + at, octets) for at, octets in enumerate(pieces)],
    )


def pieces(
    db: Connection, account: AccountId, email: int, first: int, last: int
) -> list[bytes]:
    """Return some pieces of a content; raises `NoSuchMessage` if they have gone."""
    rows = db.all(
        "SELECT octets FROM store_contents"
        " WHERE account = ? AND email = ? AND piece BETWEEN ? AND ? ORDER BY piece",
        (account, email, first, last),
    )
    if len(rows) != last - first + 1:
        raise NoSuchMessage(f"{account} has no content {email_id(email)}")
    return [octets for [octets] in rows]


def drop_content(db: Connection, account: AccountId, email: int) -> None:
    """Forget a content that was not finished."""
    _forget(db, [(account, email)])


def sweep(db: Connection, account: AccountId, since: ModSeq | None) -> bool:
    """Forget some contents without a name that nobody reads; return whether there is more.

    ``since`` is what the oldest reader saw: what lost its name later stays for it.
    """
    rows = db.all(
        "SELECT account, email FROM store_unnamed"
        " WHERE account = ? AND modseq BETWEEN 1 AND ? LIMIT ?",
        (account, 2**62 if since is None else since, SWEPT_AT_ONCE),
    )
    _forget(db, rows)
    return len(rows) == SWEPT_AT_ONCE


def sweep_all(db: Connection) -> bool:
    """Forget some contents without a name, of any account, when nobody reads yet."""
    rows = db.all("SELECT account, email FROM store_unnamed LIMIT ?", (SWEPT_AT_ONCE,))
    _forget(db, rows)
    return len(rows) == SWEPT_AT_ONCE


def _forget(db: Connection, emails: Sequence[Row]) -> None:
    for table in ("contents", "emails", "unnamed"):
        db.executemany(
            f"DELETE FROM store_{table} WHERE account = ? AND email = ?",  # noqa: S608
            emails,
        )


def forget_keys(db: Connection, now: float) -> None:
    """Forget the keys of deliveries that were made long ago."""
    db.execute("DELETE FROM store_deliveries WHERE made < ?", (now - KEPT_KEYS,))


# Reading.


def index(
    db: Connection, account: AccountId, identity: MailboxId
) -> tuple[ModSeq, list[Row], dict[int, frozenset[str]]]:
    """Return a mailbox's rows of UID, flag set and mod-sequence, and what the sets are."""
    number = _known(db, account, identity)
    rows = db.all(
        "SELECT uid, flags, modseq FROM store_messages"
        " WHERE account = ? AND mailbox = ? ORDER BY uid",
        (account, number),
    )
    return account_modseq(db, account) or ModSeq(0), rows, flag_sets(db, account)


def batch(
    db: Connection,
    account: AccountId,
    mailbox: int,
    uids: UidSet,
    most: int,
    summaries: bool,
    contents_up_to: int,
) -> list[Row]:
    """Return up to ``most`` messages as rows; contents only of those not larger than that."""
    columns = "m.uid, m.modseq, m.email, e.thread, e.size, e.received, m.saved, m.flags"
    columns += ", e.summary" if summaries else ", NULL"
    columns += ", c.octets" if contents_up_to else ", NULL"
    contents = (
        "LEFT JOIN store_contents c ON c.account = m.account AND c.email = m.email"
        " AND c.piece = 0 AND e.size <= ?"
        if contents_up_to
        else ""
    )
    sql = (
        f"SELECT {columns} FROM store_messages m"  # noqa: S608 - all of it stands above
        " JOIN store_emails e ON e.account = m.account AND e.email = m.email"
        f" {contents} WHERE m.account = ? AND m.mailbox = ? AND m.uid BETWEEN ? AND ?"
        " ORDER BY m.uid LIMIT ?"
    )
    limit = (contents_up_to,) if contents_up_to else ()
    rows: list[Row] = []
    for first, last in uids.intervals:
        rows += db.all(sql, (*limit, account, mailbox, first, last, most - len(rows)))
        if len(rows) >= most:
            break
    return rows


def changes(
    db: Connection, account: AccountId, since: ModSeq, identity: MailboxId | None
) -> Changes:
    """Return what happened after a mod-sequence (see `IAccount.changes`)."""
    row = db.one("SELECT modseq, forgotten FROM store_accounts WHERE account = ?", (account,))
    newest, forgotten = row or (0, 0)
    if since < forgotten:
        return Changes(ModSeq(newest), complete=False)
    wanted = None if identity is None else _known(db, account, identity)
    seen: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for mailbox, what, first, last in db.all(
        "SELECT mailbox, what, first, last FROM store_changes WHERE account = ? AND modseq > ?",
        (account, since),
    ):
        if wanted in (None, mailbox):
            seen.setdefault((what, mailbox), []).append((first, last))
    return _summed(ModSeq(newest), seen)


def _summed(newest: ModSeq, seen: dict[tuple[int, int], list[tuple[int, int]]]) -> Changes:
    def of(what: What) -> set[int]:
        return {number for kind, number in seen if kind == what}

    def uids(what: What, number: int) -> UidSet:
        return UidSet.from_intervals(seen.get((what, number), ()))

    made, edited, gone = of(What.MADE), of(What.EDITED), of(What.GONE)
    found: list[MailboxChanges] = []
    for number in sorted((of(What.ADDED) | of(What.CHANGED) | of(What.REMOVED)) - gone):
        added, removed = uids(What.ADDED, number), uids(What.REMOVED, number)
        change = MailboxChanges(
            mailbox_id(number),
            added - removed,
            uids(What.CHANGED, number) - added - removed,
            removed - added,
        )
        if change.added or change.changed or change.removed:
            found.append(change)
    return Changes(
        modseq=newest,
        mailboxes=tuple(found),
        made=frozenset(map(mailbox_id, made - gone)),
        edited=frozenset(map(mailbox_id, edited - made - gone)),
        removed=frozenset(map(mailbox_id, gone - made)),
    )


def _note(
    db: Connection,
    account: AccountId,
    modseq: ModSeq | int,
    mailbox: int,
    what: What,
    uids: UidSet = NO_UIDS,
) -> None:
    """Write down what was done; a later note of the same adds nothing."""
    db.executemany(
        "INSERT INTO store_changes VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(account, modseq, mailbox, int(what), first, last) for first, last in uids.intervals],
    )


def forget_changes(db: Connection) -> None:
    """Forget changes so old that whoever asks for them may as well begin anew."""
    db.execute(
        "UPDATE store_accounts SET forgotten = modseq - ? WHERE modseq - forgotten > ?",
        (KEPT_CHANGES, 2 * KEPT_CHANGES),
    )
    db.execute(
        "DELETE FROM store_changes WHERE EXISTS (SELECT 1 FROM store_accounts a"
        " WHERE a.account = store_changes.account AND store_changes.modseq <= a.forgotten)"
    )
