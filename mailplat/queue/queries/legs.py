"""What all queries know of legs and lanes: states, numbers, turns, and what comes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from mailplat.sql import Connection, Row, bulk

PENDING, DEFERRED, HELD, INFLIGHT, UNDELIVERABLE, DONE = range(6)
"""The states of a leg; some stand as numbers in partial indexes and statements."""

A_STEP = 1000  # turns that one step of priority is worth

SKIP_LOCKED = {"postgres": " FOR UPDATE SKIP LOCKED"}
"""What lets several nodes choose without waiting for each other; on SQLite there is one."""


@attrs.frozen
class Numbers:
    """The first of each kind of number that was claimed, and the turn that has come."""

    message: int
    leg: int
    lane: int
    turn: int


def claim(db: Connection, *, messages: int = 0, legs: int = 0, lanes: int = 0) -> Numbers:
    """Claim so many new numbers."""
    row = db.one(
        "UPDATE queue_numbers SET message = message + ?, leg = leg + ?, lane = lane + ?"
        " RETURNING message, leg, lane, turn",
        (messages, legs, lanes),
    )
    assert row
    return Numbers(row[0] - messages + 1, row[1] - legs + 1, row[2] - lanes + 1, row[3])


class Turns:
    """Gives turns: each flow's one after the other, none before the turn that has come.

    So whoever has few messages comes soon behind the turn that has come, however many
    others have.  A step of priority goes before a thousand turns, and nobody waits for
    ever.
    """

    def __init__(self, db: Connection, now: int, flows: Iterable[str]) -> None:
        counts = Counter(flows)
        self._next = _claim_turns(db, now, counts) if counts else {}

    def give(self, flow: str, priority: int) -> int:
        """Return the next turn of a flow's mail."""
        turn = self._next[flow]
        self._next[flow] = turn + 1
        return turn - priority * A_STEP


def _claim_turns(db: Connection, now: int, counts: Mapping[str, int]) -> dict[str, int]:
    """Claim so many turns for each flow; return the first of each."""
    rows = bulk(
        db,
        "UPDATE queue_flows SET"
        " turn = CASE WHEN turn > column2 THEN turn ELSE column2 END + column3"
        " FROM (VALUES {rows}) AS claim WHERE flow = column1 RETURNING flow, turn",
        [(flow, now, count) for flow, count in sorted(counts.items())],
    )
    last: dict[str, int] = dict(rows)
    new = [(flow, now + counts[flow]) for flow in sorted(counts.keys() - last.keys())]
    bulk(db, "INSERT INTO queue_flows VALUES {rows}", new)
    last |= dict(new)
    return {flow: turn - counts[flow] + 1 for flow, turn in last.items()}


def lanes_of(db: Connection, ways: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return the lanes that lead these ways, by agent and destination; new ones are made."""
    wanted = sorted(set(ways))
    rows = bulk(
        db,
        "SELECT agent, destination, lane FROM queue_lanes"
        " WHERE (agent, destination) IN (VALUES {rows})",
        wanted,
    )
    lanes = {(agent, destination): lane for agent, destination, lane in rows}
    missing = [way for way in wanted if way not in lanes]
    if missing:
        first = claim(db, lanes=len(missing)).lane
        new = [(first + at, *way) for at, way in enumerate(missing)]
        bulk(db, "INSERT INTO queue_lanes (lane, agent, destination) VALUES {rows}", new)
        lanes |= {way: first + at for at, way in enumerate(missing)}
    return lanes


def put_first(db: Connection, turns: Iterable[tuple[int, int]]) -> None:
    """Note the turns of legs that have come to be pending, each with its lane."""
    lowest: dict[int, int] = {}
    for lane, turn in turns:
        lowest[lane] = min(turn, lowest.get(lane, turn))
    bulk(
        db,
        "UPDATE queue_lanes SET first = column2 FROM (VALUES {rows}) AS new"
        " WHERE lane = column1 AND opens IS NULL AND (first IS NULL OR first > column2)",
        sorted(lowest.items()),
    )


def look_again(db: Connection, lanes: Iterable[int]) -> None:
    """Find out what comes first in each of these lanes."""
    bulk(
        db,
        "UPDATE queue_lanes SET first ="
        " (SELECT min(turn) FROM queue_legs"
        " WHERE state = 0 AND queue_legs.lane = queue_lanes.lane)"
        " WHERE opens IS NULL AND lane IN (VALUES {rows})",
        [(lane,) for lane in sorted(set(lanes))],
    )


def rows_of(db: Connection, sql: str, numbers: Iterable[int]) -> Sequence[Row]:
    """Run a statement for many numbers, ``{rows}`` in it, and return what it returns."""
    return bulk(db, sql, [(number,) for number in numbers])
