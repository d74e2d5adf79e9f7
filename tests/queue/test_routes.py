"""Routes: the first that fits."""

from __future__ import annotations

from typing import Any

import pytest

from mailplat.mail.address import Address
from mailplat.mail.queued import Question
from mailplat.queue.routes import Routes
from mailplat.queue.settings import RouteSettings
from mailplat.testing.transits import FakeDirectory


def question(to: str, sender: str = "", **more: Any) -> Question:
    return Question(
        recipient=Address.parse(to), sender=Address.parse(sender) if sender else None, **more
    )


async def agent_of(asked: Question, *routes: dict[str, Any]) -> str:
    """Return the agent of the first of these routes that fits."""
    settings = [RouteSettings.model_validate(route) for route in routes]
    return (await Routes(settings, FakeDirectory()).route(asked)).agent


@pytest.mark.parametrize(
    ("pattern", "address", "fits"),
    [
        ("*", "x@example.net", True),
        ("example.net", "x@example.net", True),
        ("EXAMPLE.net", "x@example.net", True),
        ("*@example.net", "x@example.net", True),
        ("example.net", "x@mail.example.net", False),
        ("*.example.net", "x@mail.example.net", True),
        ("*.example.net", "x@example.net", False),
        ("*.example.net", "x@notexample.net", False),
        ("X@example.net", "x@example.net", True),
        ("x@*.example.net", "x@mail.example.net", True),
        ("y@example.net", "x@example.net", False),
        ("bücher.example", "x@xn--bcher-kva.example", True),
        ("[192.0.2.1]", "x@[192.0.2.1]", True),
        ("<>", "x@example.net", False),
    ],
)
async def test_patterns(pattern: str, address: str, fits: bool) -> None:
    found = await agent_of(question(address), {"match": pattern, "agent": "there"})
    assert found == ("there" if fits else "")


async def test_the_first_that_fits_is_taken() -> None:
    routes = (
        {"sender": "<>", "agent": "reports"},
        {"login": "bob@example.org", "agent": "bobs"},
        {"sender": ["carol@example.org", "example.com"], "agent": "senders"},
        {"larger_than": 1000, "smaller_than": 2000, "agent": "middling"},
        {"match": "example.net", "agent": "net"},
        {"agent": "rest"},
    )
    for asked, expected in (
        (question("x@example.net"), "reports"),
        (question("x@example.net", "bob@example.org", login="bob@example.org"), "bobs"),
        (question("x@example.net", "carol@example.org"), "senders"),
        (question("x@example.net", "x@example.com"), "senders"),
        (question("x@example.net", "a@b.example", size=1001), "middling"),
        (question("x@example.net", "a@b.example", size=1000), "net"),
        (question("x@example.com", "a@b.example", size=2000), "rest"),
    ):
        assert await agent_of(asked, *routes) == expected, asked


async def test_local_mail_needs_no_route() -> None:
    assert await agent_of(question("alice@example.org"), {"agent": "there"}) == "local"
    assert await agent_of(Question(recipient=Address("postmaster", ""))) == "local"


async def test_a_hold_is_passed_over_when_it_is_over() -> None:
    settings = [RouteSettings(agent="hold"), RouteSettings(agent="there")]
    routes = Routes(settings, FakeDirectory())
    asked = question("x@example.net")
    assert (await routes.route(asked)).hold
    released = await routes.route(asked, may_hold=False)
    assert (released.agent, released.hold) == ("there", "")
