"""What the DNS says of a name: resource records, and answers with their proof (RFC 1034, 4033).

Names are texts in lower case without their final dot, the root is empty.  What
in a label is no printable ASCII, a dot or a backslash stands as ``\\DDD`` (RFC
4343 section 2.1), so that no name can be taken for another, and each may be logged.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, Generic, TypeVar

import attrs

from mailplat.mail.errors import NoSuchDomain

LONGEST_NAME = 253  # characters, without escapes (RFC 1035 section 2.3.4)
LONGEST_LABEL = 63
_LABEL = re.compile(r"[!-\-/-\[\]-~]{1,63}")


def name_of(text: str) -> str:
    """Return a name that can be asked for; raises `NoSuchDomain` where there can't be any."""
    lowered = text.lower().removesuffix(".")
    fits = len(lowered) <= LONGEST_NAME
    if not fits or not all(map(_LABEL.fullmatch, lowered.split(".") if lowered else ())):
        raise NoSuchDomain(f"no name of the DNS: {text[:LONGEST_NAME]!r}")
    return lowered


# Resource records.


@attrs.frozen
class ResourceRecord:
    """What the DNS knows of a name; a class for each type, with the type's number."""

    number: ClassVar[int] = 0


@attrs.frozen
class A(ResourceRecord):
    """An IPv4 address (RFC 1035 section 3.4.1)."""

    number: ClassVar[int] = 1
    address: IPv4Address


@attrs.frozen
class Cname(ResourceRecord):
    """That the name is only another one's alias (RFC 1035 section 3.3.1)."""

    number: ClassVar[int] = 5
    name: str


@attrs.frozen
class Ptr(ResourceRecord):
    """The name of an address (RFC 1035 section 3.3.12)."""

    number: ClassVar[int] = 12
    name: str


@attrs.frozen
class Mx(ResourceRecord):
    """A host that takes mail for the name; the lower, the better (RFC 1035 section 3.3.9).

    ``host`` is empty where no mail is taken at all (RFC 7505).
    """

    number: ClassVar[int] = 15
    preference: int
    host: str


@attrs.frozen
class Txt(ResourceRecord):
    """Some octets, its strings joined without anything between (RFC 7208 section 3.3)."""

    number: ClassVar[int] = 16
    octets: bytes


@attrs.frozen
class Aaaa(ResourceRecord):
    """An IPv6 address (RFC 3596)."""

    number: ClassVar[int] = 28
    address: IPv6Address


@attrs.frozen
class Srv(ResourceRecord):
    """A host that offers a service (RFC 2782)."""

    number: ClassVar[int] = 33
    priority: int
    weight: int
    port: int
    host: str


@attrs.frozen
class Tlsa(ResourceRecord):
    """What a server's certificate has to be (RFC 6698 section 2)."""

    number: ClassVar[int] = 52
    usage: int
    selector: int
    matching: int
    octets: bytes


@attrs.frozen
class Caa(ResourceRecord):
    """Who may issue certificates for the name (RFC 8659 section 4)."""

    number: ClassVar[int] = 257
    flags: int
    tag: str  # in lower case
    value: bytes


KINDS: dict[int, type[ResourceRecord]] = {
    kind.number: kind for kind in (A, Cname, Ptr, Mx, Txt, Aaaa, Srv, Tlsa, Caa)
}
"""What may be asked for, by the types' numbers."""

R = TypeVar("R", bound=ResourceRecord)


# Answers.


@attrs.frozen
class Answer(Generic[R]):
    """What there is of one type at a name; nothing is an answer too.

    ``name`` is where the aliases led to, the name itself if it is none.
    ``exists`` is False where nothing of any type is there (NXDOMAIN).
    ``proven`` says that DNSSEC vouches for all of it, aliases and what is not
    there among them.  ``ttl`` is how many seconds it may still be kept.
    """

    name: str
    records: tuple[R, ...] = ()
    ttl: float = 0.0
    proven: bool = False
    exists: bool = True

    def __bool__(self) -> bool:
        return bool(self.records)
