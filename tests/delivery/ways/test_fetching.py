"""Policies are fetched from those whose certificates are for them, whole, and in time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from mailplat.delivery.ways.fetching import Fetcher
from mailplat.mail.dns import A
from mailplat.mail.errors import HostUnreachable
from mailplat.plugin import ConfigError
from mailplat.testing.fakes import FakeResolver
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.programs import LOOPBACK
from mailplat.trust.mtasts import BadPolicy, Mode, StsPolicy

HOST = "mta-sts.example.org"
POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmax_age: 86400\r\n"
Answer = Callable[[Any], Any]


@attrs.define(eq=False)
class Web(Resource):
    """Answers whatever it is asked as a test wants it."""

    answer: Answer
    asked: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    isLeaf = True

    def __attrs_post_init__(self) -> None:
        super().__init__()

    def render_GET(self, request: Any) -> Any:
        self.asked.append((request.getRequestHostname(), request.path))
        return self.answer(request)


def policy(request: Any) -> bytes:
    request.setHeader("content-type", "text/plain; charset=us-ascii")
    return POLICY


@attrs.define(eq=False)
class Place:
    """A web server on loopback, and how to ask it."""

    web: Web
    fetcher: Fetcher

    def answers(self, answer: Answer) -> None:
        self.web.answer = answer


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def names() -> tuple[str, ...]:
    return (HOST,)


@async_yield_fixture
async def place(
    reactor: Any, tmp_path: Path, authority: trustme.CA, names: tuple[str, ...]
) -> AsyncIterator[Place]:
    pem = authority.issue_cert(*names).private_key_and_cert_chain_pem.bytes()
    options = ssl.PrivateCertificate.loadPEM(pem).options()
    web = Web(policy)
    port = reactor.listenSSL(0, Site(web), options, interface=LOOPBACK)
    trust = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(trust))
    resolver = FakeResolver({(HOST, A): [A(ip_address(LOOPBACK))]})  # type: ignore[arg-type]
    yield Place(web, Fetcher(reactor, resolver, trust, port.getHost().port))
    await port.stopListening()


async def problem(place: Place, domain: str = "example.org") -> str:
    with pytest.raises(BadPolicy) as caught:
        await place.fetcher.fetch(domain)
    return str(caught.value)


async def test_a_policy_is_fetched(place: Place) -> None:
    found = await place.fetcher.fetch("example.org")
    assert found == StsPolicy(Mode.ENFORCE, ("mx.example.org",), 86400)
    assert place.web.asked == [(HOST.encode(), b"/.well-known/mta-sts.txt")]


@pytest.mark.parametrize("names", [("example.org",), ("www.example.org", "*.sub.example.org")])
async def test_not_from_others(place: Place) -> None:
    assert "VerificationError" in await problem(place)
    assert place.web.asked == []


async def test_nor_from_those_whom_nobody_vouches_for(place: Place, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(str(stranger))
    old = place.fetcher
    place.fetcher = Fetcher(old.network, old.resolver, stranger, old.port)
    assert "certificate verify failed" in await problem(place)


def redirecting(request: Any) -> bytes:
    request.redirect(b"https://mta-sts.example.org/elsewhere")
    return b""


def missing(request: Any) -> bytes:
    request.setResponseCode(404)
    return policy(request)


def as_html(request: Any) -> bytes:
    request.setHeader("content-type", "text/html")
    return POLICY


def too_large(request: Any) -> bytes:
    return policy(request) + b"x: y\r\n" * 20_000


def without_end(request: Any) -> int:
    policy(request)
    request.write(POLICY)
    return NOT_DONE_YET


def cut_off(request: Any) -> int:
    policy(request)
    request.setHeader("content-length", "1000")
    request.write(POLICY)
    request.loseConnection()
    return NOT_DONE_YET


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (redirecting, "302"),
        (missing, "404"),
        (as_html, "text/html"),
        (too_large, "over 65536 octets"),
        (lambda request: b"version: STSv2", "not text/plain"),
        (cut_off, "cut off"),
        (without_end, "no policy within"),
        (lambda request: NOT_DONE_YET, "no policy within"),
    ],
)
async def test_what_does_not_count(place: Place, answer: Answer, why: str) -> None:
    place.fetcher.patience = 1.0 if "within" in why else 60.0
    place.answers(answer)
    assert why in await problem(place)


# What is posted --------------------------------------------------------------


async def test_a_report_is_posted(place: Place) -> None:
    got: list[tuple[bytes, str]] = []

    def take(request: Any) -> bytes:
        got.append((request.content.read(), request.getHeader("content-type")))
        return b"thanks"

    place.web.render_POST = take
    url = f"https://{HOST}:{place.fetcher.port}/tls?a=b"
    await place.fetcher.post(url, "application/tlsrpt+gzip", b"\x1f\x8b" * 50_000)
    assert got == [(b"\x1f\x8b" * 50_000, "application/tlsrpt+gzip")]


async def test_who_does_not_take_it(place: Place) -> None:
    place.web.render_POST = missing
    url = f"https://{HOST}:{place.fetcher.port}/tls"
    with pytest.raises(HostUnreachable, match="answered 404"):
        await place.fetcher.post(url, "text/plain", b"x")
    with pytest.raises(HostUnreachable):
        await place.fetcher.post("https://nobody.example/", "text/plain", b"x")
    place.web.render_POST = lambda request: NOT_DONE_YET
    place.fetcher.patience = 0.5
    with pytest.raises(HostUnreachable):
        await place.fetcher.post(url, "text/plain", b"x")


async def test_where_nobody_is(place: Place) -> None:
    assert "no address" in await problem(place, "example.net")
    place.fetcher.resolver.records[HOST, A] = [A(ip_address("127.0.2.1"))]  # type: ignore[attr-defined]
    assert "refused" in (await problem(place)).lower()
    both = [A(ip_address("127.0.2.1")), A(ip_address(LOOPBACK))]
    place.fetcher.resolver.records[HOST, A] = both  # type: ignore[attr-defined]
    assert (await place.fetcher.fetch("example.org")).max_age == 86400


async def test_who_stops_waiting_stops_asking(place: Place) -> None:
    place.answers(lambda request: NOT_DONE_YET)
    asking = Deferred.fromCoroutine(place.fetcher.fetch("example.org"))
    asking.addErrback(lambda failure: failure.value)
    asking.cancel()
    assert asking.called


def test_trust_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no certificates"):
        Fetcher(None, FakeResolver(), tmp_path / "nothing.pem")  # type: ignore[arg-type]
