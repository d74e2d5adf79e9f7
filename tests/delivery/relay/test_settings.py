"""Agents for other hosts, as the configuration says them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailplat.app.config import check
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import Registry, discover
from mailplat.app.wiring import KINDS, draw
from mailplat.delivery.relay.agents import host_and_port
from mailplat.interfaces import IResolver

AGENTS = """\
[agents.out]
use = "relay"
tls = "must"
source = "192.0.2.1"

[agents.isp]
use = "smarthost"
hosts = ["smtp.example.com", "192.0.2.9:2525"]
login = "carol"
password = "secret"

[agents.mda]
use = "lmtp"
host = "127.0.0.1:2424"
"""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


def test_agents_share_one_resolver(registry: Registry) -> None:
    plan = draw(check(AGENTS, Path("m.toml"), registry), KINDS)
    made = {part.name: arguments for part, arguments in plan.steps}
    assert {"agents.out", "agents.isp", "agents.mda"} <= made.keys()
    assert len({id(made[f"agents.{name}"]["resolver"]) for name in ("out", "isp", "mda")}) == 1
    assert sum(IResolver in part.provides for part, _ in plan.steps) == 1


def test_a_house_that_sends_nothing_asks_no_resolver(registry: Registry) -> None:
    plan = draw(check("", Path("m.toml"), registry), KINDS)
    assert not any(IResolver in part.provides for part, _ in plan.steps)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('use = "smarthost"\nhosts = []\n', "hosts"),
        ('use = "smarthost"\nhosts = ["a b"]\n', "expected the name of a host"),
        (
            'use = "smarthost"\nhosts = ["a"]\nlogin = "x"\n',
            "expected both of login and password",
        ),
        (
            'use = "smarthost"\nhosts = ["a"]\ntls = "off"\nlogin = "x"\npassword = "y"\n',
            "in the clear",
        ),
        ('use = "lmtp"\nhost = "unix:lmtp"\n', "absolute path"),
        ('use = "relay"\nport = 0\n', "port"),
        ('use = "relay"\nown_networks = ["127.0.0.1/8"]\n', "own_networks"),
        ('use = "relay"\nsource = "mx"\n', "source"),
    ],
)
def test_mistakes(registry: Registry, text: str, said: str) -> None:
    with pytest.raises(BadConfiguration, match=said):
        check(f"[agents.out]\n{text}", Path("m.toml"), registry)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail.example.org", ("mail.example.org", 25)),
        ("Mail.Example.org:587", ("mail.example.org", 587)),
        ("192.0.2.1", ("[192.0.2.1]", 25)),
        ("192.0.2.1:24", ("[192.0.2.1]", 24)),
        ("2001:db8::1", ("[IPv6:2001:db8::1]", 25)),
        ("[2001:db8::1]:24", ("[IPv6:2001:db8::1]", 24)),
        ("[2001:db8::1]", ("[IPv6:2001:db8::1]", 25)),
    ],
)
def test_hosts_in_settings(text: str, expected: tuple[str, int]) -> None:
    assert host_and_port(text, 25) == expected


@pytest.mark.parametrize("text", ["", "a b", "host:", "host:0", "host:65536", "[::1", "-"])
def test_no_hosts_in_settings(text: str) -> None:
    with pytest.raises(ValueError):
        host_and_port(text, 25)
