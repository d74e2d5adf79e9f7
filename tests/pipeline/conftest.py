"""A pipeline with nothing around it but fakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from mailplat.mail.events import MessageSettled
from mailplat.mail.limits import Limits
from mailplat.mail.transit import MessageRecord
from mailplat.pipeline.judge import Judge
from mailplat.pipeline.pipeline import Pipeline
from mailplat.testing.fakes import FakeBus
from mailplat.testing.transits import FakeAgent, FakeDirectory
from mailplat.testing.workers import workers_at_once
from mailplat.workers import Workers


@attrs.define
class Bench:
    """Makes pipelines of components, and sees what they do."""

    clock: Clock = attrs.field(factory=Clock)
    bus: FakeBus = attrs.field(factory=FakeBus)
    agent: Any = attrs.field(factory=FakeAgent)
    queue: Any = None
    directory: FakeDirectory = attrs.field(factory=FakeDirectory)
    workers: Workers = attrs.field(factory=workers_at_once)
    limits: Limits = attrs.field(factory=Limits)

    def judge(self, component: object, **conduct: Any) -> Judge:
        name = type(component).__name__.lower()
        return Judge(name, component, self.clock, self.workers, **conduct)

    def pipeline(
        self, policies: Sequence[object] = (), filters: Sequence[object] = (), **conduct: Any
    ) -> Pipeline:
        return Pipeline(
            [self.judge(one, **conduct) for one in policies],
            [self.judge(one, **conduct) for one in filters],
            self.directory,
            self.agent,
            self.bus,
            self.clock,
            self.clock,
            self.limits,
            self.queue,
        )

    @property
    def record(self) -> MessageRecord:
        """The record of the one message that was settled."""
        [event] = self.bus.events
        assert isinstance(event, MessageSettled)
        return event.record


@pytest.fixture
def bench() -> Bench:
    return Bench()
