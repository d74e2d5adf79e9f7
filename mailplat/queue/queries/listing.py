"""What there is in the queue, for the operator."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mailplat.mail.queued import Selection, Standing
from mailplat.queue.queries.legs import (
    DEFERRED,
    HELD,
    INFLIGHT,
    PENDING,
    UNDELIVERABLE,
    rows_of,
)
from mailplat.sql import Connection, Row, Value

STATES = {
    Standing.PENDING: PENDING,
    Standing.DEFERRED: DEFERRED,
    Standing.HELD: HELD,
    Standing.INFLIGHT: INFLIGHT,
    Standing.UNDELIVERABLE: UNDELIVERABLE,
}
MOST_DESTINATIONS = 100


def chosen(db: Connection, selection: Selection, now: float, after: int) -> list[Row]:
    """Return number and id of messages that are meant, behind one, in their order."""
    where, values = _conditions(selection, now)
    return db.all(
        "SELECT message, id FROM queue_messages m"  # noqa: S608 - conditions of ours
        f" WHERE message > ? AND {' AND '.join(['1 = 1', *where])}"
        " ORDER BY message LIMIT ?",
        (after, *values, selection.most),
    )


def number_behind(db: Connection, name: str) -> int:
    """Return the number of the message with that id; 0 if there is none."""
    row = db.one("SELECT max(message) FROM queue_messages WHERE id = ?", (name,))
    return int(row[0] or 0) if row else 0


def _conditions(selection: Selection, now: float) -> tuple[list[str], list[Value]]:
    where: list[str] = []
    values: list[Value] = []
    if selection.ids:
        where.append(f"m.id IN ({', '.join('?' * len(selection.ids))})")
        values += selection.ids
    if selection.sender:
        where.append("m.sender = ?")
        values.append(selection.sender)
    if selection.older_than:
        where.append("m.arrived <= ?")
        values.append(now - selection.older_than)
    of_legs: list[str] = []
    if selection.standing in STATES:
        of_legs.append("l.state = ?")
        values.append(STATES[selection.standing])
    for column, text in (("address", selection.recipient), ("domain", selection.destination)):
        if text:
            of_legs.append(f"r.done = 0 AND r.{column} = ?")
            values.append(text)
    if of_legs:
        where.append(
            "EXISTS (SELECT 1 FROM queue_legs l"  # noqa: S608 - conditions of ours
            " JOIN queue_recipients r ON r.leg = l.leg"
            f" WHERE l.message = m.message AND {' AND '.join(of_legs)})"
        )
    return where, values


@attrs.frozen
class Shown:
    """Rows about messages, and about their recipients."""

    messages: Sequence[Row]  # number, id, sender, arrived, size, why it is held, facts
    recipients: Sequence[Row]


def show(db: Connection, messages: Sequence[int]) -> Shown:
    """Return all that is known of messages, but their contents."""
    return Shown(
        rows_of(
            db,
            "SELECT message, id, sender, arrived, size, held, facts FROM queue_messages"
            " WHERE message IN (VALUES {rows})",
            messages,
        ),
        rows_of(
            db,
            "SELECT l.message, r.address, r.done, l.state, n.agent, n.destination, l.attempts,"
            " l.due, r.status, r.detail, l.doubtful FROM queue_legs l"
            " JOIN queue_recipients r ON r.leg = l.leg JOIN queue_lanes n ON n.lane = l.lane"
            " WHERE l.message IN (VALUES {rows}) ORDER BY l.message, r.place",
            messages,
        ),
    )


def legs_of(db: Connection, message: int) -> list[int]:
    """Return the legs of a message."""
    rows = db.all("SELECT leg FROM queue_legs WHERE message = ? ORDER BY leg", (message,))
    return [leg for [leg] in rows]


@attrs.frozen
class Counted:
    """How much there is: messages, octets, the oldest's arrival, legs by state and lane."""

    messages: int
    octets: int
    oldest: float | None
    states: dict[int, int]
    lanes: Sequence[Row]
    doubtful: int


def count(db: Connection) -> Counted:
    """Count what there is."""
    whole = db.one("SELECT count(*), coalesce(sum(size), 0), min(arrived) FROM queue_messages")
    states = db.all("SELECT state, count(*) FROM queue_legs GROUP BY state")
    lanes = db.all(
        "SELECT n.agent, n.destination, count(*) FROM queue_legs l"
        " JOIN queue_lanes n ON n.lane = l.lane WHERE l.state < 5"
        " GROUP BY n.agent, n.destination ORDER BY count(*) DESC, n.destination LIMIT ?",
        (MOST_DESTINATIONS,),
    )
    doubtful = db.one("SELECT coalesce(sum(doubtful), 0) FROM queue_legs")
    assert whole
    assert doubtful
    return Counted(whole[0], int(whole[1]), whole[2], dict(states), lanes, int(doubtful[0]))
