"""What an operator does to messages, each given by its number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from mailplat.queue.queries.enqueueing import Order, enqueue
from mailplat.queue.queries.legs import lanes_of, look_again, rows_of
from mailplat.queue.queries.settling import forget
from mailplat.queue.queries.taking import give_turns
from mailplat.sql import Connection, Row, bulk, makes_room


def hold(db: Connection, messages: Iterable[int], why: str) -> int:
    """Try these no more; what is being tried now is held behind that attempt."""
    numbers = sorted(set(messages))
    lanes = rows_of(
        db,
        "SELECT DISTINCT lane FROM queue_legs WHERE state = 0 AND message IN (VALUES {rows})",
        numbers,
    )
    held = bulk(
        db,
        "UPDATE queue_messages SET held = column2 FROM (VALUES {rows}) AS new"
        " WHERE message = column1 RETURNING message",
        [(number, why) for number in numbers],
    )
    rows_of(
        db,
        "UPDATE queue_legs SET state = 2 WHERE state IN (0, 1) AND message IN (VALUES {rows})",
        numbers,
    )
    look_again(db, (lane for [lane] in lanes))
    return len(held)


def hold_all(db: Connection, why: str) -> None:
    """Hold all there is, also what somebody was trying, who is no more."""
    db.execute("UPDATE queue_messages SET held = ? WHERE held = ''", (why,))
    db.execute(
        "UPDATE queue_legs SET state = 2, holder = '',"
        " doubtful = doubtful + CASE WHEN state = 3 THEN 1 ELSE 0 END WHERE state IN (0, 1, 3)"
    )
    db.execute("UPDATE queue_lanes SET first = NULL, opens = NULL")
    db.execute("UPDATE queue_leftovers SET holder = ''")


def release(db: Connection, messages: Iterable[int], now: float) -> int:
    """Let go what was held, and what could not be delivered, as if it came now."""
    numbers = sorted(set(messages))
    rows = rows_of(
        db,
        "SELECT leg, lane, flow, priority FROM queue_legs"
        " WHERE state IN (2, 4) AND message IN (VALUES {rows})",
        numbers,
    )
    held = rows_of(
        db,
        "SELECT message FROM queue_messages WHERE message IN (VALUES {rows}) AND (held <> ''"
        " OR EXISTS (SELECT 1 FROM queue_legs l"
        " WHERE l.message = queue_messages.message AND l.state IN (2, 4)))",
        numbers,
    )
    rows_of(db, "UPDATE queue_messages SET held = '' WHERE message IN (VALUES {rows})", numbers)
    bulk(
        db,
        "UPDATE queue_legs SET since = column2, attempts = 0 FROM (VALUES {rows}) AS new"
        " WHERE leg = column1",
        [(row[0], now) for row in rows],
    )
    if rows:
        give_turns(db, rows)
    return len(held)


def hurry(db: Connection, messages: Iterable[int]) -> int:
    """Let what waits for a moment come now, and open the lanes that it goes; return how much."""
    rows = rows_of(
        db,
        "SELECT leg, lane, flow, priority FROM queue_legs"
        " WHERE state IN (0, 1) AND message IN (VALUES {rows})",
        sorted(set(messages)),
    )
    if rows:
        lanes = sorted({row[1] for row in rows})
        rows_of(db, "UPDATE queue_lanes SET opens = NULL WHERE lane IN (VALUES {rows})", lanes)
        give_turns(db, rows)
        look_again(db, lanes)
    return len(rows)


@attrs.frozen
class Removal:
    """A message to be given up, and the report of it that is due."""

    message: int
    report: Order | None = None


@makes_room
def remove(db: Connection, removals: Sequence[Removal]) -> int:
    """Forget messages, and keep the reports of them; return how many there were."""
    found = rows_of(
        db,
        "SELECT message, size FROM queue_messages WHERE message IN (VALUES {rows})",
        [one.message for one in removals],
    )
    there = {message for message, _ in found}
    lanes = rows_of(
        db,
        "SELECT DISTINCT lane FROM queue_legs WHERE state = 0 AND message IN (VALUES {rows})",
        sorted(there),
    )
    forget(db, found)
    look_again(db, (lane for [lane] in lanes))
    if reports := [one.report for one in removals if one.report and one.message in there]:
        enqueue(db, reports)
    return len(there)


# Ways ------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Turned:
    """A recipient that is to go another way."""

    leg: int
    place: int
    agent: str
    destination: str


def on_the_way(db: Connection, messages: Iterable[int]) -> list[Row]:
    """Return recipients that can go another way.

    Each is a leg, a place, the message's facts and size, agent and destination, and the
    recipient's own facts.
    """
    return list(
        rows_of(
            db,
            "SELECT r.leg, r.place, m.facts, m.size, n.agent, n.destination, r.facts"
            " FROM queue_legs l"
            " JOIN queue_recipients r ON r.leg = l.leg AND r.done = 0"
            " JOIN queue_messages m ON m.message = l.message"
            " JOIN queue_lanes n ON n.lane = l.lane"
            " WHERE l.state NOT IN (3, 5) AND l.message IN (VALUES {rows})",
            sorted(set(messages)),
        )
    )


def on_other_ways(db: Connection, agents: Sequence[str], after: int, most: int) -> list[int]:
    """Return some messages, behind one, that go by an agent that is none of these."""
    marks = ", ".join("?" * len(agents))
    rows = db.all(
        "SELECT DISTINCT message FROM queue_legs"  # noqa: S608 - marks
        " WHERE message > ? AND state NOT IN (3, 5)"
        f" AND lane IN (SELECT lane FROM queue_lanes WHERE agent NOT IN ({marks}))"
        " ORDER BY message LIMIT ?",
        (after, *agents, most),
    )
    return [message for [message] in rows]


def turn(db: Connection, turned: Sequence[Turned]) -> int:
    """Let recipients go other ways; those of a leg that part get legs of their own."""
    lanes = lanes_of(db, ((one.agent, one.destination) for one in turned))
    legs: dict[int, dict[int, list[int]]] = {}
    for one in turned:
        ways = legs.setdefault(one.leg, {})
        ways.setdefault(lanes[one.agent, one.destination], []).append(one.place)
    touched: list[int] = []
    for leg, ways in legs.items():
        row = db.one(
            "SELECT lane, state FROM queue_legs WHERE leg = ? AND state NOT IN (3, 5)", (leg,)
        )
        if row is None:
            continue
        touched += [row[0], *ways]
        for lane, places in ways.items():
            _turn(db, leg, lane, places)
    look_again(db, touched)
    return sum(len(places) for ways in legs.values() for places in ways.values())


def _turn(db: Connection, leg: int, lane: int, places: Sequence[int]) -> None:
    rows = db.all("SELECT place FROM queue_recipients WHERE leg = ? AND done = 0", (leg,))
    if {place for [place] in rows} <= set(places):
        db.execute("UPDATE queue_legs SET lane = ? WHERE leg = ?", (lane, leg))
        return
    row = db.one("UPDATE queue_numbers SET leg = leg + 1 RETURNING leg")
    assert row
    db.execute(
        "INSERT INTO queue_legs SELECT ?, message, ?, flow, priority, state, turn, due, since,"
        " attempts, doubtful, holder FROM queue_legs WHERE leg = ?",
        (row[0], lane, leg),
    )
    db.executemany(
        "UPDATE queue_recipients SET leg = ? WHERE leg = ? AND place = ?",
        [(row[0], leg, place) for place in places],
    )
