"""Who works at the queue, and what those leave behind who have died."""

from __future__ import annotations

from mailplat.queue.queries.legs import look_again
from mailplat.sql import Connection

SAFE = "local"  # the agent to whom a repeat does nothing

_STATE = (  # of what nobody tries any more: held or pending, as its message is
    "CASE WHEN EXISTS (SELECT 1 FROM queue_messages m"
    " WHERE m.message = queue_legs.message AND m.held <> '') THEN 2 ELSE 0 END"
)


def beat(db: Connection, node: str, now: float) -> dict[str, int]:
    """Count on, and return how far each node has counted."""
    db.execute(
        "INSERT INTO queue_nodes VALUES (?, 1)"
        " ON CONFLICT (node) DO UPDATE SET beats = queue_nodes.beats + 1",
        (node,),
    )
    db.execute("UPDATE queue_numbers SET seen = ? WHERE seen < ?", (now, now))
    return dict(db.all("SELECT node, beats FROM queue_nodes"))


def others(db: Connection, node: str) -> list[str]:
    """Return the other nodes that have been at the queue."""
    rows = db.all(
        "SELECT node FROM queue_nodes WHERE node <> ?"
        " UNION SELECT DISTINCT holder FROM queue_legs WHERE state = 3 AND holder <> ?"
        " UNION SELECT holder FROM queue_leftovers WHERE holder NOT IN ('', ?)",
        (node, node, node),
    )
    return [name for [name] in rows]


def take_over(db: Connection, node: str) -> int:
    """Make what a node that has died had in its hands pending again; return how much."""
    lanes = db.all(
        "SELECT DISTINCT lane FROM queue_legs WHERE state = 3 AND holder = ?", (node,)
    )
    count = db.execute(
        f"UPDATE queue_legs SET state = {_STATE}, holder = '',"  # noqa: S608 - ours
        " doubtful = doubtful + CASE WHEN lane IN"
        " (SELECT lane FROM queue_lanes WHERE agent = ?) THEN 0 ELSE 1 END"
        " WHERE state = 3 AND holder = ?",
        (SAFE, node),
    )
    look_again(db, (lane for [lane] in lanes))
    db.execute("UPDATE queue_leftovers SET holder = '' WHERE holder = ?", (node,))
    db.execute("DELETE FROM queue_nodes WHERE node = ?", (node,))
    return count


def put_back(db: Connection, node: str, leg: int) -> None:
    """Make a leg in this node's hands pending again; it may have been delivered."""
    rows = db.all(
        f"UPDATE queue_legs SET state = {_STATE}, holder = '',"  # noqa: S608 - ours
        " doubtful = doubtful + 1 WHERE leg = ? AND state = 3 AND holder = ? RETURNING lane",
        (leg, node),
    )
    look_again(db, (lane for [lane] in rows))


def newest_time(db: Connection) -> float:
    """Return the latest time that the queue was told."""
    row = db.one("SELECT seen FROM queue_numbers")
    return float(row[0]) if row else 0.0


def clamp(db: Connection, latest: float) -> int:
    """Try nothing later that has been tried before; return how many legs this concerned.

    So a clock that was set back keeps nothing waiting for longer than it would have.
    """
    db.execute("UPDATE queue_numbers SET seen = ? WHERE seen > ?", (latest, latest))
    db.execute("UPDATE queue_lanes SET opens = ? WHERE opens > ?", (latest, latest))
    return db.execute(
        "UPDATE queue_legs SET due = ? WHERE state = 1 AND due > ? AND attempts > 0",
        (latest, latest),
    )
