"""Questions that are asked once, answers that are kept, and servers that misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from mailplat.mail.dns import A, Mx, Txt
from mailplat.mail.errors import LookupFailed
from mailplat.resolver import resolver as module
from mailplat.resolver.cache import Cache
from mailplat.resolver.resolver import Resolver
from mailplat.resolver.servers import ResolverSettings, Servers, endpoint
from mailplat.testing.contracts.resolver import PROVEN, RECORDS, ZONES, ResolverContract
from mailplat.testing.fakes import FakeResolver
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.nameserver import Nameserver, failing, silent

SOON = timedelta(milliseconds=80)


@async_yield_fixture
async def nameserver(reactor: Any) -> AsyncIterator[Nameserver]:
    server = Nameserver(ZONES, PROVEN)
    server.start(reactor)
    yield server
    await server.stop()


@async_yield_fixture
async def second(reactor: Any) -> AsyncIterator[Nameserver]:
    server = Nameserver(ZONES, PROVEN)
    server.start(reactor)
    yield server
    await server.stop()


def new_resolver(reactor: Any, *servers: Nameserver, **settings: Any) -> Resolver:
    where = tuple(f"127.0.0.1:{server.port}" for server in servers)
    return Resolver(ResolverSettings(servers=where, **settings), reactor)


@pytest.fixture
def resolver(reactor: Any, nameserver: Nameserver) -> Resolver:
    return new_resolver(reactor, nameserver)


class TestResolver(ResolverContract):
    """What is asked of a real server."""


class TestFakeResolver(ResolverContract):
    @pytest.fixture
    def resolver(self) -> FakeResolver:
        proven = {name for name, _ in RECORDS if not name.endswith("example.net")}
        return FakeResolver(dict(RECORDS), proven)


# The cache.


async def test_what_is_known_is_not_asked_again(
    resolver: Resolver, nameserver: Nameserver
) -> None:
    first = await resolver.lookup("example.org", Mx)
    second = await resolver.lookup("EXAMPLE.org", Mx)
    assert first.records == second.records
    assert second.ttl <= first.ttl
    assert nameserver.asked == [("example.org", "MX")]


async def test_nothing_is_kept_too(resolver: Resolver, nameserver: Nameserver) -> None:
    for _ in range(2):
        answer = await resolver.lookup("nobody.example.org", A)
        assert not answer
        assert not answer.exists
    assert len(nameserver.asked) == 1
    assert answer.ttl <= 60  # what the SOA says (RFC 2308 section 5)


async def test_a_failure_is_kept_for_a_moment(
    resolver: Resolver, nameserver: Nameserver
) -> None:
    nameserver.meddling["example.org"] = failing
    for _ in range(3):
        with pytest.raises(LookupFailed, match="SERVER_FAILURE"):
            await resolver.lookup("example.org", Txt)
    assert len(nameserver.asked) == 1


async def test_equal_questions_are_asked_once(
    resolver: Resolver, nameserver: Nameserver
) -> None:
    asked = [Deferred.fromCoroutine(resolver.lookup("mx1.example.org", A)) for _ in range(50)]
    answers = await gatherResults(asked)
    assert len({answer.records for answer in answers}) == 1
    assert len(nameserver.asked) == 1


async def test_who_leaves_takes_nothing_from_the_others(
    resolver: Resolver, nameserver: Nameserver
) -> None:
    leaving, staying = (
        Deferred.fromCoroutine(resolver.lookup("mx1.example.org", A)) for _ in range(2)
    )
    leaving.addErrback(lambda _: None)
    leaving.cancel()
    assert (await staying).records
    await leaving


async def test_a_question_ends_with_the_last_who_waits(
    reactor: Any, nameserver: Nameserver
) -> None:
    nameserver.meddling["mx1.example.org"] = silent
    resolver = new_resolver(reactor, nameserver)
    before = len(reactor.getReaders())
    leaving = Deferred.fromCoroutine(resolver.lookup("mx1.example.org", A))
    assert len(reactor.getReaders()) == before + 1
    leaving.addErrback(lambda _: None)
    leaving.cancel()
    await leaving
    assert len(reactor.getReaders()) == before
    del nameserver.meddling["mx1.example.org"]
    assert await resolver.lookup("mx1.example.org", A)


def test_the_cache_has_its_bounds() -> None:
    clock = Clock()
    cache: Cache[int] = Cache(clock, 3)
    for number in range(3):
        cache.keep(number, number, 10)
    cache.find(0)
    cache.keep(3, 3, 5)
    assert [cache.find(number) is not None for number in range(4)] == [True, False, True, True]
    clock.advance(5)
    assert cache.find(3) is None
    assert cache.find(0) == (0, 5.0)
    cache.keep(0, 0, 0)
    assert cache.find(0) is None
    assert len(cache) == 1


# Servers that misbehave.


async def test_what_is_too_long_for_udp_comes_by_tcp(
    resolver: Resolver, nameserver: Nameserver
) -> None:
    lines = "".join(f"many A 10.0.{n // 256}.{n % 256}\n" for n in range(400))
    nameserver.add("example.org", lines)
    answer = await resolver.lookup("many.example.org", A)
    assert len(answer.records) == 400
    assert nameserver.streams == 1


async def test_an_answer_without_measure_is_none(
    resolver: Resolver, nameserver: Nameserver
) -> None:
    lines = "".join(f"many A 10.0.{n // 256}.{n % 256}\n" for n in range(3000))
    nameserver.add("example.org", lines)
    with pytest.raises(LookupFailed, match="3000 answers"):
        await resolver.lookup("many.example.org", A)


async def test_a_silent_server_is_asked_twice_and_then_last(
    reactor: Any, nameserver: Nameserver, second: Nameserver
) -> None:
    resolver = new_resolver(reactor, nameserver, second, timeout=timedelta(seconds=1))
    nameserver.meddling["mx1.example.org"] = silent
    assert await resolver.lookup("mx1.example.org", A)
    assert await resolver.lookup("mx2.example.org", A)
    assert nameserver.asked == [("mx1.example.org", "A")]
    assert len(second.asked) == 2


async def test_when_all_are_silent(reactor: Any, nameserver: Nameserver) -> None:
    resolver = new_resolver(reactor, nameserver, timeout=SOON)
    nameserver.meddling["mx1.example.org"] = silent
    with pytest.raises(LookupFailed, match="does not answer"):
        await resolver.lookup("mx1.example.org", A)
    assert len(nameserver.asked) == module.ROUNDS


async def test_patience_has_an_end(reactor: Any, nameserver: Nameserver) -> None:
    resolver = new_resolver(reactor, nameserver, patience=SOON)
    nameserver.meddling["mx1.example.org"] = silent
    with pytest.raises(LookupFailed, match="no answer about"):
        await resolver.lookup("mx1.example.org", A)


async def test_a_server_that_fails_is_passed_over(
    reactor: Any, nameserver: Nameserver, second: Nameserver
) -> None:
    resolver = new_resolver(reactor, nameserver, second)
    nameserver.meddling["mx1.example.org"] = failing
    assert await resolver.lookup("mx1.example.org", A)


async def test_nobody_listens(reactor: Any, second: Nameserver) -> None:
    gone = Nameserver(ZONES)
    gone.start(reactor)
    await gone.stop()
    assert await new_resolver(reactor, gone, second).lookup("mx1.example.org", A)
    with pytest.raises(LookupFailed, match="refuses"):
        await new_resolver(reactor, gone).lookup("mx1.example.org", A)


async def test_a_server_without_edns(resolver: Resolver, nameserver: Nameserver) -> None:
    def old(question: bytes, answer: bytes) -> Sequence[bytes]:
        if dns.message.from_wire(question).edns < 0:
            return (answer,)
        return (question[:2] + b"\x80\x01" + bytes(8),)

    nameserver.meddling["mx1.example.org"] = old
    assert await resolver.lookup("mx1.example.org", A)


def other_id(question: bytes, answer: bytes) -> bytes:
    return bytes((answer[0] ^ 1, answer[1])) + answer[2:]


def other_question(question: bytes, answer: bytes) -> bytes:
    query = dns.message.make_query("evil.example.org", "A")
    query.id = dns.message.from_wire(question).id
    response = dns.message.make_response(query)
    rrset = dns.rrset.from_text("mx1.example.org.", 300, "IN", "A", "203.0.113.66")
    response.answer.append(rrset)
    return response.to_wire()


def other_type(question: bytes, answer: bytes) -> bytes:
    query = dns.message.make_query("mx1.example.org", "TXT")
    query.id = dns.message.from_wire(question).id
    return dns.message.make_response(query).to_wire()


@pytest.mark.parametrize("forged", [other_id, other_question, other_type, lambda q, a: b"x"])
async def test_answers_to_something_else_are_passed_over(
    resolver: Resolver, nameserver: Nameserver, forged: Any
) -> None:
    nameserver.meddling["mx1.example.org"] = lambda q, a: (forged(q, a), forged(q, a), a)
    answer = await resolver.lookup("mx1.example.org", A)
    assert set(answer.records) == set(RECORDS["mx1.example.org", A])
    assert nameserver.streams == 0


async def test_who_is_guessed_at_asks_by_tcp(
    resolver: Resolver, nameserver: Nameserver
) -> None:
    def guessing(question: bytes, answer: bytes) -> Sequence[bytes]:
        del nameserver.meddling["mx1.example.org"]
        return [other_id(question, answer)] * 20

    nameserver.meddling["mx1.example.org"] = guessing
    assert await resolver.lookup("mx1.example.org", A)
    assert nameserver.streams == 1


async def test_records_of_other_names_are_not_believed(
    resolver: Resolver, nameserver: Nameserver
) -> None:
    def poisoned(question: bytes, answer: bytes) -> Sequence[bytes]:
        response = dns.message.from_wire(answer)
        rrset = dns.rrset.from_text("mx2.example.org.", 300, "IN", "A", "203.0.113.66")
        response.answer.append(rrset)
        return (response.to_wire(),)

    nameserver.meddling["mx1.example.org"] = poisoned
    await resolver.lookup("mx1.example.org", A)
    answer = await resolver.lookup("mx2.example.org", A)
    assert set(answer.records) == set(RECORDS["mx2.example.org", A])


async def test_an_endless_chain_of_aliases(resolver: Resolver, nameserver: Nameserver) -> None:
    lines = "".join(f"c{n} CNAME c{n + 1}\n" for n in range(100))
    nameserver.add("example.org", lines)
    with pytest.raises(LookupFailed, match="alias of an alias"):
        await resolver.lookup("c0.example.org", A)


async def test_an_alias_whose_end_has_to_be_asked_for(
    resolver: Resolver, nameserver: Nameserver
) -> None:
    def alone(question: bytes, answer: bytes) -> Sequence[bytes]:
        response = dns.message.from_wire(answer)
        del response.answer[1:]
        return (response.to_wire(),)

    nameserver.meddling["alias.example.org"] = alone
    answer = await resolver.lookup("alias.example.org", A)
    assert set(answer.records) == set(RECORDS["mx2.example.org", A])
    assert nameserver.asked == [("alias.example.org", "A"), ("mx2.example.org", "A")]


async def test_a_slow_drip_by_tcp_has_an_end(reactor: Any, nameserver: Nameserver) -> None:
    def long(question: bytes, answer: bytes) -> Sequence[bytes]:
        return (answer[:2] + b"\x83\x80" + answer[4:],) if len(answer) < 600 else ()

    nameserver.meddling["mx1.example.org"] = long  # and by TCP it is truncated again
    with pytest.raises(LookupFailed, match="something else"):
        await new_resolver(reactor, nameserver).lookup("mx1.example.org", A)


async def test_a_slow_server_leaves_others_alone(reactor: Any, nameserver: Nameserver) -> None:
    resolver = new_resolver(reactor, nameserver, timeout=timedelta(seconds=1))
    nameserver.meddling["mx1.example.org"] = silent
    slow = Deferred.fromCoroutine(resolver.lookup("mx1.example.org", A))
    assert await resolver.lookup("mx2.example.org", A)
    slow.addErrback(lambda _: None)
    slow.cancel()
    await slow


# Whose word counts.


@pytest.mark.parametrize(("proof", "proven"), [("loopback", 1), ("always", 1), ("never", 0)])
async def test_proof(reactor: Any, nameserver: Nameserver, proof: str, proven: bool) -> None:
    resolver = new_resolver(reactor, nameserver, proof=proof)
    assert (await resolver.lookup("mx1.example.org", A)).proven is bool(proven)


def test_the_word_of_a_resolver_elsewhere_is_not_proof() -> None:
    servers = Servers(ResolverSettings(servers=("192.0.2.53", "::1")), Clock())
    assert [server.trusted for server in servers()] == [False, True]


# Where they are.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[2001:DB8::1]:53", ("2001:db8::1", 53)),
    ],
)
def test_endpoints(text: str, expected: tuple[str, int]) -> None:
    assert endpoint(text) == expected


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.0.0.1:", "127.0.0.1:0", "1.2.3.4:65536"]
)
def test_no_endpoints(text: str) -> None:
    with pytest.raises(ValueError):
        endpoint(text)


def test_the_system_file_is_read_again(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "resolv.conf"
    servers = Servers(ResolverSettings(), clock, file)
    assert [str(server) for server in servers()] == ["127.0.0.1:53"]
    file.write_text("# a remark\nnameserver 192.0.2.1\nnameserver x\nnameserver ::1\n")
    assert [str(server) for server in servers()] == ["127.0.0.1:53"]
    clock.advance(30)
    assert [str(server) for server in servers()] == ["192.0.2.1:53", "[::1]:53"]
