"""Our queue on either database, without threads, and agents that do as they are told."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from mailplat.interfaces import House
from mailplat.queue.queue import Queue
from mailplat.queue.routes import Routes
from mailplat.queue.runner import Runner
from mailplat.queue.settings import QueueSettings, RouteSettings
from mailplat.sql import Database
from mailplat.sql.postgres import PostgresDatabase
from mailplat.testing.fakes import FakeBus
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.queues import NOW, TellingAgent, turn_clock
from mailplat.testing.transits import FakeDirectory
from mailplat.testing.workers import CrewAtOnce, ReactorAtOnce, database_at_once

RELAY = (RouteSettings(agent="relay"),)
nodes = itertools.count()


@attrs.define(eq=False)
class Scene:
    """See `mailplat.testing.queues.QueueScene`."""

    make_database: Callable[[], Database]
    clock: Clock = attrs.field(factory=Clock)
    wall: Clock = attrs.field(factory=Clock)
    settings: QueueSettings = attrs.field(factory=QueueSettings)
    routes: Sequence[RouteSettings] = RELAY
    bus: FakeBus = attrs.field(factory=FakeBus)
    directory: FakeDirectory = attrs.field(factory=FakeDirectory)
    local: TellingAgent = attrs.field(init=False)
    relay: TellingAgent = attrs.field(init=False)
    queue: Any = attrs.field(init=False)
    runner: Any = attrs.field(init=False, default=None)
    database: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.wall.advance(NOW)
        self.local, self.relay = TellingAgent(self.clock), TellingAgent(self.clock)

    async def open(self) -> None:
        self.database = self.make_database()
        await self.database.open()
        house = House("mail.example.org", Path("/nowhere"))
        self.queue = Queue(self.database, house, self.clock, self.wall)
        self.queue.node = f"node{next(nodes)}"
        await self.queue.prepare()
        await self.work()

    async def work(self) -> None:
        """Let another worker begin, by the settings and routes as they are now."""
        self.runner = Runner(
            self.settings,
            self.queue,
            Routes(self.routes, self.directory),
            self.bus,
            self.clock,
            names=("local", "relay"),
            agents=(self.local, self.relay),
            chance=lambda: 0.5,
        )
        await self.runner.prepare()

    async def close(self) -> None:
        self.local.go_on()
        self.relay.go_on()
        await self.runner.finish()
        await self.queue.finish()
        await self.database.close()

    async def crash(self) -> None:
        for call in self.clock.getDelayedCalls():
            call.cancel()
        self.runner._is_open = False
        for call, _ in self.queue._calls:
            call.running = False
        self.local.waiting.clear()
        self.relay.waiting.clear()
        await self.database.close()
        await self.open()

    def pass_time(self, seconds: float = 0.0) -> None:
        self.wall.advance(seconds)
        turn_clock(self.clock, seconds)
        self.clock.advance(0)


@pytest.fixture(params=["sqlite", "postgres"])
def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Database]:
    if request.param == "sqlite":
        return lambda: database_at_once(tmp_path / "mail.db", durable=False)
    target = request.getfixturevalue("postgres")
    reactor: Any = ReactorAtOnce()
    return lambda: PostgresDatabase(target, reactor, crew=CrewAtOnce)


@async_yield_fixture
async def scene(make_database: Callable[[], Database]) -> AsyncIterator[Scene]:
    scene = Scene(make_database)
    await scene.open()
    yield scene
    await scene.close()


@pytest.fixture
def make_scene() -> type[Scene]:
    """What makes further queues, given what makes their databases."""
    return Scene
