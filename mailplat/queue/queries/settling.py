"""What comes of an attempt, in one transaction with the report that it causes."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mailplat.queue.queries.contents import forget_contents
from mailplat.queue.queries.enqueueing import Order, enqueue
from mailplat.queue.queries.legs import (
    DEFERRED,
    DONE,
    HELD,
    UNDELIVERABLE,
    claim,
    look_again,
    rows_of,
)
from mailplat.sql import Connection, Row, bulk, makes_room

NOT_YET, DELIVERED, FAILED = range(3)
"""What has become of a recipient."""


@attrs.frozen(kw_only=True)
class Result:
    """What came of an attempt for one recipient.

    ``is_stuck``: it has failed and nobody may be told.
    """

    place: int
    done: int
    status: str
    detail: str
    told: bool = False
    is_stuck: bool = False


@attrs.frozen(kw_only=True)
class Settlement:
    """What came of an attempt at a leg: who is done with, and when the others are tried.

    ``closes`` is when the lane is to be tried again, if it was found dead.
    """

    leg: int
    message: int
    node: str
    results: tuple[Result, ...]
    due: float
    reports: tuple[Order, ...] = ()
    closes: float | None = None


@makes_room
def settle(db: Connection, settlements: Sequence[Settlement]) -> list[bool]:
    """Write down what came of attempts, and return of each whether it still counted.

    It doesn't where the message was removed meanwhile, or another node took it over.
    """
    messages = _messages(db, settlements)
    held_by = {
        leg: (holder, lane)
        for leg, holder, lane in bulk(
            db,
            "SELECT leg, holder, lane FROM queue_legs"
            " WHERE state = 3 AND leg IN (VALUES {rows})",
            [(one.leg,) for one in settlements],
        )
    }
    answers: list[bool] = []
    counting: list[Settlement] = []
    for one in settlements:
        holder, _ = held_by.get(one.leg, ("", 0))
        answers.append(holder == one.node)
        if holder == one.node:
            counting.append(one)
    undone = {message: row[2] for message, row in messages.items()}
    for one in counting:
        undone[one.message] -= sum(result.done != NOT_YET for result in one.results)
    _write(db, [one for one in counting if undone[one.message]], messages, undone)
    forget(db, [messages[m][:2] for m, left in undone.items() if not left and m in messages])
    _close(db, {held_by[one.leg][1]: one.closes for one in counting if one.closes})
    reports = [order for one in counting for order in one.reports]
    if reports:
        enqueue(db, reports)
    return answers


def forget(db: Connection, messages: Sequence[Sequence[int]]) -> None:
    """Forget messages, each given with its size."""
    numbers = [message for message, _ in messages]
    rows_of(
        db,
        "DELETE FROM queue_recipients WHERE leg IN"
        " (SELECT leg FROM queue_legs WHERE message IN (VALUES {rows}))",
        numbers,
    )
    for table in ("legs", "messages"):
        sql = f"DELETE FROM queue_{table} WHERE message IN (VALUES {{rows}})"  # noqa: S608
        rows_of(db, sql, numbers)
    forget_contents(db, [(message, size) for message, size in messages])


def _messages(db: Connection, settlements: Sequence[Settlement]) -> dict[int, Row]:
    """Return number, size, recipients left and whether it is held, of each message."""
    rows = rows_of(
        db,
        "SELECT message, size, undone, held <> '' FROM queue_messages"
        " WHERE message IN (VALUES {rows})",
        sorted({one.message for one in settlements}),
    )
    return {row[0]: row for row in rows}


def _write(
    db: Connection,
    settlements: Sequence[Settlement],
    messages: dict[int, Row],
    undone: dict[int, int],
) -> None:
    """Write down what came of attempts at messages that stay."""
    if not settlements:
        return
    bulk(
        db,
        "UPDATE queue_recipients SET done = column3, status = column4, detail = column5,"
        " told = column6 FROM (VALUES {rows}) AS new WHERE leg = column1 AND place = column2",
        [
            (one.leg, r.place, r.done, r.status, r.detail, int(r.told))
            for one in settlements
            for r in one.results
        ],
    )
    bulk(
        db,
        "UPDATE queue_messages SET undone = column2 FROM (VALUES {rows}) AS new"
        " WHERE message = column1",
        [(message, undone[message]) for message in sorted({o.message for o in settlements})],
    )
    bulk(
        db,
        "UPDATE queue_legs SET state = column2, due = column3, holder = '',"
        " attempts = attempts + 1 FROM (VALUES {rows}) AS new WHERE leg = column1",
        [
            (one.leg, _state(one, bool(messages[one.message][3])), one.due)
            for one in settlements
        ],
    )
    for one in settlements:
        _part(db, one)


def _state(one: Settlement, held: bool) -> int:
    """Return what becomes of a leg, as far as its recipients stay together."""
    left = [result for result in one.results if result.done == NOT_YET]
    if not left:
        return DONE
    if all(result.is_stuck for result in left):
        return UNDELIVERABLE
    return HELD if held else DEFERRED


def _part(db: Connection, one: Settlement) -> None:
    """Give recipients who are stuck a leg of their own, where others go on."""
    left = [result for result in one.results if result.done == NOT_YET]
    stuck = [result.place for result in left if result.is_stuck]
    if not stuck or len(stuck) == len(left):
        return
    leg = claim(db, legs=1).leg
    db.execute(
        "INSERT INTO queue_legs SELECT ?, message, lane, flow, priority, ?, turn, due, since,"
        " attempts, doubtful, '' FROM queue_legs WHERE leg = ?",
        (leg, UNDELIVERABLE, one.leg),
    )
    db.executemany(
        "UPDATE queue_recipients SET leg = ? WHERE leg = ? AND place = ?",
        [(leg, one.leg, place) for place in stuck],
    )


def _close(db: Connection, lanes: dict[int, float | None]) -> None:
    """Close lanes that were found dead."""
    bulk(
        db,
        "UPDATE queue_lanes SET opens = column2, first = NULL"
        " FROM (VALUES {rows}) AS new WHERE lane = column1",
        sorted((lane, opens) for lane, opens in lanes.items() if opens is not None),
    )


def open_lane(db: Connection, lane: int) -> None:
    """Let a lane that was closed go on."""
    db.execute("UPDATE queue_lanes SET opens = NULL WHERE lane = ?", (lane,))
    look_again(db, [lane])
