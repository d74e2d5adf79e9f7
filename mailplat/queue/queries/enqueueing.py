"""Keeping messages that come."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mailplat.queue.queries.contents import PIECES
from mailplat.queue.queries.legs import (
    DEFERRED,
    HELD,
    PENDING,
    Turns,
    claim,
    lanes_of,
    put_first,
)
from mailplat.sql import Connection, bulk


@attrs.frozen(kw_only=True)
class NewRecipient:
    """A recipient of a message that comes, and the way to it."""

    address: str
    domain: str
    agent: str
    destination: str
    hold: bool
    status: str  # of an outcome that there is already
    detail: str
    facts: str


@attrs.frozen(kw_only=True)
class Order:
    """A message to be kept; ``number`` is that of a content that lies there already."""

    key: str
    id: str
    sender: str
    flow: str
    arrived: float
    size: int
    held: str
    facts: str
    priority: int
    due: float  # before when it is not to be tried
    now: float
    octets: bytes | None
    number: int
    recipients: tuple[NewRecipient, ...]

    def ways(self) -> dict[tuple[str, str, bool], list[int]]:
        """Return the places of recipients by the ways that they go."""
        ways: dict[tuple[str, str, bool], list[int]] = {}
        for place, one in enumerate(self.recipients):
            ways.setdefault((one.agent, one.destination, one.hold), []).append(place)
        return ways


def enqueue(db: Connection, orders: Sequence[Order]) -> list[str]:
    """Keep messages, unless their keys are known; return by which ids they are."""
    known: dict[str, str] = dict(
        bulk(
            db,
            "SELECT key, id FROM queue_keys WHERE key IN (VALUES {rows})",
            [(order.key,) for order in orders],
        )
    )
    fresh: list[Order] = []
    for order in orders:
        if order.key not in known:
            known[order.key] = order.id
            fresh.append(order)
        elif order.number:
            db.execute(
                "UPDATE queue_leftovers SET holder = '' WHERE message = ?", (order.number,)
            )
    if fresh:
        _keep(db, fresh)
    return [known[order.key] for order in orders]


def _keep(db: Connection, orders: Sequence[Order]) -> None:
    ways = [order.ways() for order in orders]
    numbers = claim(
        db, messages=sum(not order.number for order in orders), legs=sum(map(len, ways))
    )
    lanes = lanes_of(db, ((agent, to) for one in ways for agent, to, _ in one))
    turns = Turns(
        db, numbers.turn, (o.flow for o, some in zip(orders, ways, strict=True) for _ in some)
    )
    writer = _Rows()
    message, leg = numbers.message, numbers.leg
    for order, some in zip(orders, ways, strict=True):
        writer.add_message(order, order.number or message)
        for (agent, destination, hold), places in some.items():
            turn = turns.give(order.flow, order.priority)
            lane = lanes[agent, destination]
            writer.add_leg(order, order.number or message, leg, lane, turn, hold, places)
            leg += 1
        message += not order.number
    writer.write(db)


@attrs.define
class _Rows:
    """Rows of all tables, to be written together."""

    messages: list[tuple[int, str, str, str, float, int, int, str, str]] = attrs.Factory(list)
    keys: list[tuple[str, str, float]] = attrs.Factory(list)
    contents: list[tuple[int, bytes]] = attrs.Factory(list)
    arrived: list[tuple[int]] = attrs.Factory(list)
    legs: list[tuple[int, int, int, str, int, int, int, float, float, int, int, str]] = (
        attrs.Factory(list)
    )
    recipients: list[tuple[int, int, int, str, str, int, str, str, str]] = attrs.Factory(list)
    firsts: list[tuple[int, int]] = attrs.Factory(list)

    def add_message(self, order: Order, message: int) -> None:
        self.messages.append(
            (
                message,
                order.id,
                order.sender,
                order.flow,
                order.arrived,
                order.size,
                len(order.recipients),
                order.held,
                order.facts,
            )
        )
        self.keys.append((order.key, order.id, order.now))
        if order.octets is not None:
            self.contents.append((message * PIECES, order.octets))
        else:
            self.arrived.append((message,))

    def add_leg(
        self,
        order: Order,
        message: int,
        leg: int,
        lane: int,
        turn: int,
        hold: bool,
        places: Sequence[int],
    ) -> None:
        state = PENDING
        if hold or order.held:
            state = HELD
        elif order.due > order.now:
            state = DEFERRED
        self.legs.append(
            (
                leg,
                message,
                lane,
                order.flow,
                order.priority,
                state,
                turn,
                order.due,
                max(order.due, order.now),
                0,
                0,
                "",
            )
        )
        if state == PENDING:
            self.firsts.append((lane, turn))
        for place in places:
            one = order.recipients[place]
            self.recipients.append(
                (
                    leg,
                    place,
                    0,
                    one.address,
                    one.domain,
                    0,
                    one.status,
                    one.detail,
                    one.facts,
                )
            )

    def write(self, db: Connection) -> None:
        bulk(db, "INSERT INTO queue_messages VALUES {rows}", self.messages)
        bulk(db, "INSERT INTO queue_keys VALUES {rows}", self.keys)
        bulk(db, "INSERT INTO queue_contents VALUES {rows}", self.contents)
        bulk(db, "DELETE FROM queue_leftovers WHERE message IN (VALUES {rows})", self.arrived)
        bulk(db, "INSERT INTO queue_legs VALUES {rows}", self.legs)
        bulk(db, "INSERT INTO queue_recipients VALUES {rows}", self.recipients)
        put_first(db, self.firsts)
