"""Contents that lie elsewhere: which email has which, and which none has any more.

A key gets an email in the commit for which its content was added, in one that finds
another email with the same content, or behind the first, while nobody removes it yet, in
place of an equal one that is damaged.  So a key that no email has any more gets none
again, and its content can be removed without asking anybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mailplat.mail.people import AccountId
from mailplat.sql import Connection, bulk


@attrs.frozen
class Kept:
    """A content that lies elsewhere.

    Where it is ``addressed``, all contents with that ``finder`` are the same.
    """

    key: str
    finder: bytes
    addressed: bool


def name_keys(db: Connection, named: Sequence[tuple[int, AccountId, Kept]]) -> list[str]:
    """Note which content each email has; return the keys that are left without an email.

    Of contents that are the same the first is kept.  The row that is found is written,
    so that nobody can remove it in a transaction beside this one.
    """
    addresses = sorted({kept.finder for _, _, kept in named if kept.addressed})
    known: dict[bytes, str] = dict(
        bulk(
            db,
            "UPDATE store_keys SET account = account WHERE email IN (SELECT (SELECT email"
            " FROM store_keys WHERE finder = column1 LIMIT 1) FROM (VALUES {rows}) AS wanted)"
            " RETURNING finder, key",
            [(finder,) for finder in addresses],
        )
    )
    rows: list[tuple[int, str, str, bytes]] = []
    left: list[str] = []
    for email, account, kept in named:
        key = known.setdefault(kept.finder, kept.key) if kept.addressed else kept.key
        rows.append((email, account, key, kept.finder))
        if key != kept.key:
            left.append(kept.key)
    bulk(db, "INSERT INTO store_keys VALUES {rows}", rows)
    return left


def forget_key(db: Connection, account: AccountId, email: int) -> list[str]:
    """Forget an email's key, if it has one; return it if no other email has it."""
    row = db.one(
        "DELETE FROM store_keys WHERE account = ? AND email = ? RETURNING finder, key",
        (account, email),
    )
    if row is None or db.one("SELECT 1 FROM store_keys WHERE finder = ? AND key = ?", row):
        return []
    return [row[1]]


def without_email(db: Connection, contents: Sequence[Kept]) -> list[str]:
    """Return the keys of those contents that no email has."""
    rows = bulk(
        db,
        "SELECT DISTINCT key FROM store_keys WHERE finder IN (VALUES {rows})",
        [(kept.finder,) for kept in contents],
    )
    known = {key for [key] in rows}
    return [kept.key for kept in contents if kept.key not in known]


def keys_with(db: Connection, finder: bytes) -> list[str]:
    """Return the keys of the contents with that finder that emails have."""
    rows = db.all("SELECT DISTINCT key FROM store_keys WHERE finder = ?", (finder,))
    return [key for [key] in rows]


def exchange(db: Connection, finder: bytes, damaged: str, sound: str) -> bool:
    """Give all emails that have a damaged content a sound one; return whether any had it."""
    had = db.one("SELECT 1 FROM store_keys WHERE finder = ? AND key = ?", (finder, damaged))
    db.execute(
        "UPDATE store_keys SET key = ? WHERE finder = ? AND key = ?", (sound, finder, damaged)
    )
    return had is not None


def key_of(db: Connection, account: AccountId, email: int) -> str | None:
    """Return the key of an email's content, or None where it lies in the database."""
    row = db.one("SELECT key FROM store_keys WHERE account = ? AND email = ?", (account, email))
    return row[0] if row else None


def place(db: Connection) -> tuple[str, str, bool]:
    """Return the name of the place that keys belong to, its mark, and whether there are any.

    Name and mark are empty where there was no place yet.
    """
    name, mark = db.one("SELECT name, mark FROM store_place") or ("", "")
    return name, mark, db.one("SELECT 1 FROM store_keys LIMIT 1") is not None


def set_place(db: Connection, name: str, mark: str) -> None:
    """Note the name of the place that all keys will belong to, and its mark."""
    db.execute("DELETE FROM store_place")
    db.execute("INSERT INTO store_place VALUES (?, ?)", (name, mark))
