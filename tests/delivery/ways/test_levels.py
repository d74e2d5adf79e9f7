"""A host that had TLS and has none is told of, once a day."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from mailplat.delivery.ways import levels
from mailplat.delivery.ways.levels import Levels
from mailplat.files import Disk
from mailplat.mail.hops import Session, Shown
from mailplat.testing.workers import workers_at_once

DAY = 86400
SHOWN = Shown((), False)


def session(host: str = "mx.example.org", **what: Any) -> Session:
    return Session(host, "mx", "192.0.2.9", "192.0.2.1", **what)


@pytest.fixture
def told() -> Iterator[list[str]]:
    found: list[str] = []

    def hear(event: Any) -> None:
        if "has no TLS" in str(event.get("log_format")):
            found.append(f"{event['host']} {event['day']} {event['failure']}")

    globalLogPublisher.addObserver(hear)
    yield found
    globalLogPublisher.removeObserver(hear)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1_700_000_000)
    return clock


@pytest.fixture
def remembered(tmp_path: Path, clock: Clock) -> Levels:
    return Levels(tmp_path, Disk(), workers_at_once(), clock)


async def test_one_that_loses_it_is_told_of(
    remembered: Levels, clock: Clock, told: list[str]
) -> None:
    remembered.tell(session())
    assert told == []
    remembered.tell(session(shown=SHOWN))
    clock.advance(DAY)
    remembered.tell(session())
    remembered.tell(session(failure="alert 40"))
    assert told == ["mx.example.org 2023-11-14 it offers none"]
    clock.advance(DAY)
    remembered.tell(session(failure="alert 40"))
    assert told[1:] == ["mx.example.org 2023-11-14 alert 40"]
    remembered.tell(session(shown=SHOWN))
    remembered.tell(session("other.example.org"))
    assert len(told) == 2


async def test_it_is_forgotten_some_day(
    remembered: Levels, clock: Clock, told: list[str]
) -> None:
    remembered.tell(session(shown=SHOWN))
    clock.advance(61 * DAY)
    remembered.tell(session())
    remembered.tell(session())
    assert told == []


async def test_it_outlives_a_restart(
    remembered: Levels, clock: Clock, told: list[str], tmp_path: Path
) -> None:
    remembered.tell(session(shown=SHOWN))
    await remembered.finish()
    again = Levels(tmp_path, Disk(), workers_at_once(), clock)
    await again.prepare()
    again.tell(session())
    assert len(told) == 1
    for broken in ("{", "[]", '{"a": 5}', '{"a": "x"}'):
        (tmp_path / "tls-hosts.json").write_text(broken)
        await Levels(tmp_path, Disk(), workers_at_once(), clock).prepare()


async def test_few_are_remembered(
    remembered: Levels, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "MOST_HOSTS", 2)
    for name in "abc":
        remembered.tell(session(name, shown=SHOWN))
    for name in "abc":
        remembered.tell(session(name))
    assert [line[0] for line in told] == ["b", "c"]
