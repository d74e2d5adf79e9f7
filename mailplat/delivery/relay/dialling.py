"""Connects to the address of a host that answers first (RFC 8305)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv6Address

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from mailplat.delivery.relay.exchanges import IPAddress
from mailplat.interfaces import INetwork
from mailplat.mail.errors import HostUnreachable

NEXT_AFTER = 0.25  # seconds until the next address is tried too (RFC 8305 section 8)


@attrs.frozen
class Source:
    """The addresses that we connect from; where there is none the kernel chooses."""

    four: str = ""
    six: str = ""

    def towards(self, address: IPAddress) -> tuple[str, int] | None:
        """Return what to bind to for a connection to this address."""
        own = self.six if isinstance(address, IPv6Address) else self.four
        return (own, 0) if own else None


@attrs.define(eq=False)
class Dialling:
    """One race to one host; the first connection wins and the others are given up."""

    network: INetwork
    port: int
    source: Source
    timeout: float  # seconds, for each address
    make: Callable[[IPAddress], Protocol]
    _waiting: list[IPAddress] = attrs.field(factory=list, init=False)
    _open: list[IConnector] = attrs.field(factory=list, init=False)
    _call: IDelayedCall | None = attrs.field(default=None, init=False)
    _troubles: list[str] = attrs.field(factory=list, init=False)
    _winner: Deferred[Protocol] = attrs.field(init=False)

    async def connect(self, addresses: Sequence[IPAddress]) -> Protocol:
        """Return a protocol that is connected; raises `HostUnreachable`."""
        self._waiting = list(addresses)
        self._winner = Deferred(lambda _: self._give_up())
        self._try_next()
        return await self._winner

    def _try_next(self) -> None:
        self._stop_waiting()
        if not self._waiting:
            return
        address = self._waiting.pop(0)
        if self._waiting:
            self._call = self.network.callLater(NEXT_AFTER, self._try_next)
        attempt = _Attempt(self, address)
        connector = self.network.connectTCP(
            str(address), self.port, attempt, self.timeout, self.source.towards(address)
        )
        attempt.connector = connector
        if not attempt.is_over:
            self._open.append(connector)

    def won(self, attempt: _Attempt) -> Protocol:
        """Hear that an attempt was answered; the others are no longer needed."""
        if attempt.connector in self._open:
            self._open.remove(attempt.connector)
        self._give_up()
        return self.make(attempt.address)

    def connected(self, protocol: Protocol) -> None:
        """Hear that a protocol has its transport."""
        if not self._winner.called:
            self._winner.callback(protocol)

    def failed(self, attempt: _Attempt, reason: Failure) -> None:
        """Hear that nobody answers there; the next is tried at once."""
        if attempt.connector in self._open:
            self._open.remove(attempt.connector)
        self._troubles.append(f"{attempt.address}: {reason.value}")
        if self._waiting:
            self._try_next()
        elif not self._open and not self._winner.called:
            problem = HostUnreachable("; ".join(self._troubles))
            self._winner.errback(Failure(problem))  # type: ignore[no-untyped-call]

    def _give_up(self) -> None:
        self._stop_waiting()
        self._waiting.clear()
        connectors, self._open = self._open, []
        for connector in connectors:
            connector.stopConnecting()

    def _stop_waiting(self) -> None:
        if self._call and self._call.active():
            self._call.cancel()
        self._call = None


class _Attempt(ClientFactory):
    noisy = False

    def __init__(self, dialling: Dialling, address: IPAddress) -> None:
        self._dialling = dialling
        self.address = address
        self.connector: IConnector | None = None
        self.is_over = False

    def buildProtocol(self, _address: IAddress | None) -> Protocol:
        self.is_over = True
        protocol = self._dialling.won(self)
        protocol.factory = self
        return protocol

    def clientConnectionFailed(self, _connector: IConnector, reason: Failure) -> None:
        if not self.is_over:
            self.is_over = True
            self._dialling.failed(self, reason)

    def connected(self, protocol: Protocol) -> None:
        self._dialling.connected(protocol)


async def connect_to_path(
    network: INetwork, path: str, timeout: float, make: Callable[[], Protocol]
) -> Protocol:
    """Return a protocol that is connected to a UNIX socket; raises `HostUnreachable`."""
    waiter: Deferred[Protocol] = Deferred(lambda _: connector.disconnect())
    connector = network.connectUNIX(path, _Knock(make, waiter), timeout, False)
    return await waiter


class _Knock(ClientFactory):
    noisy = False

    def __init__(self, make: Callable[[], Protocol], waiter: Deferred[Protocol]) -> None:
        self._make = make
        self._waiter = waiter

    def buildProtocol(self, _address: IAddress | None) -> Protocol:
        protocol = self._make()
        protocol.factory = self
        return protocol

    def connected(self, protocol: Protocol) -> None:
        if not self._waiter.called:
            self._waiter.callback(protocol)

    def clientConnectionFailed(self, _connector: IConnector, reason: Failure) -> None:
        if not self._waiter.called:
            problem = HostUnreachable(str(reason.value))
            self._waiter.errback(Failure(problem))  # type: ignore[no-untyped-call]
