"""What was done in an account, in the order of its mod-sequences."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import attrs

from mailplat.mail.errors import NoSuchMailbox
from mailplat.mail.mailbox import Changes, MailboxChanges, MailboxId, ModSeq, UidSet
from mailplat.mail.people import AccountId
from mailplat.sql import Connection, bulk, makes_room

NO_UIDS = UidSet(((0, 0),))  # for what is said of a mailbox as a whole
KEPT_CHANGES = 100_000  # mod-sequences that `changes` can go back
ACCOUNTS_AT_ONCE = 100  # looked at in one unit of work
ROWS_AT_ONCE = 1000  # forgotten in one


class What(IntEnum):
    """What a row of `store_changes` says of a mailbox, or of a range of its messages."""

    MADE = 1
    EDITED = 2
    GONE = 3
    ADDED = 4
    CHANGED = 5
    REMOVED = 6


@attrs.frozen
class Done:
    """What a unit of work answers, and what it has changed in which mailboxes.

    ``left`` are keys of contents that were added for it and that no email has got;
    ``news`` is what the bus hears of it besides.  Where it is ``unfinished`` more is to
    follow before a place that shows mailboxes is told.
    """

    answer: object
    modseq: ModSeq
    mailboxes: frozenset[MailboxId]
    left: tuple[str, ...] = ()
    news: tuple[object, ...] = ()
    unfinished: bool = False


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


def note(
    db: Connection,
    account: AccountId,
    modseq: ModSeq | int,
    mailbox: int,
    what: What,
    uids: UidSet = NO_UIDS,
) -> None:
    """Write down what was done in one mailbox; see `note_all`."""
    note_all(db, what, [(account, modseq, mailbox, *interval) for interval in uids.intervals])


def note_all(
    db: Connection, what: What, ranges: Iterable[tuple[AccountId, ModSeq | int, int, int, int]]
) -> None:
    """Write down what was done to ranges of UIDs: account, mod-sequence, mailbox, first, last.

    A later note of the same adds nothing.  Other nodes of the database are told.
    """
    rows = [
        (account, modseq, mailbox, int(what), first, last)
        for account, modseq, mailbox, first, last in ranges
    ]
    bulk(db, "INSERT INTO store_changes VALUES {rows} ON CONFLICT DO NOTHING", rows)
    for account, modseq, *_ in rows:
        db.tell(f"{account} {modseq}")


def account_modseq(db: Connection, account: AccountId) -> ModSeq | None:
    """Return the account's newest mod-sequence, or None where it has no mail yet."""
    row = db.one("SELECT modseq FROM store_accounts WHERE account = ?", (account,))
    return ModSeq(row[0]) if row else None


def known(db: Connection, account: AccountId, identity: MailboxId) -> int:
    """Return a mailbox's number; raises `NoSuchMailbox`."""
    number = number_of(identity)
    if not db.one(
        "SELECT 1 FROM store_mailboxes WHERE account = ? AND mailbox = ?", (account, number)
    ):
        raise NoSuchMailbox(f"{account} has no mailbox {identity}")
    return number


def changes(
    db: Connection, account: AccountId, since: ModSeq, identity: MailboxId | None
) -> Changes:
    """Return what happened after a mod-sequence (see `IAccount.changes`)."""
    row = db.one("SELECT modseq, forgotten FROM store_accounts WHERE account = ?", (account,))
    newest, forgotten = row or (0, 0)
    if since < forgotten:
        return Changes(ModSeq(newest), complete=False)
    wanted = None if identity is None else known(db, account, identity)
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

    is_annotated = (What.EDITED, 0) in seen
    seen = {key: ranges for key, ranges in seen.items() if key[1]}
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
        annotated=is_annotated,
    )


@makes_room
def forget_changes(db: Connection, behind: str) -> str | None:
    """Forget the oldest changes of accounts that have very many, as far as one unit goes.

    Whoever asks for changes so old may as well begin anew.  Return behind which
    account to go on, if anywhere; one begins behind an empty one.
    """
    some = "SELECT account FROM store_accounts WHERE account > ? ORDER BY account LIMIT ?"
    db.execute(
        f"UPDATE store_accounts SET forgotten = modseq - ? WHERE account IN ({some})"  # noqa: S608
        " AND modseq - forgotten > ?",
        (KEPT_CHANGES, behind, ACCOUNTS_AT_ONCE, 2 * KEPT_CHANGES),
    )
    accounts = db.all(some, (behind, ACCOUNTS_AT_ONCE))
    room = ROWS_AT_ONCE
    for [account] in accounts:
        room -= _forget_some(db, account, room)
        if room <= 0:
            return behind
        behind = account
    return behind if len(accounts) == ACCOUNTS_AT_ONCE else None


def _forget_some(db: Connection, account: str, most: int) -> int:
    """Delete so many changes that `changes` doesn't tell any more; return their number."""
    key = "account, modseq, mailbox, what, first"
    return db.execute(
        f"DELETE FROM store_changes WHERE ({key}) IN (SELECT {key} FROM store_changes"  # noqa: S608
        " WHERE account = ?1 AND modseq <="
        " (SELECT forgotten FROM store_accounts WHERE account = ?1) LIMIT ?2)",
        (account, most),
    )
