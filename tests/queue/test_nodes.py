"""Several nodes at one queue, on PostgreSQL: each leg is one node's, and nobody waits for another."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from mailplat.mail.queued import Selection, Standing
from mailplat.queue.queue import BEAT, SILENCE
from mailplat.sql.postgres import PostgresDatabase, Target
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.queues import new_posting
from mailplat.testing.workers import CrewAtOnce, ReactorAtOnce

ALL = Selection()


@async_yield_fixture
async def nodes(make_scene: Any, postgres: Target) -> Any:
    """Two nodes that share a database; each has clocks of its own."""
    reactor: Any = ReactorAtOnce()

    def make() -> PostgresDatabase:
        return PostgresDatabase(postgres, reactor, crew=CrewAtOnce, shared=True)

    both = [make_scene(make), make_scene(make)]
    for one in both:
        await one.open()
    yield both
    for one in both:
        await one.close()


async def test_nodes_share_what_there_is(nodes: Any) -> None:
    first, second = nodes
    for node in nodes:
        node.relay.waits |= {f"d{n}.example" for n in range(10)}
    for number in range(30):
        to = f"x@d{number % 10}.example"
        await nodes[number % 2].queue.enqueue(new_posting(to, key=f"k{number}"))
    for _ in range(30):
        for node in nodes:
            node.pass_time(1)
            node.relay.go_on()
        if not await first.queue.messages(ALL):
            break
    served = Counter(first.relay.served() + second.relay.served())
    assert len(served) == 30
    assert set(served.values()) == {1}
    assert first.relay.tried
    assert second.relay.tried
    assert not await first.queue.messages(ALL)


async def test_what_a_dead_node_had_in_hand_is_taken_over(nodes: Any) -> None:
    """By the watch of those who live, whatever the date is here and there."""
    dead, living = nodes
    dead.relay.waits.add("a.example")
    await dead.queue.enqueue(new_posting("x@a.example"))
    dead.pass_time()
    assert len(dead.relay.tried) == 1
    living.wall.advance(86400 * 300)
    living.pass_time(SILENCE / 2)
    dead.pass_time(BEAT)  # it lives, and says so
    living.pass_time(SILENCE - BEAT)
    assert not living.relay.tried
    living.pass_time(SILENCE + 2 * BEAT)
    assert living.relay.served() == [("k1", "x@a.example")]
    dead.relay.go_on()
    dead.pass_time()
    assert not await living.queue.messages(ALL)


@pytest.mark.parametrize("first_to_answer", [0, 1])
async def test_an_outcome_that_comes_too_late_does_not_count(
    nodes: Any, first_to_answer: int
) -> None:
    slow, other = nodes
    for node in nodes:
        node.relay.waits.add("a.example")
    await slow.queue.enqueue(new_posting("x@a.example"))
    slow.pass_time()
    other.pass_time(2 * SILENCE + 2 * BEAT)
    assert len(other.relay.waiting) == 1
    for node in (nodes[first_to_answer], nodes[1 - first_to_answer]):
        node.relay.go_on()
        node.pass_time()
    assert not await other.queue.messages(ALL)
    told = [one for node in nodes for one in node.bus.events]
    assert len(told) == 1


async def test_a_house_of_its_own_takes_over_at_once(scene: Any) -> None:
    scene.relay.waits.add("a.example")
    await scene.queue.enqueue(new_posting("x@a.example"))
    scene.pass_time()
    await scene.crash()
    [message] = await scene.queue.messages(ALL)
    assert [one.standing for one in message.recipients] == [Standing.PENDING]
