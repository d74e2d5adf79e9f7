"""Which hosts take a domain's mail, and where they are (RFC 5321 section 5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import groupby, zip_longest
from typing import TypeAlias

from twisted.internet.defer import Deferred

from mailplat.interfaces import IResolver, R
from mailplat.mail.dns import A, Aaaa, Answer, Mx
from mailplat.mail.errors import (
    HostUnreachable,
    LeadsToUs,
    LookupFailed,
    MailError,
    NoMailTaken,
    NoSuchDomain,
)
from mailplat.mail.hops import Exchange

MOST_HOSTS = 20
MOST_ADDRESSES = 5  # of one host

IPAddress: TypeAlias = IPv4Address | IPv6Address
Shuffle: TypeAlias = Callable[[list[Exchange]], None]


async def exchanges_of(resolver: IResolver, domain: str, ours: str) -> tuple[Exchange, ...]:
    """Return the hosts for a domain, in the order of their preference.

    ``ours`` is our own name: what is not better than we are is left out.  Raises
    `NoSuchDomain`, `NoMailTaken` (RFC 7505), `LeadsToUs` and `LookupFailed`.
    """
    if domain.startswith("["):
        return (Exchange(domain),)
    answer = await resolver.lookup(domain, Mx)
    if not answer:
        if not answer.exists:
            raise NoSuchDomain(f"there is no domain {domain}")
        return (Exchange(answer.name, proven=answer.proven, implicit=True),)
    named = [record for record in answer.records if record.host]
    if not named:
        raise NoMailTaken(f"{domain} takes no mail")
    best = min((mx.preference for mx in named if mx.host == ours), default=None)
    better = [mx for mx in named if best is None or mx.preference < best]
    if not better:
        raise LeadsToUs(f"the best host for {domain} is {ours}, which is us")
    better.sort(key=lambda mx: (mx.preference, mx.host))
    return tuple(Exchange(mx.host, mx.preference, answer.proven) for mx in better)


def in_turn(exchanges: Sequence[Exchange], shuffle: Shuffle) -> list[Exchange]:
    """Return hosts in the order in which to try them: equal ones as it happens."""
    order: list[Exchange] = []
    for _, group in groupby(exchanges, lambda exchange: exchange.preference):
        equal = list(group)
        shuffle(equal)
        order += equal
    return order[:MOST_HOSTS]


async def addresses_of(resolver: IResolver, exchange: Exchange) -> list[IPAddress]:
    """Return where a host is, IPv6 and IPv4 in turns (RFC 8305 section 4).

    Raises `LookupFailed`, `NoSuchDomain` and, where it has no address, `HostUnreachable`.
    """
    if exchange.is_literal:
        text = exchange.name[1:-1]
        return [ip_address(text[5:] if text[:5].lower() == "ipv6:" else text)]
    if exchange.name == "localhost":  # RFC 6761 section 6.3
        return [IPv6Address(1), IPv4Address("127.0.0.1")]
    six = Deferred.fromCoroutine(_answer_or_error(resolver.lookup(exchange.name, Aaaa)))
    four = Deferred.fromCoroutine(_answer_or_error(resolver.lookup(exchange.name, A)))
    answers = (await six, await four)
    found: list[list[IPAddress]] = [
        [record.address for record in answer.records] if isinstance(answer, Answer) else []
        for answer in answers
    ]
    mixed = [one for pair in zip_longest(*found) for one in pair if one is not None]
    if mixed:
        return mixed[: 2 * MOST_ADDRESSES]
    for answer in answers:
        if isinstance(answer, MailError):
            raise answer
    if exchange.implicit:
        raise NoSuchDomain(f"{exchange.name} has neither mail exchangers nor an address")
    raise HostUnreachable(f"{exchange.name} has no address")


async def _answer_or_error(lookup: Awaitable[Answer[R]]) -> Answer[R] | MailError:
    try:
        return await lookup
    except (LookupFailed, NoSuchDomain) as error:
        return error


def is_ours(address: IPAddress) -> bool:
    """Whether an address can be no other host's: nobody's name may lead us there."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return bool(
        address.is_loopback
        or address.is_unspecified
        or address.is_multicast
        or address.is_link_local
        or (mapped and is_ours(mapped))
    )
