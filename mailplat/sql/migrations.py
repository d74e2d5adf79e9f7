"""Each room's tables have a number; here an older number becomes the newest."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from mailplat.mail.errors import StoreFailed

if TYPE_CHECKING:
    from mailplat.sql.database import Connection


class SchemaTooNew(StoreFailed):
    """The database was written by a later version of mailplat."""


def steps_of(package: str) -> list[str]:
    """Return the numbered scripts ``schema/0001.sql``, ``0002.sql`` … of a package.

    Raises `ValueError` if a number is missing.
    """
    scripts = sorted(
        (
            file
            for file in files(package).joinpath("schema").iterdir()
            if file.name[:4].isdigit()
        ),
        key=lambda file: file.name,
    )
    if [int(file.name[:4]) for file in scripts] != list(range(1, len(scripts) + 1)):
        raise ValueError(f"{package}.schema is not numbered from 0001 without a gap")
    return [file.read_text("utf-8") for file in scripts]


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
