"""Policies of other domains are remembered, and fetched when it is time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailplat.delivery.ways.policies import StsPolicies
from mailplat.files import Disk
from mailplat.mail.dns import Txt
from mailplat.mail.errors import LookupFailed
from mailplat.testing.fakes import FakeResolver
from mailplat.testing.workers import workers_at_once
from mailplat.trust.mtasts import BadPolicy, StsPolicy

DAY = 86400.0
DOMAIN = "example.org"


def policy(*hosts: str, mode: str = "enforce", days: int = 7) -> StsPolicy:
    lines = ["version: STSv1", f"mode: {mode}", f"max_age: {days * 86400}"]
    return StsPolicy.read("\n".join([*lines, *(f"mx: {host}" for host in hosts)]).encode())


ONE, TWO = policy("one.example.org"), policy("two.example.org")


@attrs.define
class FakeFetcher:
    """Gives what it was told to, at once or when it is let."""

    answer: StsPolicy | Exception = ONE
    asked: list[str] = attrs.field(factory=list)
    waits: list[Deferred[None]] | None = None

    async def fetch(self, domain: str) -> StsPolicy:
        self.asked.append(domain)
        if self.waits is not None:
            waiting: Deferred[None] = Deferred()
            self.waits.append(waiting)
            await waiting
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@attrs.define
class Bench:
    """Policies with nothing real around them but files."""

    folder: Path
    clock: Clock = attrs.field(factory=Clock)
    resolver: FakeResolver = attrs.field(factory=FakeResolver)
    fetcher: FakeFetcher = attrs.field(factory=FakeFetcher)
    policies: Any = None

    async def begin(self) -> None:
        self.policies = StsPolicies(
            self.folder, self.resolver, self.fetcher, Disk(), workers_at_once(), self.clock
        )
        await self.policies.prepare()

    def names(self, name: str) -> None:
        """Let the DNS name this id."""
        self.resolver.records[f"_mta-sts.{DOMAIN}", Txt] = [
            Txt(b"v=spf1 -all"),
            Txt(f"v=STSv1; id={name};".encode()),
        ]

    async def counts(self) -> StsPolicy | None:
        found: StsPolicy | None = await self.policies.policy(DOMAIN)
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.clock.advance(1_700_000_000)
    return bench


async def test_a_domain_without_a_policy_is_not_asked(bench: Bench) -> None:
    await bench.begin()
    assert await bench.counts() is None
    bench.resolver.records[f"_mta-sts.{DOMAIN}", Txt] = LookupFailed("")
    assert await bench.counts() is None
    assert bench.fetcher.asked == []


async def test_a_policy_is_fetched_once(bench: Bench) -> None:
    await bench.begin()
    bench.names("a")
    assert await bench.counts() == ONE
    bench.clock.advance(DAY - 1)
    assert await bench.counts() == ONE
    assert bench.fetcher.asked == [DOMAIN]


async def test_it_counts_whatever_is_kept_from_us(bench: Bench) -> None:
    """Neither the DNS nor the web server can take it away before it has expired."""
    await bench.begin()
    bench.names("a")
    await bench.counts()
    bench.fetcher.answer = BadPolicy("404")
    for records in ([], LookupFailed("SERVFAIL")):
        bench.resolver.records[f"_mta-sts.{DOMAIN}", Txt] = records
        bench.clock.advance(2 * DAY)
        assert await bench.counts() == ONE
    bench.names("b")
    assert await bench.counts() == ONE
    bench.clock.advance(4 * DAY)
    assert await bench.counts() is None


async def test_another_id_is_waited_for(bench: Bench) -> None:
    await bench.begin()
    bench.names("a")
    await bench.counts()
    bench.names("b")
    bench.fetcher.answer = TWO
    assert await bench.counts() == TWO
    assert len(bench.fetcher.asked) == 2


async def test_an_old_one_is_fetched_behind_the_message(bench: Bench) -> None:
    await bench.begin()
    bench.names("a")
    await bench.counts()
    bench.fetcher.waits, bench.fetcher.answer = [], TWO
    bench.clock.advance(DAY)
    assert await bench.counts() == ONE
    assert await bench.counts() == ONE
    assert len(bench.fetcher.asked) == 2
    bench.fetcher.waits.pop().callback(None)
    assert await bench.counts() == TWO


async def test_who_comes_meanwhile_waits_for_the_same(bench: Bench) -> None:
    await bench.begin()
    bench.names("a")
    bench.fetcher.waits = []
    asking = [Deferred.fromCoroutine(bench.counts()) for _ in range(3)]
    for given_up in asking[:2]:  # the first one too
        given_up.addErrback(lambda failure: None)
        given_up.cancel()
    [waiting] = bench.fetcher.waits
    waiting.callback(None)
    assert await asking[2] == ONE
    assert bench.fetcher.asked == [DOMAIN]


async def test_what_fails_is_left_alone_for_a_while(bench: Bench) -> None:
    await bench.begin()
    bench.names("a")
    bench.fetcher.answer = BadPolicy("404")
    for _ in range(3):
        assert await bench.counts() is None
    assert len(bench.fetcher.asked) == 1
    bench.clock.advance(300)
    bench.fetcher.answer = ONE
    assert await bench.counts() == ONE


async def test_it_outlives_a_restart(bench: Bench) -> None:
    await bench.begin()
    bench.names("a")
    await bench.counts()
    bench.fetcher.answer = BadPolicy("404")
    bench.resolver.records.clear()
    await bench.begin()
    assert await bench.counts() == ONE
    assert len(list((bench.folder / "mta-sts").iterdir())) == 1
    (bench.folder / "mta-sts/broken.json").write_text("{")
    (bench.folder / "mta-sts/other.json").write_text("[]")
    bench.clock.advance(7 * DAY)
    await bench.begin()
    assert await bench.counts() is None
    assert list((bench.folder / "mta-sts").iterdir()) == []


async def test_none_takes_one_away(bench: Bench) -> None:
    await bench.begin()
    bench.names("a")
    await bench.counts()
    bench.names("b")
    bench.fetcher.answer = policy(mode="none")
    found = await bench.counts()
    assert found is not None
    assert found.hosts == ()


async def test_at_the_end_nothing_is_waited_for(bench: Bench) -> None:
    await bench.begin()
    bench.names("a")
    bench.fetcher.waits = []
    asking = Deferred.fromCoroutine(bench.counts())
    bench.policies.finish()
    assert await asking is None
