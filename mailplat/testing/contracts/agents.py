"""What every `IDeliveryAgent` promises, as tests that a plugin inherits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from zope.interface.verify import verifyObject

from mailplat.interfaces import IDeliveryAgent
from mailplat.mail.content import Octets
from mailplat.mail.mailbox import Outcome
from mailplat.mail.transit import Job
from mailplat.testing.fakes import FakeContent
from mailplat.testing.transits import HELLO, new_transit


def new_job(*to: str, sender: str = "carol@example.net", **changes: Any) -> Job:
    """Return a job to carry a small message to these recipients."""
    envelope = new_transit(to=to, sender=sender).envelope
    job = Job("4f2a", envelope, Octets(HELLO), datetime(2026, 11, 23, tzinfo=UTC))
    return attrs.evolve(job, **changes)


class AgentContract:
    """Inherit, and say in a fixture ``agent`` how to make one."""

    @pytest.fixture
    def agent(self) -> IDeliveryAgent:
        raise NotImplementedError("a plugin returns its agent here")

    def test_it_provides_its_interface(self, agent: IDeliveryAgent) -> None:
        verifyObject(IDeliveryAgent, agent)

    @pytest.mark.parametrize(
        "to", [[], ["alice@example.org"], ["x@example.net", "y@example.net"]]
    )
    async def test_each_recipient_has_an_outcome(
        self, agent: IDeliveryAgent, to: list[str]
    ) -> None:
        outcomes = await agent.attempt(new_job(*to))
        assert len(outcomes) == len(to)
        assert all(isinstance(outcome, Outcome) for outcome in outcomes)

    async def test_a_failure_is_an_outcome(self, agent: IDeliveryAgent) -> None:
        """A content that can't be read fails for now, or was not needed; nothing is raised."""
        content = FakeContent(HELLO, fails_at=0)
        [outcome] = await agent.attempt(new_job("alice@example.org", content=content))
        assert outcome.status.is_transient or outcome.status.is_success

    async def test_a_repeat_is_harmless(self, agent: IDeliveryAgent) -> None:
        job = new_job("alice@example.org", "nobody@example.org")
        first, second = await agent.attempt(job), await agent.attempt(job)
        assert [one.status for one in first] == [one.status for one in second]
