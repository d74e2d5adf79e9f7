"""Forgetting what has served its time, in small units of work."""

from __future__ import annotations

from mailplat.queue.queries.settling import forget
from mailplat.sql import Connection, makes_room

AT_ONCE = 1000


@makes_room
def forget_old(db: Connection, keys_before: float, stuck_before: float) -> bool:
    """Forget some old keys, idle lanes and flows, and what was undeliverable for too long.

    Return whether there may be more.
    """
    return any(
        [
            _forget_keys(db, keys_before),
            _forget_stuck(db, stuck_before),
            _forget_flows(db),
            _forget_lanes(db),
        ]
    )


def _forget_keys(db: Connection, before: float) -> bool:
    """Forget keys; they begin with the time, so the first are the oldest."""
    rows = db.all("SELECT key, made FROM queue_keys ORDER BY key LIMIT ?", (AT_ONCE,))
    old = [(key,) for key, made in rows if made < before]
    db.executemany("DELETE FROM queue_keys WHERE key = ?", old)
    return len(old) == AT_ONCE


def _forget_stuck(db: Connection, before: float) -> bool:
    """Forget messages of which nothing is left but what is undeliverable, since long ago."""
    rows = db.all(
        "SELECT message, size FROM queue_messages m WHERE arrived < ?"
        " AND EXISTS (SELECT 1 FROM queue_legs l WHERE l.message = m.message AND l.state = 4)"
        " AND NOT EXISTS (SELECT 1 FROM queue_legs l"
        " WHERE l.message = m.message AND l.state < 4) LIMIT ?",
        (before, 100),
    )
    forget(db, rows)
    return len(rows) == 100


def _forget_flows(db: Connection) -> bool:
    count = db.execute(
        "DELETE FROM queue_flows WHERE flow IN (SELECT flow FROM queue_flows"
        " WHERE turn <= (SELECT turn FROM queue_numbers) LIMIT ?)",
        (AT_ONCE,),
    )
    return count == AT_ONCE


def _forget_lanes(db: Connection) -> bool:
    """Forget lanes in which nothing is; whoever comes later makes them anew."""
    count = db.execute(
        "DELETE FROM queue_lanes WHERE lane IN (SELECT lane FROM queue_lanes"
        " WHERE first IS NULL AND opens IS NULL"
        " AND lane NOT IN (SELECT lane FROM queue_legs) LIMIT ?)",
        (AT_ONCE,),
    )
    return count == AT_ONCE
