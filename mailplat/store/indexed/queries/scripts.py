"""Sieve scripts."""

from __future__ import annotations

from mailplat.mail.errors import AlreadyExists, NoSuchScript, NotPermitted, TooLarge, TooMany
from mailplat.mail.limits import Limits
from mailplat.mail.people import AccountId
from mailplat.mail.scripts import proper_script_name
from mailplat.sql import Connection, makes_room


def scripts(db: Connection, account: AccountId) -> dict[str, bool]:
    """Return the scripts' names, and which is active (see `ISieveScripts.scripts`)."""
    rows = db.all(
        "SELECT name, active FROM store_scripts WHERE account = ? ORDER BY name", (account,)
    )
    return {name: bool(active) for name, active in rows}


def script(db: Connection, account: AccountId, name: str) -> bytes:
    """Return a script's text; raises `NoSuchScript`."""
    row = db.one(
        "SELECT octets FROM store_scripts WHERE account = ? AND name = ?", (account, name)
    )
    if row is None:
        raise NoSuchScript(f"{account} has no script {name!r}")
    return bytes(row[0])


def check_room(db: Connection, account: AccountId, name: str, size: int, limits: Limits) -> str:
    """Return a script's proper name; raises `TooLarge` or `TooMany` if it can't be kept."""
    name = proper_script_name(name)
    if size > limits.sieve_script:
        raise TooLarge(f"a script of {size} octets")
    there = scripts(db, account)
    if name not in there and len(there) >= limits.sieve_scripts:
        raise TooMany(f"{account} has {len(there)} scripts already")
    return name


def put(db: Connection, account: AccountId, name: str, octets: bytes, limits: Limits) -> None:
    """Keep a script (see `ISieveScripts.put_script`)."""
    name = check_room(db, account, name, len(octets), limits)
    db.execute(
        "INSERT INTO store_scripts VALUES (?, ?, 0, ?)"
        " ON CONFLICT (account, name) DO UPDATE SET octets = excluded.octets",
        (account, name, octets),
    )


def activate(db: Connection, account: AccountId, name: str) -> None:
    """Make one script the active one, or none (see `ISieveScripts.activate`)."""
    if name:
        script(db, account, name)
    db.execute("UPDATE store_scripts SET active = 0 WHERE account = ?", (account,))
    db.execute(
        "UPDATE store_scripts SET active = 1 WHERE account = ? AND name = ?", (account, name)
    )


def rename(db: Connection, account: AccountId, old: str, new: str) -> None:
    """Give a script another name (see `ISieveScripts.rename_script`)."""
    new = proper_script_name(new)
    there = scripts(db, account)
    if old not in there:
        raise NoSuchScript(f"{account} has no script {old!r}")
    if new in there:
        raise AlreadyExists(f"there is a script {new!r}")
    db.execute(
        "UPDATE store_scripts SET name = ? WHERE account = ? AND name = ?", (new, account, old)
    )


@makes_room
def remove(db: Connection, account: AccountId, name: str) -> None:
    """Forget a script (see `ISieveScripts.remove_script`)."""
    there = scripts(db, account)
    if name not in there:
        raise NoSuchScript(f"{account} has no script {name!r}")
    if there[name]:
        raise NotPermitted(f"the script {name!r} is active")
    db.execute("DELETE FROM store_scripts WHERE account = ? AND name = ?", (account, name))
