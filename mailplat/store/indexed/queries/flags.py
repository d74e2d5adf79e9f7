"""Flag sets, keywords, and changes of flags."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from mailplat.mail.mailbox import (
    DELETED,
    SEEN,
    SYSTEM_FLAGS,
    Change,
    FlagChange,
    Flagged,
    MailboxId,
    ModSeq,
    UidSet,
)
from mailplat.mail.people import AccountId
from mailplat.sql import Connection, Row, bulk, makes_room
from mailplat.store.indexed.queries.changes import (
    Done,
    What,
    account_modseq,
    known,
    note,
)
from mailplat.store.indexed.queries.mailboxes import claim

FEW_SETS = 8  # flag sets for each of which all rows are gone through
_SYSTEM = {name.lower(): name for name in SYSTEM_FLAGS}


def flag_sets(db: Connection, account: AccountId) -> dict[int, frozenset[str]]:
    """Return the account's flag sets by their numbers; a number never changes its meaning."""
    rows = db.all("SELECT flags, names FROM store_flag_sets WHERE account = ?", (account,))
    return {0: frozenset(), **{number: frozenset(names.split()) for number, names in rows}}


def flag_set(db: Connection, account: AccountId, names: frozenset[str]) -> int:
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


def flag_set_each(
    db: Connection, wanted: Collection[tuple[AccountId, frozenset[str]]]
) -> dict[tuple[AccountId, frozenset[str]], int]:
    """Return the numbers of accounts' flag sets; one that has none gets one."""
    words = {(account, " ".join(sorted(names))): names for account, names in wanted if names}
    rows = bulk(
        db,
        "SELECT account, names, flags FROM store_flag_sets"
        " WHERE (account, names) IN (VALUES {rows})",
        sorted(words),
    )
    numbers = {(AccountId(account), words[account, said]): one for account, said, one in rows}
    for account, names in wanted:
        if (account, names) not in numbers:
            numbers[account, names] = flag_set(db, account, names)
    return numbers


def spelt(db: Connection, account: AccountId, names: Iterable[str]) -> frozenset[str]:
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
    number = known(db, account, identity)
    change = FlagChange(change.change, spelt(db, account, change.flags))
    sets = flag_sets(db, account)
    becomes = {old: change.applied_to(names) for old, names in sets.items()}
    failed: list[int] = []
    changed: dict[int, list[int]] = {}
    for first, last in uids.intervals:
        rows = db.all(
            "SELECT uid, flags, modseq FROM store_messages"
            " WHERE account = ? AND mailbox = ? AND uid BETWEEN ? AND ? ORDER BY uid",
            (account, number, first, last),
        )
        if unless_after is not None:
            failed += [uid for uid, _, modseq in rows if modseq > unless_after]
            rows = [row for row in rows if row[2] <= unless_after]
        for old, touched in _by_flags(rows):
            if becomes[old] != sets[old]:
                changed.setdefault(old, []).extend(touched)
    refused = UidSet.from_rising(failed)
    if not changed:
        newest = account_modseq(db, account) or ModSeq(0)
        return Done(Flagged(newest, UidSet(), refused), newest, frozenset())
    modseq = claim(db, account, now)
    unseen = deleted = 0
    everything = UidSet()
    for old, touched in changed.items():
        new, some = becomes[old], UidSet.from_rising(touched)
        _set_flags(db, account, number, some, flag_set(db, account, new), modseq)
        unseen += len(touched) * ((SEEN in sets[old]) - (SEEN in new))
        deleted += len(touched) * ((DELETED in new) - (DELETED in sets[old]))
        everything |= some
    db.execute(
        "UPDATE store_mailboxes SET unseen = unseen + ?, deleted = deleted + ?, modseq = ?"
        " WHERE account = ? AND mailbox = ?",
        (unseen, deleted, modseq, account, number),
    )
    note(db, account, modseq, number, What.CHANGED, everything)
    return Done(Flagged(modseq, everything, refused), modseq, frozenset({identity}))


@makes_room
def flag_to_expunge(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    uids: UidSet,
    change: FlagChange,
    unless_after: ModSeq | None,
    now: float,
) -> Done:
    """Change flags as `flag` does, where `is_to_expunge` says so of the change.

    Who uses IMAP can remove nothing before that (RFC 9051, section 2.3.2), so it may
    take the room that is kept for removing.
    """
    return flag(db, account, identity, uids, change, unless_after, now)


def is_to_expunge(change: FlagChange) -> bool:
    r"""Say whether a change adds ``\Deleted``, and no more than ``\Seen`` with it."""
    names = {name.lower() for name in change.flags}
    return (
        change.change is Change.ADD
        and DELETED.lower() in names
        and names <= {DELETED.lower(), SEEN.lower()}
    )


def _by_flags(rows: Sequence[Row]) -> Iterator[tuple[int, list[int]]]:
    """Yield the UIDs of rows by their flag sets, of which there are nearly always few."""
    sets = {row[1] for row in rows}
    if len(sets) <= FEW_SETS:
        for flags in sets:
            yield flags, [row[0] for row in rows if row[1] == flags]
        return
    found: dict[int, list[int]] = {}
    for uid, flags, _ in rows:
        found.setdefault(flags, []).append(uid)
    yield from found.items()


def _set_flags(
    db: Connection,
    account: AccountId,
    mailbox: int,
    uids: UidSet,
    flags: int,
    modseq: ModSeq,
) -> None:
    db.executemany(
        "UPDATE store_messages SET flags = ?, modseq = ?"
        " WHERE account = ? AND mailbox = ? AND uid BETWEEN ? AND ?",
        [(flags, modseq, account, mailbox, first, last) for first, last in uids.intervals],
    )
