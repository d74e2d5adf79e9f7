"""Accounts and their mailboxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mailplat.mail.errors import AlreadyExists, NoSuchMailbox, NotPermitted
from mailplat.mail.mailbox import (
    INBOX,
    SEPARATOR,
    Mailbox,
    MailboxEdit,
    MailboxId,
    ModSeq,
    Role,
    names_above,
    proper_name,
)
from mailplat.mail.people import AccountId
from mailplat.sql import Connection, Row, bulk
from mailplat.store.indexed.queries.changes import Done, What, mailbox_id, note, number_of

INBOX_NUMBER = 1  # of every account's INBOX


def ensure_account(db: Connection, account: AccountId, now: float) -> ModSeq:
    """Make the account and its INBOX where they are missing; return the mod-sequence."""
    row = db.one("SELECT modseq FROM store_accounts WHERE account = ?", (account,))
    if row is None:
        db.execute(
            "INSERT INTO store_accounts VALUES (?, 1, 0, ?, 0)", (account, INBOX_NUMBER - 1)
        )
        _make_one(db, account, INBOX, Role.INBOX, 1, now)
        return ModSeq(1)
    return ModSeq(row[0])


def claim(db: Connection, account: AccountId, now: float) -> ModSeq:
    """Begin a change, and return its mod-sequence."""
    return claim_each(db, {account: 1}, now)[account]


def claim_each(
    db: Connection, counts: Mapping[AccountId, int], now: float
) -> dict[AccountId, ModSeq]:
    """Begin so many changes of each account; return each one's first mod-sequence."""
    sql = (
        "UPDATE store_accounts SET modseq = modseq + column2 FROM (VALUES {rows}) AS claim"
        " WHERE account = column1 RETURNING account, modseq"
    )
    rows = bulk(db, sql, sorted(counts.items()))
    if len(rows) < len(counts):
        missing = counts.keys() - {account for account, _ in rows}
        for account in sorted(missing):
            ensure_account(db, account, now)
        rows += bulk(db, sql, sorted((account, counts[account]) for account in missing))
    return {account: ModSeq(modseq - counts[account] + 1) for account, modseq in rows}


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


def shown(db: Connection, account: AccountId, number: int) -> Mailbox:
    """Return one mailbox by its number; raises `NoSuchMailbox`."""
    row = db.one(f"{_MAILBOX} AND m.mailbox = ?", (account, number))
    if row is None:
        raise NoSuchMailbox(f"{account} has no mailbox {mailbox_id(number)}")
    return _mailbox(row)


def mailbox(db: Connection, account: AccountId, identity: MailboxId) -> Mailbox:
    """Return one mailbox; raises `NoSuchMailbox`."""
    return shown(db, account, number_of(identity))


def named(db: Connection, account: AccountId, name: str) -> int | None:
    """Return the number of the mailbox with that name, if there is one."""
    row = db.one(
        "SELECT mailbox FROM store_mailboxes WHERE account = ? AND name = ?", (account, name)
    )
    return row[0] if row else None


def with_role(db: Connection, account: AccountId, role: Role) -> int | None:
    """Return the number of the mailbox with that role, if there is one."""
    row = db.one(
        "SELECT mailbox FROM store_mailboxes WHERE account = ? AND role = ?",
        (account, role.value),
    )
    return row[0] if row else None


def touch(db: Connection, account: AccountId, number: int, modseq: ModSeq) -> MailboxId:
    """Say that something about a mailbox itself has changed; return its identity."""
    db.execute(
        "UPDATE store_mailboxes SET modseq = ? WHERE account = ? AND mailbox = ?",
        (modseq, account, number),
    )
    note(db, account, modseq, number, What.EDITED)
    return mailbox_id(number)


def create(db: Connection, account: AccountId, name: str, role: Role, now: float) -> Done:
    """Make a mailbox (see `IAccount.create`)."""
    name = proper_name(name)
    _refuse_taken(db, account, name)
    _refuse_role(db, account, role)
    modseq = claim(db, account, now)
    made = make(db, account, name, role, modseq, now)
    return Done(shown(db, account, made[-1]), modseq, frozenset(map(mailbox_id, made)))


def make(
    db: Connection, account: AccountId, name: str, role: Role, modseq: ModSeq, now: float
) -> list[int]:
    """Make a mailbox, and those above it that are missing; return their numbers."""
    made = [
        _make_one(db, account, above, Role.NONE, modseq, now)
        for above in names_above(name)
        if named(db, account, above) is None
    ]
    return [*made, _make_one(db, account, name, role, modseq, now)]


def _make_one(
    db: Connection, account: AccountId, name: str, role: Role, modseq: ModSeq | int, now: float
) -> int:
    row = db.one(
        "UPDATE store_accounts SET number = number + 1, uid_validity ="
        " CASE WHEN uid_validity < ?1 THEN ?1 ELSE uid_validity + 1 END"
        " WHERE account = ?2 RETURNING number, uid_validity",
        (int(now), account),
    )
    assert row
    number, validity = row
    db.execute(
        "INSERT INTO store_mailboxes VALUES (?, ?, ?, ?, ?, 1, ?, 0, 0, 0, 0)",
        (account, number, name, role.value, validity, modseq),
    )
    note(db, account, modseq, number, What.MADE)
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
    modseq = claim(db, account, now)
    touched = {number_of(identity)}
    if name != box.name:
        touched |= _rename(db, account, box.name, name, modseq, now)
    db.execute(
        "UPDATE store_mailboxes SET role = ?, modseq = ? WHERE account = ? AND mailbox = ?",
        (role.value, modseq, account, number_of(identity)),
    )
    note(db, account, modseq, number_of(identity), What.EDITED)
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
        note(db, account, modseq, number, What.EDITED)
    made = [
        _make_one(db, account, above, Role.NONE, modseq, now)
        for above in names_above(new)
        if named(db, account, above) is None
    ]
    return {number for number, _ in renamed} | set(made)


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
    numbers = [n for n in (named(db, account, name) for name in changed) if n is not None]
    if not numbers:
        return Done(None, ModSeq(0), frozenset())
    modseq = claim(db, account, now)
    touched = frozenset(touch(db, account, number, modseq) for number in numbers)
    return Done(None, modseq, touched)


def _refuse_taken(db: Connection, account: AccountId, name: str) -> None:
    if named(db, account, name) is not None:
        raise AlreadyExists(f"there is a mailbox {name!r}")


def _refuse_role(db: Connection, account: AccountId, role: Role) -> None:
    if role is not Role.NONE and with_role(db, account, role) is not None:
        raise NotPermitted(f"another mailbox is {role.value}")
