"""Each room's tables have a number; here an older number becomes the newest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from mailplat.mail.errors import StoreFailed

if TYPE_CHECKING:
    from mailplat.sql.database import Connection


class SchemaTooNew(StoreFailed):
    """The database was written by a later version of mailplat."""


POSTGRES = {
    "INTEGER": "BIGINT",
    "REAL": "DOUBLE PRECISION",
    "BLOB": "BYTEA",
    "TEXT": 'TEXT COLLATE "C"',  # compared by octets, as SQLite does
    " WITHOUT ROWID": "",
}
"""What SQLite's words in our scripts are on PostgreSQL."""

_WORD = re.compile("|".join(rf"\b{word}\b" if word[0] != " " else word for word in POSTGRES))


def steps_of(package: str, dialect: str = "sqlite") -> list[str]:
    """Return the numbered scripts ``schema/0001.sql``, ``0002.sql`` … of a package.

    They are written in SQLite's words.  PostgreSQL gets them in its own, each followed
    by the script ``schema/postgres/`` of the same name, if there is one, which says
    what is otherwise there.  Raises `ValueError` if a number is missing.
    """
    folder = files(package).joinpath("schema")
    scripts = sorted(
        (file for file in folder.iterdir() if file.name[:4].isdigit()),
        key=lambda file: file.name,
    )
    if [int(file.name[:4]) for file in scripts] != list(range(1, len(scripts) + 1)):
        raise ValueError(f"{package}.schema is not numbered from 0001 without a gap")
    steps = [file.read_text("utf-8") for file in scripts]
    if dialect == "sqlite":
        return steps
    more = (folder.joinpath(dialect, file.name) for file in scripts)
    return [
        in_postgres(step) + (other.read_text("utf-8") if other.is_file() else "")
        for step, other in zip(steps, more, strict=True)
    ]


def in_postgres(script: str) -> str:
    """Return a script that makes tables, written for SQLite, in PostgreSQL's words."""
    return _WORD.sub(lambda word: POSTGRES[word[0]], script)


def upgrade(db: Connection, room: str, steps: Sequence[str]) -> None:
    """Run the steps that the room's tables have not seen (see `Database.migrate`)."""
    db.execute(
        "CREATE TABLE IF NOT EXISTS schema (room TEXT PRIMARY KEY, number INTEGER NOT NULL)"
    )
    found = db.one("SELECT number FROM schema WHERE room = ?", (room,))
    number = found[0] if found else 0
    if number > len(steps):
        raise SchemaTooNew(
            f"the tables of {room} have number {number} and this version of mailplat knows"
            f" {len(steps)}: run the version that wrote them, or restore an older backup"
        )
    for step in steps[number:]:
        db.execute(step)
    db.execute(
        "INSERT INTO schema (room, number) VALUES (?, ?)"
        " ON CONFLICT (room) DO UPDATE SET number = excluded.number",
        (room, len(steps)),
    )
