"""Choosing what is tried next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from mailplat.queue.queries.contents import PIECES
from mailplat.queue.queries.legs import (
    A_STEP,
    Turns,
    claim,
    look_again,
    put_first,
    rows_of,
)
from mailplat.sql import Connection, Row, bulk

MOST_DUE = 500  # legs whose moment has come, in one unit of work
AT_HAND = 8192  # octets of a content that come along

_LANES = "SELECT lane FROM queue_lanes WHERE first IS NOT NULL ORDER BY first LIMIT ?"
_PENDING = (
    "SELECT leg, turn, message, flow, priority, since, attempts, doubtful FROM queue_legs"
    " WHERE state = 0 AND lane = ? ORDER BY turn LIMIT ?"
)


@attrs.frozen(kw_only=True)
class Share:
    """One recipient of a leg."""

    place: int
    address: str
    told: bool
    status: str
    detail: str
    facts: str


@attrs.frozen(kw_only=True)
class Leg:
    """The recipients of one message that are tried together, and what is known of them."""

    leg: int
    message: int
    lane: int
    agent: str
    destination: str
    flow: str
    since: float
    attempts: int
    doubtful: int
    id: str
    arrived: float
    size: int
    facts: str
    octets: bytes | None
    shares: tuple[Share, ...]


@attrs.frozen
class Taken:
    """What was taken, and when there will be more to take by itself (None: never)."""

    legs: tuple[Leg, ...]
    next_at: float | None


@attrs.frozen(kw_only=True)
class Wish:
    """What a node would like to try: so many legs, of no lane more than it has room.

    ``rooms`` are those of lanes that differ from ``room``.
    """

    node: str
    now: float
    most: int
    room: int
    rooms: Mapping[int, int]
    skip: str  # see `mailplat.queue.queries.legs.SKIP_LOCKED`


def take(db: Connection, wish: Wish) -> Taken:
    """Take what comes first into this node's hands."""
    promote(db, wish.now)
    reopen(db, wish.now)
    chosen = _choose(db, wish) if wish.most > 0 else []
    legs = _hold_on_to(db, wish.node, chosen) if chosen else ()
    row = db.one(
        "SELECT (SELECT min(due) FROM queue_legs WHERE state = 1),"
        " (SELECT min(opens) FROM queue_lanes)"
    )
    return Taken(legs, min((at for at in row or () if at is not None), default=None))


def take_lane(db: Connection, node: str, lane: int, most: int) -> Sequence[Leg]:
    """Take some of what is pending in one lane, whatever the room there, without contents."""
    rows = _pending(db, lane, most, "")
    return _hold_on_to(db, node, [(lane, *row) for row in rows], 0) if rows else ()


def promote(db: Connection, now: float) -> None:
    """Let what is due have its turns."""
    rows = db.all(
        "SELECT leg, lane, flow, priority FROM queue_legs"
        " WHERE state = 1 AND due <= ? ORDER BY due LIMIT ?",
        (now, MOST_DUE),
    )
    if rows:
        give_turns(db, rows)


def give_turns(db: Connection, rows: Sequence[Row]) -> None:
    """Make legs pending: each is given with its lane, flow and priority."""
    turns = Turns(db, claim(db).turn, (flow for _, _, flow, _ in rows))
    given = [(leg, lane, turns.give(flow, priority)) for leg, lane, flow, priority in rows]
    bulk(
        db,
        "UPDATE queue_legs SET state = 0, holder = '', turn = column2"
        " FROM (VALUES {rows}) AS new WHERE leg = column1",
        [(leg, turn) for leg, _, turn in given],
    )
    put_first(db, ((lane, turn) for _, lane, turn in given))


def reopen(db: Connection, now: float) -> None:
    """Open the lanes that were closed until now."""
    rows = db.all("SELECT lane FROM queue_lanes WHERE opens <= ? LIMIT ?", (now, MOST_DUE))
    if rows:
        rows_of(
            db,
            "UPDATE queue_lanes SET opens = NULL WHERE lane IN (VALUES {rows})",
            (lane for [lane] in rows),
        )
        look_again(db, (lane for [lane] in rows))


def _choose(db: Connection, wish: Wish) -> list[Row]:
    """Return lane, leg, turn, and the rest of a leg, of what comes first."""
    full = sum(room <= 0 for room in wish.rooms.values())
    lanes = db.all(_LANES + wish.skip, (full + wish.most,))
    chosen: list[Row] = []
    for [lane] in lanes:
        room = min(wish.rooms.get(lane, wish.room), wish.most - len(chosen))
        if room > 0:
            chosen += [(lane, *row) for row in _pending(db, lane, room, wish.skip)]
        if len(chosen) >= wish.most:
            break
    return chosen


def _pending(db: Connection, lane: int, most: int, skip: str) -> list[Row]:
    return db.all(_PENDING + skip, (lane, most))


def _hold_on_to(
    db: Connection, node: str, chosen: Sequence[Row], at_hand: int = AT_HAND
) -> tuple[Leg, ...]:
    """Mark legs as being tried by the node, and return all that is needed for it."""
    bulk(
        db,
        "UPDATE queue_legs SET state = 3, holder = column2 FROM (VALUES {rows}) AS taken"
        " WHERE leg = column1",
        [(row[1], node) for row in chosen],
    )
    look_again(db, (row[0] for row in chosen))
    turn = max(row[2] + row[5] * A_STEP for row in chosen)
    db.execute("UPDATE queue_numbers SET turn = ? WHERE turn < ?", (turn, turn))
    return _whole(db, chosen, at_hand)


def _whole(db: Connection, chosen: Sequence[Row], at_hand: int) -> tuple[Leg, ...]:
    messages = {
        row[0]: row
        for row in rows_of(
            db,
            "SELECT message, id, arrived, size, facts FROM queue_messages"
            " WHERE message IN (VALUES {rows})",
            sorted({row[3] for row in chosen}),
        )
    }
    lanes = {
        row[0]: row
        for row in rows_of(
            db,
            "SELECT lane, agent, destination FROM queue_lanes WHERE lane IN (VALUES {rows})",
            sorted({row[0] for row in chosen}),
        )
    }
    small = sorted(
        number * PIECES for number, *_, size, _ in messages.values() if size <= at_hand
    )
    octets: dict[int, bytes] = dict(
        rows_of(
            db,
            "SELECT piece, octets FROM queue_contents WHERE piece IN (VALUES {rows})",
            small,
        )
    )
    shares = shares_of(db, [row[1] for row in chosen])
    legs = []
    for lane, leg, _turn, message, flow, _priority, since, attempts, doubtful in chosen:
        _, name, arrived, size, facts = messages[message]
        _, agent, destination = lanes[lane]
        legs.append(
            Leg(
                leg=leg,
                message=message,
                lane=lane,
                agent=agent,
                destination=destination,
                flow=flow,
                since=since,
                attempts=attempts,
                doubtful=doubtful,
                id=name,
                arrived=arrived,
                size=size,
                facts=facts,
                octets=octets.get(message * PIECES),
                shares=tuple(shares[leg]),
            )
        )
    return tuple(legs)


def shares_of(db: Connection, legs: Sequence[int]) -> dict[int, list[Share]]:
    """Return the recipients of legs that are still to be served."""
    rows = rows_of(
        db,
        "SELECT leg, place, address, told, status, detail, facts FROM queue_recipients"
        " WHERE leg IN (VALUES {rows}) AND done = 0 ORDER BY leg, place",
        legs,
    )
    shares: dict[int, list[Share]] = {leg: [] for leg in legs}
    for leg, place, address, told, status, detail, facts in rows:
        shares[leg].append(
            Share(
                place=place,
                address=address,
                told=bool(told),
                status=status,
                detail=detail,
                facts=facts,
            )
        )
    return shares
