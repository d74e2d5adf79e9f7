"""An authoritative DNS server on loopback, for a private internet in tests.

It knows the zones it is given, follows aliases in them, and says that DNSSEC has
proved what its ``proven`` zones have, as a resolver would that validates.  It can
be made to misbehave, name by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from mailplat.testing.programs import LOOPBACK

HEAD = """\
$TTL 300
@ SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 60
@ NS ns.invalid.
"""
PLAIN_UDP = 512  # octets of an answer by UDP to who doesn't say what may come

Meddling = Callable[[bytes, bytes], Sequence[bytes]]
"""What is sent in place of an answer: given question and answer, as octets."""


def silent(_question: bytes, _answer: bytes) -> Sequence[bytes]:
    """Say nothing."""
    return ()


def failing(question: bytes, _answer: bytes) -> Sequence[bytes]:
    """Say SERVFAIL."""
    response = dns.message.make_response(dns.message.from_wire(question))
    response.set_rcode(dns.rcode.SERVFAIL)
    return (response.to_wire(),)


class Nameserver:
    """Answers by UDP and TCP on one port of loopback, from `start` to `stop`."""

    def __init__(self, zones: dict[str, str], proven: Iterable[str] = ()) -> None:
        """Read zones, each a master file without its SOA and NS (RFC 1035 section 5)."""
        self.asked: list[tuple[str, str]] = []  # names and types, in their order
        self.streams = 0  # questions that came by TCP
        self.meddling: dict[str, Meddling] = {}
        self.proven = {dns.name.from_text(name) for name in proven}
        self.port = 0
        self._zones: dict[dns.name.Name, dns.zone.Zone] = {}
        self._ports: list[Any] = []
        for name, text in zones.items():
            self.add(name, text)

    def add(self, name: str, text: str) -> None:
        """Take a zone, in the place of the one it had of that name."""
        zone = dns.zone.from_text(HEAD + text, dns.name.from_text(name), relativize=False)
        self._zones[dns.name.from_text(name)] = zone

    def start(self, reactor: Any) -> None:
        """Listen, where both protocols find a port that is free."""
        while not self._ports:
            udp = reactor.listenUDP(0, _Datagrams(self), LOOPBACK)
            self.port = udp.getHost().port
            factory = Factory.forProtocol(_Stream)
            factory.server = self  # type: ignore[attr-defined]
            try:
                tcp = reactor.listenTCP(self.port, factory, interface=LOOPBACK)
            except CannotListenError:
                udp.stopListening()
                continue
            self._ports = [udp, tcp]

    async def stop(self) -> None:
        """Listen no more."""
        ports, self._ports = self._ports, []
        for port in ports:
            await port.stopListening()

    def answers(self, octets: bytes, *, udp: bool) -> Sequence[bytes]:
        """Return what is said to a question, usually one message."""
        query = dns.message.from_wire(octets)
        [question] = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append((name, dns.rdatatype.to_text(question.rdtype)))
        self.streams += not udp
        response = self._respond(query, question)
        answer = _cut(query, response) if udp else response.to_wire(max_size=65535)
        meddle = self.meddling.get(name)
        return meddle(octets, answer) if meddle else (answer,)

    def _respond(
        self, query: dns.message.Message, question: dns.rrset.RRset
    ) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        name, proven = question.name, bool(query.flags & dns.flags.AD)
        for _ in range(16):
            zone = self._zone(name)
            proven = proven and zone is not None and zone.origin in self.proven
            if zone is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
                break
            found = zone.get_rrset(name, question.rdtype)
            if found is not None:
                response.answer.append(found)
                break
            alias = zone.get_rrset(name, dns.rdatatype.CNAME)
            if alias is None:
                if not _exists(zone, name):
                    response.set_rcode(dns.rcode.NXDOMAIN)
                assert zone.origin is not None
                soa = zone.get_rrset(zone.origin, dns.rdatatype.SOA)
                assert soa is not None
                response.authority.append(soa)
                break
            response.answer.append(alias)
            name = alias[0].target
        if proven:
            response.flags |= dns.flags.AD
        return response

    def _zone(self, name: dns.name.Name) -> dns.zone.Zone | None:
        known = [zone for zone in self._zones if name.is_subdomain(zone)]
        return self._zones[max(known, key=len)] if known else None


def _exists(zone: dns.zone.Zone, name: dns.name.Name) -> bool:
    return any(known.is_subdomain(name) for known in zone)


def _cut(query: dns.message.Message, response: dns.message.Message) -> bytes:
    """Return a message that UDP can carry, without its records if they are too many."""
    octets = response.to_wire(max_size=65535)
    if len(octets) <= (query.payload if query.edns >= 0 else PLAIN_UDP):
        return octets
    response.answer.clear()
    response.flags |= dns.flags.TC
    return response.to_wire()


@attrs.define(eq=False)
class _Datagrams(DatagramProtocol):
    server: Nameserver

    def datagramReceived(self, octets: bytes, address: tuple[str, int]) -> None:
        assert self.transport
        for answer in self.server.answers(octets, udp=True):
            self.transport.write(answer, address)


class _Stream(Protocol):
    _held = b""

    def dataReceived(self, octets: bytes) -> None:
        assert self.transport
        self._held += octets
        size = int.from_bytes(self._held[:2], "big")
        if len(self._held) >= 2 and len(self._held) >= size + 2:
            question, self._held = self._held[2 : size + 2], self._held[size + 2 :]
            for answer in self.factory.server.answers(question, udp=False):
                self.transport.write(len(answer).to_bytes(2, "big") + answer)
