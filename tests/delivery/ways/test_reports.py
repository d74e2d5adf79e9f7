"""What happened is counted, outlives a restart, and is reported to those who asked."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.delivery.ways.reporting import Reports
from mailplat.delivery.ways.sessions import Sessions, any_tls, for_web_names
from mailplat.files import Disk
from mailplat.interfaces import IQueue, ISigner
from mailplat.mail.address import Address
from mailplat.mail.canonical import RELAXED, Style
from mailplat.mail.content import Content, whole
from mailplat.mail.dns import Txt
from mailplat.mail.errors import HostUnreachable
from mailplat.mail.header import Header
from mailplat.mail.hops import Session, Shown
from mailplat.mail.queued import Posting
from mailplat.testing.fakes import FakeResolver
from mailplat.testing.issuing import issue
from mailplat.testing.workers import workers_at_once
from mailplat.trust.tlsrpt import (
    AppliedPolicy,
    FailureKind,
    PolicyType,
    Reporter,
    ResultType,
)

MIDNIGHT = datetime(2026, 11, 28, tzinfo=UTC).timestamp()
AN_HOUR = 3600
NONE = AppliedPolicy(PolicyType.NONE, "example.org")
DANE = AppliedPolicy(PolicyType.TLSA, "example.org", ("3 1 1 ab",), ("mx.example.org",))
BROKEN = FailureKind(result=ResultType.VALIDATION_FAILURE, receiving_ip="192.0.2.1")


# Counting --------------------------------------------------------------------

HERE = {"host": "mx.example.org", "greeting": "mx", "local": "192.0.2.9", "remote": "192.0.2.1"}
LEAF = issue("leaf", hosts=["mx.example.org"]).der
OTHER = issue("leaf", hosts=["x.example.org"]).der


@pytest.mark.parametrize(
    ("session", "classify", "result"),
    [
        (Session(**HERE), any_tls, ResultType.STARTTLS_NOT_SUPPORTED),
        (Session(**HERE, failure="alert 40"), any_tls, ResultType.VALIDATION_FAILURE),
        (Session(**HERE, shown=Shown((OTHER,), False)), any_tls, None),
        (
            Session(**HERE, shown=Shown((LEAF,), True)),
            for_web_names("mx.example.org"),
            None,
        ),
        (
            Session(**HERE, shown=Shown((OTHER,), True)),
            for_web_names("mx.example.org"),
            ResultType.CERTIFICATE_HOST_MISMATCH,
        ),
        (
            Session(**HERE, shown=Shown((LEAF,), False, "error 18 at depth 0 of its chain")),
            for_web_names("mx.example.org"),
            ResultType.CERTIFICATE_NOT_TRUSTED,
        ),
        (
            Session(**HERE, shown=Shown((LEAF,), False, "error 10 at depth 0 of its chain")),
            for_web_names("mx.example.org"),
            ResultType.CERTIFICATE_EXPIRED,
        ),
    ],
)
def test_what_is_counted(session: Session, classify: Any, result: ResultType | None) -> None:
    sessions = Sessions(lambda: MIDNIGHT)
    sessions.witness(NONE, classify)(session)
    counts = sessions.days[date(2026, 11, 28)].counts["example.org"][NONE]
    assert (counts.successes, counts.failures) == ((1, 0) if result is None else (0, 1))
    for kind in counts.details:
        assert kind.result is result
        assert (kind.receiving_host, kind.receiving_ip) == ("mx.example.org", "192.0.2.1")


def test_days_are_kept_apart_and_few_of_them() -> None:
    clock = Clock()
    clock.advance(MIDNIGHT - 1)
    sessions = Sessions(clock.seconds)
    sessions.add(NONE, None)
    assert sessions.past() == []
    clock.advance(1)
    assert sessions.past() == [date(2026, 11, 27)]
    for _ in range(5):
        sessions.add(NONE, None)
        clock.advance(86400)
    assert len(sessions.days) == 3


def test_counts_outlive_a_restart() -> None:
    sessions, again = Sessions(lambda: MIDNIGHT), Sessions(lambda: MIDNIGHT)
    for policy, failure in ((NONE, None), (DANE, None), (DANE, BROKEN), (DANE, BROKEN)):
        sessions.add(policy, failure)
    again.take(json.loads(json.dumps(sessions.rows)))
    assert again.days == sessions.days
    for wrong in ([{}], [{"day": "x"}], [{"day": "2026-11-28", "policy": 1}]):
        with pytest.raises((ValueError, KeyError, TypeError)):
            again.take(wrong)
    assert again.days == sessions.days


# Reporting -------------------------------------------------------------------


@implementer(IQueue)
@attrs.define
class FakeQueue:
    postings: list[Posting] = attrs.field(factory=list)

    async def enqueue(self, posting: Posting) -> str:
        self.postings.append(posting)
        return posting.id

    async def hurry(self, queue_id: str) -> None:
        raise NotImplementedError


@implementer(ISigner)
class FakeSigner:
    def domain_for(self, domain: str) -> str:
        return domain

    async def signed(
        self, domain: str, header: Header, content: Content, style: Style = RELAXED
    ) -> Sequence[bytes]:
        assert header.count(b"from") == 1
        return [f"DKIM-Signature: d={domain}\r\n".encode()]


@attrs.define
class FakeWeb:
    posted: list[tuple[str, str, bytes]] = attrs.field(factory=list)
    failure: Exception | None = None

    async def post(self, url: str, media_type: str, octets: bytes) -> None:
        if self.failure:
            raise self.failure
        self.posted.append((url, media_type, octets))


@attrs.define
class Bench:
    """Reports with nothing real around them but a file."""

    folder: Path
    clock: Clock = attrs.field(factory=Clock)
    resolver: FakeResolver = attrs.field(factory=FakeResolver)
    queue: FakeQueue = attrs.field(factory=FakeQueue)
    web: FakeWeb = attrs.field(factory=FakeWeb)
    sessions: Any = None
    reports: Any = None

    async def begin(self, **more: Any) -> None:
        self.sessions = Sessions(self.clock.seconds)
        given: dict[str, Any] = {
            "sessions": self.sessions,
            "reporter": Reporter(
                organization="We", contact="r@we.example", domain="we.example"
            ),
            "author": Address.parse("r@we.example"),
            "hostname": "mx.we.example",
            "file": self.folder / "tls-sessions.json",
            "delay": 2.5 * AN_HOUR,
            "resolver": self.resolver,
            "web": self.web,
            "clock": self.clock,
            "wall": self.clock,
            "disk": Disk(),
            "workers": workers_at_once(),
            "queue": self.queue,
            "signer": FakeSigner(),
        }
        self.reports = Reports(**{**given, **more})
        await self.reports.prepare()

    def wants(self, rua: str, domain: str = "example.org") -> None:
        record = Txt(f"v=TLSRPTv1; rua={rua}".encode())
        self.resolver.records[f"_smtp._tls.{domain}", Txt] = [record]

    def hours(self, count: int) -> None:
        self.clock.pump([AN_HOUR] * count)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.clock.advance(MIDNIGHT - 2 * AN_HOUR)
    return bench


async def test_a_day_is_reported_some_time_after_it(bench: Bench) -> None:
    await bench.begin()
    bench.wants("mailto:tls%2Dreports@example.org,https://example.org/tls")
    bench.sessions.add(DANE, None)
    bench.sessions.add(DANE, BROKEN)
    bench.sessions.add(AppliedPolicy(PolicyType.NONE, "example.net"), None)
    bench.hours(4)
    assert bench.queue.postings == []
    bench.hours(1)
    [posting] = bench.queue.postings
    [(url, media_type, octets)] = bench.web.posted
    assert (url, media_type) == ("https://example.org/tls", "application/tlsrpt+gzip")
    document = json.loads(gzip.decompress(octets))
    assert document["date-range"]["start-datetime"] == "2026-11-27T00:00:00Z"
    assert document["date-range"]["end-datetime"] == "2026-11-27T23:59:59Z"
    [told] = document["policies"]
    assert told["summary"]["total-failure-session-count"] == 1
    [recipient] = posting.envelope.recipients
    assert str(recipient.address) == "tls-reports@example.org"
    assert posting.envelope.sender is None
    letter = await whole(posting.content)
    assert letter.startswith(b"DKIM-Signature: d=we.example\r\n")
    parsed = email.message_from_bytes(letter, policy=email.policy.default)
    [_, packed] = parsed.iter_parts()
    assert gzip.decompress(packed.get_content()) == gzip.decompress(octets)
    assert bench.sessions.days == {}
    bench.hours(30)
    assert len(bench.queue.postings) == len(bench.web.posted) == 1
    await bench.reports.finish()


async def test_what_was_counted_is_kept(bench: Bench) -> None:
    await bench.begin()
    bench.sessions.add(DANE, BROKEN)
    bench.hours(1)
    bench.sessions.add(DANE, BROKEN)
    days = bench.sessions.days
    await bench.reports.finish()
    await bench.begin()
    assert bench.sessions.days == days
    await bench.reports.finish()
    (bench.folder / "tls-sessions.json").write_text('[{"day": 5}, 7]')
    await bench.begin()
    assert bench.sessions.days == {}
    await bench.reports.finish()


async def test_who_takes_no_report_gets_no_second_one(bench: Bench) -> None:
    await bench.begin()
    bench.wants("https://example.org/tls")
    bench.web.failure = HostUnreachable("refused")
    bench.sessions.add(DANE, None)
    bench.hours(10)
    bench.web.failure = None
    bench.hours(10)
    assert bench.web.posted == []
    assert bench.sessions.days == {}
    await bench.reports.finish()


async def test_without_a_queue_and_a_key(bench: Bench) -> None:
    await bench.begin(queue=None)
    bench.wants("mailto:a@example.org")
    bench.sessions.add(DANE, None)
    bench.hours(10)
    assert bench.sessions.days == {}
    await bench.reports.finish()
    await bench.begin(signer=None)
    bench.sessions.add(DANE, None)
    bench.hours(30)
    [posting] = bench.queue.postings
    assert (await whole(posting.content)).startswith(b"TLS-Report-Domain: example.org\r\n")
    await bench.reports.finish()
