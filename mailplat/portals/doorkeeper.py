"""Counts who is inside, and says who may come in."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from twisted.internet.interfaces import IReactorTime

from mailplat.mail.errors import TooManyConnections
from mailplat.mail.limits import Limits
from mailplat.mail.transit import Peer, network_of

CROWDED = 0.8  # share of the places, above which those inside are given less time
KEPT = 0.9  # share of the places, above which only known clients come in
MINUTE = 60.0
REMEMBERED = 10_000  # networks


class Doorkeeper:
    """Bounds connections, together and for each address, and how many begin in a minute.

    Networks in `Limits.uncounted_networks`, and UNIX sockets, count in the total
    only.  The last tenth of the places is kept for these and for the networks
    that `know` was told of.
    """

    def __init__(self, limits: Limits, clock: IReactorTime) -> None:
        self._limits = limits
        self._clock = clock
        self._uncounted = [ip_network(text) for text in limits.uncounted_networks]
        self.is_uncounted = lru_cache(4096)(self._lies_in_uncounted)
        self.inside = 0  # connections
        self._by_network: dict[str, int] = {}
        self._known: dict[str, None] = {}  # oldest first
        self._arrivals: dict[str, int] = {}  # since the minute began
        self._handshakes: dict[str, int] = {}  # since then
        self._minute = clock.seconds()

    @property
    def crowded(self) -> bool:
        """Whether so many are inside that they should be given less time."""
        return self.inside > self._limits.connections * CROWDED

    def enter(self, peer: Peer) -> None:
        """Let one more connection in; `leave` must follow.

        Raises `TooManyConnections`, and then `leave` must not follow.
        """
        network = network_of(peer.host)
        uncounted = self.is_uncounted(peer.host)
        if self.inside >= self._limits.connections:
            raise TooManyConnections(f"{self.inside} connections")
        if (
            self.inside >= self._limits.connections * KEPT
            and not uncounted
            and network not in self._known
        ):
            raise TooManyConnections(f"{self.inside} connections, and {network} is a stranger")
        if not uncounted:
            count = self._by_network.get(network, 0)
            if count >= self._limits.connections_per_address:
                raise TooManyConnections(f"{count} connections from {network}")
            self._count(self._arrivals, network, self._limits.arrivals_per_address, "arrivals")
            self._by_network[network] = count + 1
        self.inside += 1

    def leave(self, peer: Peer) -> None:
        """Count a connection no longer."""
        self.inside -= 1
        if self.is_uncounted(peer.host):
            return
        network = network_of(peer.host)
        if self._by_network[network] > 1:
            self._by_network[network] -= 1
        else:
            del self._by_network[network]

    def know(self, peer: Peer) -> None:
        """Keep a place for clients of this network: one of them has logged in."""
        network = network_of(peer.host)
        self._known.pop(network, None)
        self._known[network] = None
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]

    def shake_hands(self, peer: Peer) -> None:
        """Count one TLS handshake; raises `TooManyConnections` above the rate."""
        if self.is_uncounted(peer.host):
            return
        network = network_of(peer.host)
        most = self._limits.handshakes_per_address
        self._count(self._handshakes, network, most, "handshakes")

    def _count(self, counts: dict[str, int], network: str, most: int, what: str) -> None:
        """Count one more in this minute; raises `TooManyConnections` above ``most``."""
        if self._clock.seconds() - self._minute >= MINUTE or len(counts) > REMEMBERED:
            self._arrivals.clear()
            self._handshakes.clear()
            self._minute = self._clock.seconds()
        count = counts.get(network, 0)
        if count >= most:
            raise TooManyConnections(f"{count} {what} a minute from {network}")
        counts[network] = count + 1

    def _lies_in_uncounted(self, host: str) -> bool:
        return not host or lies_in(host, self._uncounted)


def lies_in(host: str, networks: list[IPv4Network | IPv6Network]) -> bool:
    """Say whether an address in text lies in one of the networks."""
    address = ip_address(host.partition("%")[0])
    return any(address in network for network in networks)
