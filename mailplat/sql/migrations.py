"""Each room's tables have a number; here an older number becomes the newest."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias

import attrs

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


@attrs.frozen
class Batches:
    """A step that goes through many rows, some in each unit of work.

    ``batch`` does some rows behind a mark and returns the next mark; None ends the
    step.  It begins behind ``""``.  The mark is kept in the batch's own commit, so that
    a process that dies in the middle goes on where it was.  ``before`` is a script that
    is run first.  ``table`` is the one whose rows are counted to say how long it takes;
    about ``rows_a_second`` are done.
    """

    batch: Callable[[Connection, str], str | None]
    table: str
    before: str = ""
    rows_a_second: int = 20_000


Step: TypeAlias = str | Batches
"""A script, or what goes through a table in batches."""


@attrs.frozen
class Upgrade:
    """What a room's tables need to be those of this version."""

    room: str
    found: int  # the number of the tables; 0: there are none yet
    known: int  # the highest number that this version knows
    is_halfway: bool  # the step to ``found`` was begun and is not at its end
    rows: int  # to go through in batches, about
    seconds: float  # that this takes, about

    @property
    def is_too_new(self) -> bool:
        """Whether a later version of mailplat has been here."""
        return self.found > self.known

    @property
    def steps(self) -> int:
        """How many steps there are to run."""
        return max(0, self.known - self.found + self.is_halfway)


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


def upgrade(db: Connection, room: str, steps: Sequence[Step]) -> bool:
    """Run steps that the room's tables have not seen; return whether there is more to do.

    One call runs the scripts that lack up to the first step in batches, or one batch.
    A step in batches counts as made when it begins, so that no earlier version opens
    tables that are half changed.  See `Database.migrate`.
    """
    _make_tables(db)
    number = _number(db, room)
    if number > len(steps):
        raise SchemaTooNew(
            f"the tables of {room} have number {number} and this version of mailplat knows"
            f" {len(steps)}: run the version that wrote them, or restore an older backup"
        )
    mark = _mark(db, room)
    if mark is not None:
        return _run_batch(db, room, steps[number - 1], mark) or number < len(steps)
    for step in steps[number:]:
        number += 1
        db.execute(step if isinstance(step, str) else step.before)
        if isinstance(step, Batches):
            db.execute("INSERT INTO schema_progress (room, mark) VALUES (?, '')", (room,))
            break
    db.execute(
        "INSERT INTO schema (room, number) VALUES (?, ?)"
        " ON CONFLICT (room) DO UPDATE SET number = excluded.number",
        (room, number),
    )
    return _mark(db, room) is not None


def _make_tables(db: Connection) -> None:
    db.execute(
        "CREATE TABLE IF NOT EXISTS schema (room TEXT PRIMARY KEY, number INTEGER NOT NULL)"
    )
    db.execute(
        "CREATE TABLE IF NOT EXISTS schema_progress (room TEXT PRIMARY KEY, mark TEXT NOT NULL)"
    )


def _number(db: Connection, room: str) -> int:
    found = db.one("SELECT number FROM schema WHERE room = ?", (room,))
    return int(found[0]) if found else 0


def _mark(db: Connection, room: str) -> str | None:
    found = db.one("SELECT mark FROM schema_progress WHERE room = ?", (room,))
    return str(found[0]) if found else None


def _run_batch(db: Connection, room: str, step: Step, mark: str) -> bool:
    """Run one batch of a step that was begun; return whether it has more."""
    behind = None if isinstance(step, str) else step.batch(db, mark)
    if behind is None:
        db.execute("DELETE FROM schema_progress WHERE room = ?", (room,))
        return False
    db.execute("UPDATE schema_progress SET mark = ? WHERE room = ?", (behind, room))
    return True


def outlook(db: Connection, room: str, steps: Sequence[Step]) -> Upgrade:
    """Return what `upgrade` would have to do, without doing it."""
    tables = db.tables()
    number = _number(db, room) if "schema" in tables else 0
    is_halfway = "schema_progress" in tables and _mark(db, room) is not None
    to_run = steps[max(0, number - is_halfway) :]
    counts = {
        step: db.all(f"SELECT count(*) FROM {step.table}")[0][0]  # noqa: S608 - our own name
        for step in to_run
        if isinstance(step, Batches) and step.table in tables
    }
    return Upgrade(
        room,
        number,
        len(steps),
        is_halfway,
        sum(counts.values()),
        sum(count / step.rows_a_second for step, count in counts.items()),
    )
