"""Unknown recipients, relaying and foreign reverse-paths are refused while the sender waits."""

from __future__ import annotations

from typing import Any

import pytest

from mailplat.interfaces import IPolicy
from mailplat.mail.address import Address
from mailplat.mail.errors import (
    AccountDisabled,
    BadAddress,
    MailError,
    NoRoute,
    NoSuchAddress,
    RelayingDenied,
    SenderNotAllowed,
)
from mailplat.mail.people import Place
from mailplat.mail.transit import KEEP, Disposition, Stage, Verdict
from mailplat.pipeline.policies.recipients import Recipients
from mailplat.pipeline.policies.relaying import Relaying
from mailplat.pipeline.policies.senders import Senders
from mailplat.testing.contracts.judges import PolicyContract
from mailplat.testing.transits import FakeDirectory, account, new_transit, recipient


async def at_recipient(bench: Any, text: str, login: str = "") -> Verdict:
    """Ask all three about a recipient, in their usual order."""
    directory = bench.directory
    pipeline = bench.pipeline([Senders(directory), Recipients(directory), Relaying(directory)])
    transit = new_transit(to=[], login=login)
    transit.recipient = recipient(text)
    verdict: Verdict = await pipeline.ask(Stage.RECIPIENT, transit)
    return verdict


# Who there is.


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("alice@example.org", None),
        ("Alice@EXAMPLE.org", None),
        ("nobody@example.org", NoSuchAddress),
        ("postmaster@example.org", None),
        ("postmaster", None),
        ("gone@example.org", AccountDisabled),
        ("some@example.org", None),  # leads to one who is disabled and one who isn't
        ("outside@example.org", NoRoute),
        ("both@example.org", NoRoute),
    ],
)
async def test_a_local_domain_has_whom_it_has(
    bench: Any, text: str, error: type[MailError] | None
) -> None:
    gone, elsewhere = account("gone@example.org", enabled=False), Address("c", "example.net")
    alice = Place(account("alice@example.org"))
    bench.directory.ways |= {
        "gone@example.org": [Place(gone)],
        "some@example.org": [Place(gone), alice],
        "outside@example.org": [Place(address=elsewhere)],
        "both@example.org": [alice, Place(address=elsewhere)],
    }
    verdict = await at_recipient(bench, text)
    assert type(verdict.error) is (error or type(None))
    assert (verdict.disposition is Disposition.REJECT) is bool(error)


# Relaying.

RELAYS = """
outside@example.net
OUTSIDE@EXAMPLE.NET
outside@example.org.example.net
outside@sub.example.org
outside@example.orgg
outside@example.or
outside@xexample.org
outside@localhost
outside@example
outside@[192.0.2.7]
outside@[127.0.0.1]
outside@[IPv6:::1]
outside@[IPv6:2001:db8::1]
outside@xn--exmple-cua.org
outside@exämple.org
outside%example.net@example.org
outside%example.net%example.org@example.org
outside%[192.0.2.7]@example.org
%outside%example.net@example.org
outside%example.net@example.net
outside%example.org@example.net
example.net!outside@example.org
example.org!example.net!outside@example.org
!example.net!outside@example.org
example.net!outside@example.net
example.net!outside%example.org@example.org
outside=example.net@example.org
outside+example.net@example.org
outside#example.net@example.org
outside/example.net@example.org
"outside@example.net"@example.org
"outside@example.net"@example.net
"outside%example.net"@example.org
"example.net!outside"@example.org
"@example.net:outside"@example.org
"<outside@example.net>"@example.org
"outside@example.net>,<x"@example.org
"outside\\@example.net"@example.org
"outside@[192.0.2.7]"@example.org
" outside@example.net"@example.org
"|outside@example.net"@example.org
"outside@example.net "@example.org
"postmaster@example.net"@example.org
postmaster%example.net@example.org
postmaster@example.net
"alice@example.org"@example.net
alice@example.org@example.net
outside@example.net@example.org
@example.net:outside@example.org
@example.org,@example.net:outside@example.net
@example.org:outside@example.net
outside@example.net,alice@example.org
outside@example.net alice@example.org
alice@example.org,outside@example.net
<outside@example.net>
<outside@example.net>@example.org
outside@example.net\\@example.org
outside@@example.org
outside@example.org@
outside
""".strip().splitlines()  # RFC 5321 section 7.9


@pytest.mark.parametrize("text", RELAYS)
async def test_nobody_relays_through_us(bench: Any, text: str) -> None:
    """Whatever form the address has, a stranger reaches nobody by it."""
    try:
        Address.parse(text)
    except BadAddress:
        return
    verdict = await at_recipient(bench, text)
    local = Address.parse(text).domain == "example.org"
    assert verdict.disposition is Disposition.REJECT
    assert isinstance(verdict.error, NoSuchAddress if local else RelayingDenied)


def test_there_are_rows_enough() -> None:
    assert len(set(RELAYS)) >= 50


async def test_after_login_the_answer_is_that_nothing_goes_elsewhere(bench: Any) -> None:
    verdict = await at_recipient(bench, "outside@example.net", login="alice@example.org")
    assert isinstance(verdict.error, NoRoute)


# Reverse-paths.


@pytest.mark.parametrize(
    ("login", "sender", "allowed"),
    [
        ("", "alice@example.org", True),
        ("", "", True),
        ("alice@example.org", "alice@example.org", True),
        ("alice@example.org", "ALICE@example.org", True),
        ("alice@example.org", "", True),
        ("alice@example.org", "bob@example.org", False),
        ("alice@example.org", "alice@example.net", False),
    ],
)
async def test_a_login_may_use_its_own_addresses(
    login: str, sender: str, allowed: bool
) -> None:
    transit = new_transit(sender=sender, login=login)
    verdict = await Senders(FakeDirectory()).judge(Stage.SENDER, transit)
    if allowed:
        assert verdict is KEEP
    else:
        assert isinstance(verdict.error, SenderNotAllowed)


# The contract.


class TestRecipients(PolicyContract):
    @pytest.fixture
    def policy(self) -> IPolicy:
        return Recipients(FakeDirectory())


class TestRelaying(PolicyContract):
    @pytest.fixture
    def policy(self) -> IPolicy:
        return Relaying(FakeDirectory())


class TestSenders(PolicyContract):
    @pytest.fixture
    def policy(self) -> IPolicy:
        return Senders(FakeDirectory())
