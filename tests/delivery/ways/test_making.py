"""The configuration says what is asked of other hosts, and who reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mailplat.app.mistakes import BadConfiguration
from mailplat.delivery.ways.reporting import Reports
from mailplat.delivery.ways.sessions import Sessions
from mailplat.delivery.ways.settings import WaySettings
from mailplat.interfaces import IWayPolicies
from mailplat.pytest_plugin import MemoryHouse, SocketHouse

RELAY = '[agents.out]\nuse = "relay"\n'


def test_a_relay_goes_by_what_domains_publish(
    mailplat_house: Callable[..., MemoryHouse],
) -> None:
    house = mailplat_house(RELAY)
    assert house.tree.find(IWayPolicies)
    with pytest.raises(LookupError):
        house.tree.find(Reports)


async def test_reports_are_sent_where_there_is_an_address(
    mailplat_server: Callable[..., Awaitable[SocketHouse]], tmp_path: Path
) -> None:
    reporting = '[ways]\nreports_from = "tls-reports@example.org"\norganization = "We"\n'
    house = await mailplat_server(RELAY + reporting)
    reports = house.tree.find(Reports)
    assert reports.sessions is house.tree.find(Sessions)
    assert reports.reporter.organization == "We"
    assert reports.reporter.domain == "example.org"
    assert reports.signer is not None
    await house.tree.finish()
    assert (house.foundation.state / "tls-sessions.json").read_text() == "[]"


def test_no_trust_is_a_mistake(mailplat_house: Callable[..., MemoryHouse]) -> None:
    with pytest.raises(BadConfiguration, match="has no certificates"):
        mailplat_house(RELAY + '[ways]\ntrust = "nothing.pem"\n')


@pytest.mark.parametrize("wrong", ["nobody", "a@", "a@b@c"])
def test_reports_come_from_an_address(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        WaySettings(reports_from=wrong)
