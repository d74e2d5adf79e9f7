"""The two ends of a connection, and what a session may know of it and do to it."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address as Ipv6
from sys import intern
from typing import Any, Protocol

import attrs
from OpenSSL.SSL import Connection as OpenSSLConnection
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from mailplat.mail.errors import MailError
from mailplat.mail.transit import Peer
from mailplat.portals.tls import channel_binding


@attrs.frozen
class Secured:
    """How a connection is secured."""

    version: str  # as OpenSSL spells it: "TLSv1.3"
    cipher: str
    name: str = ""  # what the client asked for by SNI

    @classmethod
    def by(cls, tls: OpenSSLConnection) -> Secured:
        """Return what a handshake has led to."""
        return cls(
            intern(tls.get_protocol_version_name()),
            intern(tls.get_cipher_name() or ""),
            (tls.get_servername() or b"").decode("ascii", "replace"),
        )


def peer_of(address: IAddress) -> Peer:
    """Return an address in the house's words, IPv4 never in IPv6's clothes."""
    match address:
        case IPv4Address():
            return Peer(address.host, address.port)
        case IPv6Address():
            mapped = Ipv6(address.host).ipv4_mapped
            return Peer(str(mapped) if mapped else address.host, address.port)
        case UNIXAddress():
            return Peer(path=(address.name or b"").decode("utf-8", "replace"))
        case _:
            return Peer()


_shared = lru_cache(256)(Peer)


def local_end(address: IAddress) -> Peer:
    """Return our end; it is one value for all connections of a listener."""
    local = peer_of(address)
    return _shared(local.host, local.port, local.path)


class Carrier(Protocol):
    """Who carries the octets of a connection (`mailplat.portals.shell.Shell`)."""

    transport: Any

    async def write(self, octets: bytes) -> None: ...
    async def turn(self) -> None: ...
    def wake(self) -> None: ...
    def end(self, error: MailError) -> None: ...


class Connection:
    """What a session may know of its connection, and do to it."""

    __slots__ = ("_carrier", "local", "peer", "secured")

    def __init__(
        self, peer: Peer, local: Peer, secured: Secured | None, carrier: Carrier | None = None
    ) -> None:
        self.peer = peer
        self.local = local
        self.secured = secured
        self._carrier = carrier

    async def write(self, octets: bytes) -> None:
        """Send octets of an answer ahead of its end; waits while too much lies unsent."""
        if self._carrier:
            await self._carrier.write(octets)

    async def turn(self) -> None:
        """Let others go on, in the midst of what takes some time."""
        if self._carrier:
            await self._carrier.turn()

    def wake(self) -> None:
        """Have the session asked by `Woken`, as soon as nothing is under way."""
        if self._carrier:
            self._carrier.wake()

    def end(self, error: MailError) -> None:
        """Say why and close; what is under way is cut off, and `Session.lost` called."""
        if self._carrier:
            self._carrier.end(error)

    def binding(self, kind: str) -> bytes:
        """Return channel-binding data, by its name in RFC 5929 or 9266.

        Raises `LookupError` where there is none, as on plain connections.
        """
        if self._carrier is None or self.secured is None:
            raise LookupError(kind)
        return channel_binding(self._carrier.transport.getHandle(), kind)
