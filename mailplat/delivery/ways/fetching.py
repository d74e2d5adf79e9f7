"""Asks web servers: for the policies of MTA-STS, and to take reports (RFC 8461, 8460)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IConsumer, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import (
    Certificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from mailplat.delivery.relay.exchanges import addresses_of
from mailplat.interfaces import INetwork, IResolver
from mailplat.mail.errors import HostUnreachable, MailError
from mailplat.mail.hops import Exchange
from mailplat.plugin import ConfigError
from mailplat.trust.mtasts import (
    LARGEST_POLICY,
    MEDIA_TYPE,
    PATIENCE,
    BadPolicy,
    StsPolicy,
    read_answer,
    url_of,
)

MOST_ADDRESSES = 4  # of a web server that are tried
CONNECTING = 15.0  # seconds for each of them

_END = b"-----END CERTIFICATE-----"


@attrs.define(eq=False)
class Fetcher:
    """Asks domains' web servers, whose certificates have to be trusted and for their names.

    ``trust`` is a file of certificates in PEM, the system's if None.  Raises
    `ConfigError` if it can't be read.
    """

    network: INetwork
    resolver: IResolver
    trust: Path | None = None
    port: int = 443
    patience: float = PATIENCE
    _root: Any = attrs.field(init=False)

    @_root.default
    def _trusted(self) -> Any:
        if self.trust is None:
            return platformTrust()  # type: ignore[no-untyped-call]
        try:
            pem = self.trust.read_bytes()
            certificates = [one + _END for one in pem.split(_END)[:-1]]
            loaded = [Certificate.loadPEM(one) for one in certificates]
            return trustRootFromCertificates(loaded)  # type: ignore[no-untyped-call]
        except Exception as problem:
            raise ConfigError(f"{self.trust} has no certificates: {problem}") from problem

    async def fetch(self, domain: str) -> StsPolicy:
        """Return a domain's policy; raises `BadPolicy` if there is none, or not in time."""
        asking = Deferred.fromCoroutine(self._fetch(domain))
        asking.addTimeout(self.patience, self.network)
        try:
            return await asking
        except (BadPolicy, CancelledError):
            raise
        except OutOfTime:
            raise BadPolicy(f"no policy within {self.patience:g} s") from None
        except MailError as problem:
            raise BadPolicy(str(problem)) from None
        except Exception as problem:  # whatever TLS and HTTP can fail of
            raise BadPolicy(f"{type(problem).__name__}: {problem}"[:500]) from problem

    async def _fetch(self, domain: str) -> StsPolicy:
        headers = Headers({"User-Agent": ["mailplat"], "Accept": [MEDIA_TYPE]})
        response = await self._answer(b"GET", url_of(domain), self.port, headers)
        [media_type, *_] = response.headers.getRawHeaders("content-type") or [""]
        octets = await _body_of(response)
        return read_answer(response.code, media_type, octets)

    async def post(self, url: str, media_type: str, octets: bytes) -> None:
        """Hand octets to a web server; raises `HostUnreachable` unless it takes them."""
        headers = Headers({"User-Agent": ["mailplat"], "Content-Type": [media_type]})
        port = _uri(url).port
        posting = Deferred.fromCoroutine(self._answer(b"POST", url, port, headers, octets))
        posting.addTimeout(self.patience, self.network)
        try:
            response = await posting
            await _body_of(response)
        except CancelledError:
            raise
        except Exception as problem:  # whatever TLS and HTTP can fail of
            raise HostUnreachable(f"{url}: {problem}"[:500]) from problem
        if response.code not in (200, 201, 202, 204):
            raise HostUnreachable(f"{url} answered {response.code}")

    async def _answer(
        self, method: bytes, url: str, port: int, headers: Headers, body: bytes | None = None
    ) -> IResponse:
        """Return what the first of a server's addresses answers at which anybody does."""
        host = _uri(url).host.decode("ascii")
        addresses = await addresses_of(self.resolver, Exchange(host))
        failure: Exception = HostUnreachable(f"{host} has no address")
        for address in addresses[:MOST_ADDRESSES]:
            at = _At(self.network, str(address), port, self._root)
            agent = Agent.usingEndpointFactory(self.network, at)  # type: ignore[no-untyped-call]
            producer = None if body is None else _Posted(body)
            try:
                asked = agent.request(method, url.encode("ascii"), headers, producer)
                return cast("IResponse", await asked)
            except CancelledError:
                raise
            except Exception as problem:  # the next may answer
                if _was_cancelled(problem):
                    raise CancelledError from problem
                failure = problem
        raise failure


def _uri(url: str) -> URI:
    return URI.fromBytes(url.encode("ascii"))  # type: ignore[no-untyped-call, no-any-return]


def _was_cancelled(problem: Exception) -> bool:
    """Say whether nobody waits any more, which Twisted's client reports as a lost answer."""
    reasons: Sequence[Failure] = getattr(problem, "reasons", ())
    return any(isinstance(reason.value, CancelledError) for reason in reasons)


@implementer(IAgentEndpointFactory)
@attrs.frozen
class _At:
    """Connects to one address, whatever the name in the URI, and asks there for that name."""

    network: INetwork
    address: str
    port: int
    root: Any

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: N802 - Twisted's
        kind = TCP6ClientEndpoint if ":" in self.address else TCP4ClientEndpoint
        plain = kind(self.network, self.address, self.port, CONNECTING)
        options = optionsForClientTLS(uri.host.decode("ascii"), self.root)
        return wrapClientTLS(options, plain)


@implementer(IBodyProducer)
@attrs.frozen(eq=False)
class _Posted:
    """Octets that are sent at once."""

    octets: bytes

    @property
    def length(self) -> int:
        return len(self.octets)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:  # noqa: N802 - Twisted's
        consumer.write(self.octets)
        return succeed(None)

    def stopProducing(self) -> None:
        """Nothing is left to be sent."""

    def pauseProducing(self) -> None:
        """Nothing is left to be sent."""

    def resumeProducing(self) -> None:
        """Nothing is left to be sent."""


def _body_of(response: IResponse) -> Deferred[bytes]:
    collecting = _Body()
    response.deliverBody(collecting)  # type: ignore[no-untyped-call]
    return collecting.whole


class _Body(Protocol):
    """Takes a body that is known to be whole, and no more than a policy may have."""

    def __init__(self) -> None:
        self._octets = bytearray()
        self.whole: Deferred[bytes] = Deferred(lambda _whole: self._stop())

    def dataReceived(self, data: bytes) -> None:
        self._octets += data
        if len(self._octets) > LARGEST_POLICY:
            self._stop()
            self._fail(BadPolicy(f"a policy of over {LARGEST_POLICY} octets"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if isinstance(reason.value, ResponseDone):
            if not self.whole.called:
                self.whole.callback(bytes(self._octets))
        else:
            self._fail(BadPolicy("the answer was cut off"))

    def _fail(self, problem: Exception) -> None:
        if not self.whole.called:
            self.whole.errback(problem)

    def _stop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
