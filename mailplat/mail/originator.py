"""Who a message says it is from: one reading for DMARC, filters and all that show it."""

from __future__ import annotations

import re
from enum import Flag, auto

import attrs

from mailplat.mail.address import domain_of
from mailplat.mail.addresslist import NamedAddress, addresses_in
from mailplat.mail.charsets import is_utf8
from mailplat.mail.errors import BadAddress
from mailplat.mail.header import Field, Header, name_of

_MOST_CHECKED = 100  # addresses that are looked at more closely
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f\r\n]")
_ENCODED_WORD = re.compile(rb"=\?[^?]++\?[bBqQ]\?")
_LIKE_FROM = re.compile(  # with anything between the letters that nobody sees
    b"[^!-~]*+".join([b"", b"F", b"r", b"o", b"m", b":"]), re.IGNORECASE
)


class Oddity(Flag):
    """What is odd about the author of a message; most of it has been used to deceive."""

    NONE = 0
    NO_FIELD = auto()
    SEVERAL_FIELDS = auto()
    NO_ADDRESS = auto()
    SEVERAL_ADDRESSES = auto()  # RFC 5322 section 3.6.2 allows it
    GROUP = auto()  # RFC 6854 allows it
    SPACE_BEFORE_COLON = auto()  # the obsolete form of RFC 5322 section 4.5
    DISGUISED_FIELD = auto()  # what is no From field to us, and may be one to others
    NUL = auto()
    CONTROL = auto()
    NOT_UTF8 = auto()
    ENCODED_ADDRESS = auto()  # an encoded word in an address (RFC 2047 section 5 forbids it)
    NO_MAILBOX = auto()  # an address that no envelope could have
    BROKEN = auto()  # something that fits no grammar
    CUT = auto()  # more addresses than are read


@attrs.frozen
class Originator:
    """What all From fields of a message say.

    ``bodies`` are the fields' bodies, topmost first, ``addresses`` all addresses
    in them.
    """

    bodies: tuple[bytes, ...]
    addresses: tuple[NamedAddress, ...]
    odd: Oddity

    @property
    def author(self) -> NamedAddress | None:
        """The author, if exactly one field names exactly one address; else None.

        Only then can DMARC say anything (RFC 9989, and RFC 7489 section 6.6.1
        before it).
        """
        if len(self.bodies) != 1 or len(self.addresses) != 1:
            return None
        return self.addresses[0]

    @property
    def domain(self) -> str:
        """The author's domain in its one spelling (`domain_of`); empty without an author."""
        author = self.author
        try:
            return domain_of(author.domain.decode()) if author else ""
        except (BadAddress, UnicodeDecodeError):
            return ""

    def __str__(self) -> str:
        return ", ".join(map(str, self.addresses))


def originator_of(header: Header) -> Originator:
    """Read all From fields of a header; nothing is raised, whatever they are."""
    fields = header.all(b"From")
    bodies = tuple(field.body for field in fields)
    listed = addresses_in(*bodies)
    addresses = listed.addresses
    checks = {
        Oddity.NO_FIELD: not fields,
        Oddity.SEVERAL_FIELDS: len(fields) > 1,
        Oddity.NO_ADDRESS: not addresses,
        Oddity.SEVERAL_ADDRESSES: len(addresses) > 1,
        Oddity.GROUP: bool(listed.groups),
        Oddity.SPACE_BEFORE_COLON: any(map(_has_space_before_colon, fields)),
        Oddity.DISGUISED_FIELD: any(map(_is_disguised, header.lines)),
        Oddity.NUL: any(b"\0" in body for body in bodies),
        Oddity.CONTROL: any(map(_CONTROL.search, bodies)),
        Oddity.NOT_UTF8: not all(map(is_utf8, bodies)),
        Oddity.ENCODED_ADDRESS: any(map(_is_encoded, addresses[:_MOST_CHECKED])),
        Oddity.NO_MAILBOX: any(one.address is None for one in addresses[:_MOST_CHECKED]),
        Oddity.BROKEN: listed.broken,
        Oddity.CUT: listed.cut,
    }
    odd = Oddity.NONE
    for oddity, found in checks.items():
        if found:
            odd |= oddity
    return Originator(bodies, addresses, odd)


def _has_space_before_colon(field: Field) -> bool:
    return not field.octets.startswith(b":", len(field.name))


def _is_disguised(line: bytes) -> bool:
    return _LIKE_FROM.match(line) is not None and name_of(line).lower() != b"from"


def _is_encoded(address: NamedAddress) -> bool:
    return _ENCODED_WORD.search(b"%b@%b" % (address.local, address.domain)) is not None
