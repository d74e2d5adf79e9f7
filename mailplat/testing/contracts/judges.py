"""What every `IPolicy` and `IFilter` promises, as tests that a plugin inherits."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mailplat.interfaces import IFilter, IPolicy
from mailplat.mail.transit import Stage, Verdict
from mailplat.testing.transits import HELLO, new_transit, recipient

CONTENTS: Sequence[bytes] = [
    HELLO,
    b"",
    b"\r\n",
    b"no header at all",
    b"Subject: \xff\xfe =?utf-8?b?broken\r\n\r\n\0\0\0",
    b"Received: x\r\n" * 300 + b"\r\n",
]
ENVELOPES: Sequence[dict[str, Any]] = [
    {},
    {"sender": "", "to": ["alice@example.org", "bob@example.org"]},
    {"login": "alice@example.org", "to": ["nobody@example.org", "x@[192.0.2.1]"]},
]


async def answer(judged: object) -> object:
    """Return what a component's ``judge`` has answered, in whatever way."""
    if inspect.iscoroutine(judged) or isinstance(judged, Deferred):
        return await judged
    return judged


class PolicyContract:
    """Inherit, and say in a fixture ``policy`` how to make one with nothing around it."""

    @pytest.fixture
    def policy(self) -> IPolicy:
        raise NotImplementedError("a plugin returns its policy here")

    def test_it_provides_its_interface(self, policy: IPolicy) -> None:
        verifyObject(IPolicy, policy)

    def test_its_stages_are_stages_before_the_content(self, policy: IPolicy) -> None:
        assert policy.stages
        assert set(policy.stages) <= set(Stage) - {Stage.CONTENT}

    @pytest.mark.parametrize("envelope", ENVELOPES)
    async def test_it_answers_with_a_verdict(
        self, policy: IPolicy, envelope: dict[str, Any]
    ) -> None:
        for stage in policy.stages:
            for about in new_transit(**envelope).envelope.recipients:
                transit = new_transit(**envelope)
                transit.recipient = about if stage is Stage.RECIPIENT else None
                assert isinstance(await answer(policy.judge(stage, transit)), Verdict)

    @pytest.mark.parametrize("text", ["postmaster", '"a b"@example.org', "ü@example.org"])
    async def test_it_survives_odd_recipients(self, policy: IPolicy, text: str) -> None:
        transit = new_transit(to=[])
        transit.recipient = recipient(text)
        for stage in policy.stages:
            assert isinstance(await answer(policy.judge(stage, transit)), Verdict)


class FilterContract:
    """Inherit, and say in a fixture ``filter`` how to make one with nothing around it."""

    @pytest.fixture
    def filter(self) -> IFilter:
        raise NotImplementedError("a plugin returns its filter here")

    def test_it_provides_its_interface(self, filter: IFilter) -> None:  # noqa: A002
        verifyObject(IFilter, filter)

    @pytest.mark.parametrize("octets", CONTENTS)
    async def test_it_answers_with_a_verdict(
        self,
        filter: IFilter,  # noqa: A002 - a fixture
        octets: bytes,
    ) -> None:
        transit = new_transit(octets)
        assert isinstance(await answer(filter.judge(transit)), Verdict)

    async def test_it_leaves_the_transit_alone(self, filter: IFilter) -> None:  # noqa: A002
        """What it wants changed it says in its verdict."""
        transit, before = new_transit(), new_transit()
        await answer(filter.judge(transit))
        for name in ("envelope", "content", "original", "header", "junk", "facts", "decisions"):
            assert getattr(transit, name) == getattr(before, name)
