"""The journal's SQL."""

from __future__ import annotations

from collections.abc import Sequence

from mailplat.journal.records import Row
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
    """Remove some records that arrived before a moment; return how many."""
    return db.execute(
        "DELETE FROM records WHERE id IN"
        " (SELECT id FROM records WHERE arrived < ? ORDER BY arrived LIMIT ?)",
        (before, AT_ONCE),
    )


def make_room(db: Connection, most: int) -> bool:
    """Take a step to a file of at most so many octets; return whether another may be needed.

    The oldest rows go first.  Their pages are used again, and given back to the disk
    where the file is larger than it may be by an eighth.
    """
    [[size]], [[pages]], [[free]] = (
        db.all(f"PRAGMA {name}") for name in ("page_size", "page_count", "freelist_count")
    )
    if (pages - free) * size > most:
        return bool(
            db.execute(
                "DELETE FROM records WHERE id IN"
                " (SELECT id FROM records ORDER BY arrived LIMIT ?)",
                (AT_ONCE,),
            )
        )
    if free and pages * size > most + most // 8:
        db.all(f"PRAGMA incremental_vacuum({GIVEN_BACK})")
        return True
    return False
