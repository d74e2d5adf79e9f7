"""The tables of maildirs: whose names are whose, and where each account's maildir is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from mailplat.mail.people import AccountId
from mailplat.sql import Connection, bulk, makes_room


@attrs.frozen
class Brought:
    """A file that another program brought, and the content that was made of it."""

    key: str
    mailbox: str  # by its tag
    name: bytes  # its base
    uid: int = 0  # 0: the index has given none yet


def token(db: Connection, new: str) -> str:
    """Return by what the house knows its own again; ``new`` if there was nothing."""
    row = db.one("SELECT token FROM maildir_house")
    if row is None:
        db.execute("INSERT INTO maildir_house VALUES (?)", (new,))
        return new
    return str(row[0])


NEW, TAKEN, SHOWN = 0, 1, 2  # nothing of it is known, nothing is to be taken over, it is shown


def folder(db: Connection, account: AccountId) -> tuple[str, int] | None:
    """Return an account's folder, and how far it is: one of the three above."""
    row = db.one("SELECT folder, taken FROM maildir_accounts WHERE account = ?", (account,))
    return (str(row[0]), int(row[1])) if row else None


def has_folder(db: Connection, account: AccountId, wanted: str, apart: str) -> str:
    """Give an account a folder, the other one where the one wanted is another account's."""
    row = db.one("SELECT folder FROM maildir_accounts WHERE account = ?", (account,))
    if row:
        return str(row[0])
    if db.one("SELECT 1 FROM maildir_accounts WHERE folder = ?", (wanted,)):
        wanted = apart
    db.execute("INSERT INTO maildir_accounts VALUES (?, ?, 0)", (account, wanted))
    return wanted


def set_taken(db: Connection, account: AccountId) -> None:
    """Note that there is nothing more to be taken over."""
    db.execute(
        "UPDATE maildir_accounts SET taken = ? WHERE account = ? AND taken = ?",
        (TAKEN, account, NEW),
    )


def set_shown(db: Connection, account: AccountId, before: int, now: int) -> None:
    """Note that an account is shown, or isn't any more."""
    db.execute(
        "UPDATE maildir_accounts SET taken = ? WHERE account = ? AND taken = ?",
        (now, account, before),
    )


def forget(db: Connection, account: AccountId) -> None:
    """Forget an account."""
    for table in ("maildir_accounts", "maildir_names"):
        db.execute(f"DELETE FROM {table} WHERE account = ?", (account,))  # noqa: S608


def brought(db: Connection, account: AccountId) -> list[Brought]:
    """Return what other programs have brought to an account."""
    rows = db.all(
        "SELECT key, mailbox, name, uid FROM maildir_names WHERE account = ? ORDER BY uid",
        (account,),
    )
    return [Brought(*row) for row in rows]


def add_brought(db: Connection, account: AccountId, one: Brought) -> None:
    """Remember of which file a content was made."""
    db.execute(
        "INSERT INTO maildir_names VALUES (?, ?, ?, ?, ?)",
        (one.key, account, one.mailbox, one.name, one.uid),
    )


def set_uids(db: Connection, uids: Mapping[str, int]) -> None:
    """Remember which UIDs the index has given, by the keys of contents."""
    db.executemany(
        "UPDATE maildir_names SET uid = ? WHERE key = ?",
        [(uid, key) for key, uid in uids.items()],
    )


@makes_room
def forget_keys(db: Connection, keys: Iterable[str]) -> None:
    """Forget files whose contents are gone."""
    rows: Sequence[tuple[str]] = [(key,) for key in keys]
    bulk(db, "DELETE FROM maildir_names WHERE key IN (VALUES {rows})", rows)
