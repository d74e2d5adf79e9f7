"""The journal's SQL."""

from __future__ import annotations

from collections.abc import Sequence

from mailplat.journal.records import AttemptRow, Row
from mailplat.sql import Connection

AT_ONCE = 1000  # rows that one unit of work removes
GIVEN_BACK = 512  # pages in one unit of work


def write(db: Connection, rows: Sequence[Row]) -> None:
    """Keep rows; what was known of the same message is replaced."""
    db.executemany(
        "INSERT INTO records (id, arrived, message_id, people, record) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET arrived = excluded.arrived,"
        " message_id = excluded.message_id, people = excluded.people, record = excluded.record",
        [(row.id, row.arrived, row.message_id, row.people, row.record) for row in rows],
    )


def write_attempts(db: Connection, rows: Sequence[AttemptRow]) -> None:
    """Keep what was tried."""
    db.executemany(
        "INSERT INTO attempts (id, made, attempt) VALUES (?, ?, ?)",
        [(row.id, row.made, row.record) for row in rows],
    )


def attempts_at(db: Connection, name: str, most: int) -> Sequence[tuple[float, str]]:
    """Return the newest attempts at a message, the oldest first, each with its time."""
    rows = db.all(
        "SELECT made, attempt FROM attempts WHERE id = ? ORDER BY number DESC LIMIT ?",
        (name, most),
    )
    return [(made, text) for made, text in reversed(rows)]


def find(db: Connection, text: str, most: int) -> Sequence[str]:
    """Return the newest records of that id, else of that Message-ID, else with that address."""
    for condition, value in (
        ("id = ?", text),
        ("message_id = ?", text.strip("<> ")),
        ("instr(people, ?) > 0", f"\n{text.casefold()}\n"),
    ):
        rows = db.all(
            f"SELECT record FROM records WHERE {condition} ORDER BY arrived DESC LIMIT ?",  # noqa: S608
            (value, most),
        )
        if rows:
            return [record for (record,) in rows]
    return []


def expire(db: Connection, before: float) -> int:
    """Remove some records that arrived before a moment, and attempts; return how many."""
    attempts = db.execute(
        "DELETE FROM attempts WHERE number IN"
        " (SELECT number FROM attempts WHERE made < ? ORDER BY made LIMIT ?)",
        (before, AT_ONCE),
    )
    records = db.execute(
        "DELETE FROM records WHERE id IN"
        " (SELECT id FROM records WHERE arrived < ? ORDER BY arrived LIMIT ?)",
        (before, AT_ONCE),
    )
    return max(attempts, records)


def make_room(db: Connection, most: int) -> bool:
    """Take a step to a file of at most so many octets; return whether another may be needed.

    The oldest rows go first.  Their pages are used again, and given back to the disk
    where the file is larger than it may be by an eighth.
    """
    [[size]], [[pages]], [[free]] = (
        db.all(f"PRAGMA {name}") for name in ("page_size", "page_count", "freelist_count")
    )
    if (pages - free) * size > most:
        oldest = db.one("SELECT min(arrived) FROM records")
        attempts = db.execute(
            "DELETE FROM attempts WHERE number IN"
            " (SELECT number FROM attempts WHERE made <= ? ORDER BY made LIMIT ?)",
            (oldest[0] if oldest and oldest[0] is not None else 1e18, AT_ONCE),
        )
        return bool(
            attempts
            or db.execute(
                "DELETE FROM records WHERE id IN"
                " (SELECT id FROM records ORDER BY arrived LIMIT ?)",
                (AT_ONCE,),
            )
        )
    if free and pages * size > most + most // 8:
        db.all(f"PRAGMA incremental_vacuum({GIVEN_BACK})")
        return True
    return False
