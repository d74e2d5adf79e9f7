"""As many connections as there are descriptors for, and a word where they are fewer."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from mailplat.app import descriptors
from mailplat.app.descriptors import carried, raise_limit, shortage, within_reach
from mailplat.mail.limits import Limits


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The limit of this process, as it would be told and set."""
    limit: dict[str, Any] = {"now": (1024, 524288)}
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: limit["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, now: limit.update(now=now))
    return limit


@pytest.mark.parametrize(
    ("hard", "soft"),
    [(524288, 524288), (1024, 1024), (resource.RLIM_INFINITY, descriptors.MOST)],
)
def test_the_soft_limit_becomes_the_hard_one(limit: Any, hard: int, soft: int) -> None:
    limit["now"] = (1024, hard)
    raise_limit()
    assert limit["now"] == (soft, hard)


def test_what_may_not_be_raised_stays(limit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_kind: int, _now: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_limit()
    assert limit["now"] == (1024, 524288)


@pytest.mark.parametrize(
    ("soft", "connections"), [(64, 1), (128, 14), (1024, 462), (20100, 10000), (-1, 10000)]
)
def test_connections_are_those_that_can_be_carried(
    limit: Any, soft: int, connections: int
) -> None:
    limit["now"] = (soft, soft)
    assert within_reach(Limits()).connections == connections
    assert within_reach(Limits(connections=1)).connections == 1


def test_a_shortage_is_told_with_what_would_do(limit: Any) -> None:
    assert shortage(Limits()) == ""
    limit["now"] = (256, 1024)
    assert "1024 open files carry 462 connections, not 10000; " in shortage(Limits())
    assert "raise the limit to 20100 " in shortage(Limits())
    assert shortage(Limits(connections=carried(1024))) == ""
