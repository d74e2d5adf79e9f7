"""By DANE and MTA-STS the right host is believed and the wrong one refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest
from twisted.internet import ssl
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from mailplat.delivery.ways.levels import Levels
from mailplat.delivery.ways.policies import StsPolicies
from mailplat.delivery.ways.sessions import Sessions
from mailplat.delivery.ways.settings import WaySettings
from mailplat.delivery.ways.ways import Ways
from mailplat.files import Disk
from mailplat.mail.content import Octets
from mailplat.mail.dns import Cname, Tlsa, Txt
from mailplat.mail.errors import LookupFailed
from mailplat.testing.contracts.agents import new_job
from mailplat.testing.issuing import NOW, Issued, issue
from mailplat.testing.peers import RecordingPeer
from mailplat.testing.transits import HELLO
from mailplat.testing.workers import workers_at_once
from mailplat.trust.mtasts import StsPolicy
from mailplat.trust.tlsrpt import PolicyType, ResultType

from .conftest import Internet

Send = Callable[..., Any]
HOST, DOMAIN = "mx.example.org", "example.org"
ROOT = issue("root", ca=True)
LEAF = issue("leaf", ROOT, hosts=[HOST])
OTHER = issue("other", ROOT, hosts=["other.example.org"])


@attrs.define
class Fetcher:
    """Has one policy for every domain."""

    policy: StsPolicy

    async def fetch(self, domain: str) -> StsPolicy:
        return self.policy


def ways(
    internet: Internet,
    sts: str = "",
    now: datetime = NOW,
    sessions: Sessions | None = None,
    levels: Levels | None = None,
    **settings: Any,
) -> Ways:
    """Return what asks for proofs; ``sts`` is the domain's policy, its lines divided by ``/``."""
    clock = Clock()
    clock.advance(now.timestamp())
    policy = StsPolicy.read(
        "\n".join(
            ["version: STSv1", "max_age: 600", *(sts or "mode: none").split("/")]
        ).encode()
    )
    if sts:
        record = Txt(b"v=STSv1; id=1")
        internet.resolver.records[f"_mta-sts.{DOMAIN}", Txt] = [record]
    workers = workers_at_once()
    policies = StsPolicies(
        internet.folder, internet.resolver, Fetcher(policy), Disk(), workers, clock
    )
    return Ways(WaySettings(**settings), internet.resolver, policies, clock, sessions, levels)


def shows(*chain: Issued) -> Any:
    """Return what a host needs to show these certificates."""
    return ssl.CertificateOptions(
        privateKey=ssl.KeyPair.load(chain[0].secret, 1).original,
        certificate=ssl.Certificate.loadPEM(chain[0].pem).original,
        extraCertChain=[ssl.Certificate.loadPEM(one.pem).original for one in chain[1:]],
    )


def secure_host(internet: Internet, *chain: Issued, proven: bool = True) -> RecordingPeer:
    """Add a host for the domain; what leads to it is proven or not."""
    internet.exchange(DOMAIN, HOST)
    peer = internet.host(HOST, tls=shows(*chain) if chain else None)
    if proven:
        internet.resolver.proven |= {DOMAIN, HOST, f"_25._tcp.{HOST}"}
    return peer


def publish(internet: Internet, *records: Tlsa, host: str = HOST) -> None:
    internet.resolver.records[f"_25._tcp.{host}", Tlsa] = list(records)


async def status(internet: Internet, send: Send, policies: Ways, **more: Any) -> str:
    [found] = await send(internet.relay(policies=policies), f"alice@{DOMAIN}", **more)
    text: str = found
    return text


# DANE ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "chain", "expected"),
    [
        ([LEAF.record(3)], [LEAF, ROOT], "2.0.0"),
        ([OTHER.record(3), LEAF.record(3)], [LEAF], "2.0.0"),
        ([LEAF.record(3)], [OTHER], "4.7.5"),
        ([ROOT.record(2)], [LEAF, ROOT], "2.0.0"),
        ([ROOT.record(2)], [OTHER, ROOT], "4.7.5"),
        ([ROOT.record(2)], [LEAF], "4.7.5"),
        ([Tlsa(0, 0, 1, b"x" * 32)], [OTHER], "2.0.0"),  # unusable: TLS, with whom it may be
        ([Tlsa(0, 0, 1, b"x" * 32)], [], "4.7.5"),
        ([LEAF.record(3)], [], "4.7.5"),  # stripped of STARTTLS
    ],
)
async def test_dane(
    internet: Internet, send: Send, records: list[Tlsa], chain: list[Issued], expected: str
) -> None:
    peer = secure_host(internet, *chain)
    publish(internet, *records)
    assert await status(internet, send, ways(internet)) == expected
    assert len(peer.received) == (expected == "2.0.0")
    assert all(message.secured for message in peer.received)


@pytest.mark.parametrize("unproven", [DOMAIN, HOST, f"_25._tcp.{HOST}"])
async def test_without_proof_nothing_is_asked_for(
    internet: Internet, send: Send, unproven: str
) -> None:
    secure_host(internet, OTHER)
    publish(internet, LEAF.record(3))
    internet.resolver.proven.discard(unproven)
    assert await status(internet, send, ways(internet)) == "2.0.0"
    if unproven == HOST:
        assert (f"_25._tcp.{HOST}", "Tlsa") not in internet.resolver.asked


async def test_a_look_up_that_fails_bars_the_host(internet: Internet, send: Send) -> None:
    """Somebody may be keeping the records from us (RFC 7672 section 2.1)."""
    peer = secure_host(internet, LEAF)
    internet.resolver.records[f"_25._tcp.{HOST}", Tlsa] = LookupFailed("SERVFAIL")
    assert await status(internet, send, ways(internet)) == "4.4.3"
    assert peer.connections == 0


async def test_dates_are_those_of_now(internet: Internet, send: Send) -> None:
    secure_host(internet, LEAF, ROOT)
    publish(internet, ROOT.record(2))
    late = ways(internet, now=NOW + timedelta(days=400))
    assert await status(internet, send, late) == "4.7.5"
    publish(internet, LEAF.record(3))
    assert await status(internet, send, late) == "2.0.0"


async def test_records_of_an_alias_s_target_come_first(internet: Internet, send: Send) -> None:
    """RFC 7672 section 2.2.2."""
    secure_host(internet, LEAF)
    internet.exchange(DOMAIN, "alias.example.org")
    internet.resolver.records["alias.example.org", Cname] = [Cname(HOST)]
    internet.resolver.proven.add("alias.example.org")
    publish(internet, OTHER.record(3))
    assert await status(internet, send, ways(internet)) == "4.7.5"
    publish(internet, LEAF.record(3))
    assert await status(internet, send, ways(internet)) == "2.0.0"


async def test_another_host_may_be_right(internet: Internet, send: Send) -> None:
    wrong = secure_host(internet, OTHER)
    publish(internet, LEAF.record(3))
    internet.exchange(DOMAIN, f"10 {HOST}", "20 other.example.org")
    right = internet.host("other.example.org", tls=shows(OTHER))
    assert await status(internet, send, ways(internet)) == "2.0.0"
    assert (len(wrong.received), len(right.received)) == (0, 1)


async def test_it_can_be_turned_off(internet: Internet, send: Send) -> None:
    secure_host(internet, OTHER)
    publish(internet, LEAF.record(3))
    assert await status(internet, send, ways(internet, dane=False)) == "2.0.0"


# MTA-STS ---------------------------------------------------------------------


def web_host(internet: Internet, *names: str) -> RecordingPeer:
    """Add a host whose certificate is for these names, by a trusted authority."""
    internet.exchange(DOMAIN, HOST)
    return internet.host(HOST, tls=internet.tls(*names) if names else None)


@pytest.mark.parametrize(
    ("sts", "names", "expected"),
    [
        (f"mode: enforce/mx: {HOST}", [HOST], "2.0.0"),
        ("mode: enforce/mx: *.example.org", [HOST], "2.0.0"),
        ("mode: enforce/mx: *.example.org", ["*.example.org"], "2.0.0"),
        (f"mode: enforce/mx: {HOST}", ["other.example.org"], "4.7.5"),
        (f"mode: enforce/mx: {HOST}", [], "4.7.5"),  # stripped of STARTTLS
        ("mode: enforce/mx: other.example.org", [HOST], "4.7.5"),  # another MX than it says
        ("mode: testing/mx: other.example.org", ["x.example"], "2.0.0"),
        ("mode: none", ["x.example"], "2.0.0"),
    ],
)
async def test_mta_sts(
    internet: Internet, send: Send, sts: str, names: list[str], expected: str
) -> None:
    peer = web_host(internet, *names)
    assert await status(internet, send, ways(internet, sts)) == expected
    assert len(peer.received) == (expected == "2.0.0")


async def test_not_by_those_whom_nobody_vouches_for(internet: Internet, send: Send) -> None:
    secure_host(internet, LEAF, ROOT, proven=False)
    sts = f"mode: enforce/mx: {HOST}"
    assert await status(internet, send, ways(internet, sts)) == "4.7.5"
    assert await status(internet, send, ways(internet, sts, mta_sts=False)) == "2.0.0"


async def test_dane_comes_first(internet: Internet, send: Send) -> None:
    """RFC 8461 section 2."""
    secure_host(internet, LEAF)
    publish(internet, LEAF.record(3))
    sts = f"mode: enforce/mx: {HOST}"
    assert await status(internet, send, ways(internet, sts)) == "2.0.0"
    publish(internet, OTHER.record(3))
    assert await status(internet, send, ways(internet, sts)) == "4.7.5"


async def test_a_message_may_waive_it(internet: Internet, send: Send) -> None:
    """TLS-Required: No (RFC 8689 section 5)."""
    secure_host(internet, OTHER)
    publish(internet, LEAF.record(3))
    content = Octets(b"TLS-Required: No\r\n" + HELLO)
    assert await status(internet, send, ways(internet), content=content) == "2.0.0"


async def test_the_reason_is_told(internet: Internet) -> None:
    secure_host(internet, OTHER)
    publish(internet, LEAF.record(3))
    relay = internet.relay(policies=ways(internet))
    [outcome] = await relay.attempt(new_job(f"alice@{DOMAIN}"))
    assert "its certificate is not the one that was published" in outcome.detail


async def test_an_address_literal_has_no_policy(internet: Internet) -> None:
    assert await ways(internet, "mode: enforce/mx: x.example").policy("[192.0.2.1]") is None
    assert internet.resolver.asked == []


# How it went -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "sts", "chain", "kind", "result"),
    [
        ([LEAF.record(3)], "", [LEAF], PolicyType.TLSA, None),
        ([LEAF.record(3)], "", [OTHER], PolicyType.TLSA, ResultType.VALIDATION_FAILURE),
        ([LEAF.record(3)], "", [], PolicyType.TLSA, ResultType.STARTTLS_NOT_SUPPORTED),
        ([], "", [OTHER], PolicyType.NONE, None),
        ([], "", [], PolicyType.NONE, ResultType.STARTTLS_NOT_SUPPORTED),
        (
            [],
            f"mode: testing/mx: {HOST}",
            [LEAF],
            PolicyType.STS,
            ResultType.CERTIFICATE_NOT_TRUSTED,
        ),
        (
            [],
            "mode: testing/mx: x.example",
            [LEAF],
            PolicyType.STS,
            ResultType.VALIDATION_FAILURE,
        ),
        (
            [],
            f"mode: enforce/mx: {HOST}",
            [],
            PolicyType.STS,
            ResultType.STARTTLS_NOT_SUPPORTED,
        ),
    ],
)
async def test_how_it_went_is_counted(
    internet: Internet,
    send: Send,
    records: list[Tlsa],
    sts: str,
    chain: list[Issued],
    kind: PolicyType,
    result: ResultType | None,
) -> None:
    secure_host(internet, *chain)
    publish(internet, *records)
    sessions = Sessions(NOW.timestamp)
    wanted = Txt(b"v=TLSRPTv1; rua=mailto:a@example.org")
    internet.resolver.records[f"_smtp._tls.{DOMAIN}", Txt] = [wanted]
    await status(internet, send, ways(internet, sts, sessions=sessions))
    [of_domain] = sessions.days[NOW.date()].counts.values()
    [(policy, counts)] = of_domain.items()
    assert (policy.type, policy.domain) == (kind, DOMAIN)
    assert [one.result for one in counts.details] == ([result] if result else [])
    assert counts.successes == (result is None)
    for one in counts.details:
        assert one.receiving_host == HOST


async def test_nothing_is_counted_of_those_who_do_not_ask(
    internet: Internet, send: Send
) -> None:
    secure_host(internet, LEAF)
    sessions = Sessions(NOW.timestamp)
    assert await status(internet, send, ways(internet, sessions=sessions)) == "2.0.0"
    assert sessions.days == {}
    assert await ways(internet, sessions=sessions).policy(DOMAIN) is None


async def test_a_host_that_loses_its_tls_is_named_once_a_day(
    internet: Internet, send: Send
) -> None:
    clock = Clock()
    clock.advance(NOW.timestamp())
    levels = Levels(internet.folder, Disk(), workers_at_once(), clock)
    policies = ways(internet, levels=levels)
    peer = secure_host(internet, LEAF, proven=False)
    said = []
    for tls in (peer.tls, peer.tls, None, None):
        peer.tls = tls
        with capturedLogs() as events:
            relay = internet.relay(policies=policies, keep=timedelta(0))
            assert await send(relay, f"alice@{DOMAIN}") == ["2.0.0"]
        said.append([formatEvent(event) for event in events if "day" in event])
    [words] = said.pop(2)
    assert words.startswith(f"{HOST} at 127.0.1.")
    assert "has no TLS, and had it on 2026-11-28" in words
    assert said == [[], [], []]
