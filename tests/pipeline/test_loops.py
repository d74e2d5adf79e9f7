"""Messages that go round in circles are stopped."""

from __future__ import annotations

from typing import Any

import pytest

from mailplat.interfaces import IFilter
from mailplat.mail.errors import RoutingLoop
from mailplat.mail.transit import KEEP, Disposition
from mailplat.pipeline.filters.loops import LoopGuard, LoopGuardSettings
from mailplat.testing.contracts.judges import FilterContract
from mailplat.testing.transits import HELLO, new_transit

GUARD = LoopGuard(LoopGuardSettings())


@pytest.mark.parametrize(("hops", "kept"), [(0, True), (100, True), (101, False), (900, False)])
async def test_a_message_may_make_so_many_hops(hops: int, kept: bool) -> None:
    ours = b"Received: from x by mx.example.org; now\r\n"
    verdict = await GUARD.judge(new_transit(ours + b"received: by x; now\r\n" * hops + HELLO))
    assert (verdict is KEEP) is kept
    assert isinstance(verdict.error, RoutingLoop) is not kept


async def test_who_had_it_before_does_not_get_it_again() -> None:
    octets = b"Delivered-To: ALICE@Example.org\r\nDelivered-To: x@y\r\n" + HELLO
    both = ["alice@example.org", "bob@example.org"]
    verdict = await GUARD.judge(new_transit(octets, to=both))
    assert verdict.disposition is Disposition.KEEP
    assert list(verdict.recipients) == ["alice@example.org"]
    assert isinstance(verdict.recipients["alice@example.org"].error, RoutingLoop)
    assert await GUARD.judge(new_transit(octets, to=both[1:])) is KEEP


async def test_a_loop_is_refused_by_the_pipeline(bench: Any) -> None:
    octets = b"Delivered-To: alice@example.org\r\n" + HELLO
    [outcome] = await bench.pipeline(filters=[GUARD]).accept(new_transit(octets))
    assert str(outcome.status) == "5.4.6"
    [decision] = [d for d in bench.record.decisions if d.disposition is Disposition.REJECT]
    assert decision.detail == "RoutingLoop: alice@example.org had it before"


class TestLoopGuard(FilterContract):
    @pytest.fixture
    def filter(self) -> IFilter:
        return GUARD
