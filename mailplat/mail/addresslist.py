"""Addresses in header fields, as people and their programs write them (RFC 5322 section 3.4).

Read is what the grammar allows, today's and the obsolete one (sections 3.4 and
4.4, RFC 6532, RFC 6854), and what comes besides: addresses without brackets,
brackets without end, strings and comments that nobody closed, a comma or none
where the other belongs.  A list is read once from left to right, without
recursion and in linear time; what is no address is passed over, and said so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Self

import attrs

from mailplat.mail.address import Address
from mailplat.mail.addresswords import AT, STRING, WORD, Elements
from mailplat.mail.errors import BadAddress
from mailplat.mail.fields import structured
from mailplat.mail.words import LINE, encoded_words, shown

MOST_ADDRESSES = 10_000  # read of one list
_WORDS_OF_A_LIST = 5  # that take as much time as a list without any
MOST_WORDS = 3_000  # words, specials and comments of those that aren't written as usual

_ATEXT = rb"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.]"
_PHRASE = rb"(?!\.){0}++(?: {0}++)*+".replace(b"{0}", _ATEXT[:-1] + rb"\x80-\xff]")
_DOMAIN = rb"[A-Za-z0-9\-]++(?:\.[A-Za-z0-9\-]++)*+"

# One address as nearly all are written, with the comma behind it: a name in quotes or
# without, local part and domain in brackets; or these two alone.  The scanner reads it
# the same, only slower.
USUAL = re.compile(
    rb'(?:(?:"([^"\\\x00-\x1f\x7f]++)"|(%b))?+ ?(<))?+(?!=\?)(%b++)@(%b)(?(3)>)'
    rb"[ \t]*+(?:,[ \t,]*+|(?=;)|\Z)" % (_PHRASE, _ATEXT, _DOMAIN)
)

_DOT_ATOM = re.compile(rb"{0}+(?:\.{0}+)*".replace(b"{0}", _ATEXT[:-2] + rb"\x80-\xff]"))
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?: [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*")
_COMMAS = re.compile(rb"[ \t\r\n,]*+")
_SEPARATORS = re.compile(rb"[ \t\r\n,;]*+")
_BEHIND_GROUP = re.compile(rb"[ \t\r\n]*+(?:[,(]|\Z)")
_SHOWN = (WORD, STRING, AT)


@attrs.frozen
class NamedAddress:
    """One mailbox of a list, in raw octets, as IMAP shows it (RFC 9051 section 7.5.2).

    ``name`` is its display name, with encoded words as they stand, or the
    comment behind an address without a name; None if there is neither.
    ``route`` is the source route of old (``@a,@b``).  Quotes are gone from name
    and local part.  What is missing of the address is empty.
    """

    name: bytes | None
    route: bytes | None
    local: bytes
    domain: bytes

    @classmethod
    def of(cls, address: Address, name: str = "") -> Self:
        """Return an address as a list would name it, to be written with `address_field`."""
        return cls(name.encode() or None, None, address.local.encode(), address.domain.encode())

    @property
    def addr_spec(self) -> bytes:
        """Local part, in quotes if it needs them, and domain, as far as they are there."""
        local = self.local
        if local and not _DOT_ATOM.fullmatch(local):
            local = b'"%b"' % local.replace(b"\\", rb"\\").replace(b'"', rb"\"")
        return b"%b@%b" % (local, self.domain) if self.domain else local

    @property
    def shown_name(self) -> str:
        """The display name as one line of harmless text; empty if there is none."""
        return shown(self.name or b"").strip()

    @property
    def address(self) -> Address | None:
        """The mailbox as the envelope would name it; None if it could not."""
        local, domain = (part.decode("utf-8", "replace") for part in (self.local, self.domain))
        try:
            return Address.parse(f'"{_escaped(local)}"@{domain}')
        except BadAddress:
            return None

    def is_same_as(self, other: Address | NamedAddress) -> bool:
        """Return whether both lead to one mailbox, by `Address.key`."""
        own, theirs = self.address, other if isinstance(other, Address) else other.address
        return own is not None and theirs is not None and own.key == theirs.key

    @property
    def shown_address(self) -> str:
        """Local part and domain as one line of text, the domain in U-labels."""
        if address := self.address:
            return address.shown
        parts = (shown(part) for part in (self.local, self.domain) if part)
        return "@".join(parts)

    def __str__(self) -> str:
        name, address = self.shown_name, self.shown_address
        return f"{name} <{address}>" if name and address else name or address


@attrs.frozen
class Group:
    """A named group: the addresses from ``start`` up to, not with, ``stop`` of its list."""

    name: bytes
    start: int
    stop: int


First = tuple[bytes | None, bytes, bytes]
"""Name, local part and domain of what comes first in a list; of a group only its name."""

NOBODY: First = (None, b"", b"")


@attrs.frozen
class AddressList:
    """What an address list says, in its order.

    ``broken`` says that some of it fits no grammar and was read as well as it
    could be; ``cut`` that there was more than is read of any list.
    """

    addresses: tuple[NamedAddress, ...] = ()
    groups: tuple[Group, ...] = ()
    broken: bool = False
    cut: bool = False

    @property
    def first(self) -> First:
        """What comes first."""
        if self.groups and self.groups[0].start == 0:
            return None, self.groups[0].name, b""
        if not self.addresses:
            return NOBODY
        first = self.addresses[0]
        return first.name, first.local, first.domain


@attrs.define
class Effort:
    """How many addresses may still be read, and words of lists that aren't written as usual."""

    addresses: int = MOST_ADDRESSES
    words: int = MOST_WORDS


def addresses_in(
    *bodies: bytes, most: int = MOST_ADDRESSES, effort: Effort | None = None
) -> AddressList:
    """Read the body of a field, unfolded, or those of several fields as one list.

    The limits hold for all of them together, and ``effort`` for all lists that
    share it.  Nothing is raised, whatever the octets.
    """
    effort = effort or Effort()
    if effort.words <= 0:
        return AddressList(cut=True)
    reader = _Reader(min(most, effort.addresses), effort)
    for body in bodies:
        reader.read(body)
    found = reader.found()
    effort.addresses -= len(found.addresses)
    effort.words -= _WORDS_OF_A_LIST
    return found


def usual_parts(match: re.Match[bytes]) -> First:
    """Return name, local part and domain of an address that is `USUAL`."""
    quoted, phrase, _, local, domain = match.groups()
    return quoted or phrase, local, domain


def address_field(name: bytes, addresses: Iterable[NamedAddress]) -> bytes:
    """Return a whole field that lists addresses, folded, with CRLF.

    Raises `ValueError` for a name that is none, and for addresses that no
    envelope could have.
    """
    pieces: list[bytes] = []
    for one in addresses:
        if one.address is None:
            raise ValueError(f"no address to write: {one.local!r}@{one.domain!r}")
        if pieces:
            pieces[-1] += b","
        address = str(one.address).encode()
        words = name_pieces(one.shown_name)
        pieces += [*words, b" <%b>" % address] if words else [b" " + address]
    return structured(name, pieces)


def name_pieces(text: str) -> list[bytes]:
    """Return a display name as words of a field, each with its space in front.

    It is written in atoms, a quoted string or encoded words, whichever it needs.
    """
    if not text.isascii() or "=?" in text or len(text) > LINE:
        return list(encoded_words(text))
    if _ATOMS.fullmatch(text):
        return [b" " + word.encode() for word in text.split()]
    return [f' "{_escaped(text)}"'.encode()] if text else []


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@attrs.define
class _Reader:
    """Reads a list: its elements by `USUAL`, or else word for word."""

    room: int  # how many elements more will be read,
    effort: Effort = attrs.Factory(Effort)
    usual: bool = True
    elements: Elements = attrs.field(factory=lambda: Elements(b""))
    _addresses: list[NamedAddress] = attrs.Factory(list)
    _groups: list[Group] = attrs.Factory(list)
    _group: tuple[bytes, int] | None = None  # name and start of the open one
    _broken: bool = False
    _cut: bool = False

    def read(self, body: bytes) -> None:
        self.elements = elements = Elements(body)
        effort = self.effort
        self._skip_separators()
        while elements.at < len(body) and self.room > 0 and effort.words > 0:
            self.room -= 1
            if self.usual and not elements.kept and (match := USUAL.match(body, elements.at)):
                name, local, domain = usual_parts(match)
                self._addresses.append(NamedAddress(name, None, local, domain))
                elements.at = match.end()
            else:
                elements.advance()
                effort.words -= max(elements.taken, 1)
                self._read_element()
                self._skip_separators()
        if self._group:
            self._end_group(closed=False)
        self._broken |= elements.broken
        self._cut |= elements.at < len(body)

    def found(self) -> AddressList:
        addresses, groups = tuple(self._addresses), tuple(self._groups)
        return AddressList(addresses, groups, self._broken, self._cut)

    def _skip_separators(self) -> None:
        separators = _COMMAS if self._group else _SEPARATORS
        skipped = separators.match(self.elements.body, self.elements.at)
        if skipped:
            self._broken |= b";" in skipped[0]
            self.elements.at = skipped.end()

    def _read_element(self) -> None:
        elements = self.elements
        end, kinds = elements.end, elements.kinds
        if end == b":":
            self._begin_group()
            return
        opened = kinds.rfind(b"<")
        if opened >= 0:
            self._read_brackets(opened)
        elif AT in kinds:
            self._read_bare(0)
        elif kinds:
            self._read_words()
        if end == b";":
            self._end_group(closed=_BEHIND_GROUP.match(elements.body, elements.at) is not None)

    def _begin_group(self) -> None:
        if self._group:
            self._end_group(closed=False)
        name = self._phrase(0, len(self.elements.words))
        self._broken |= name is None
        self._group = (name or b"", len(self._addresses))

    def _end_group(self, *, closed: bool) -> None:
        self._broken |= not (closed and self._group)
        if self._group:
            self._groups.append(Group(*self._group, len(self._addresses)))
        self._group = None

    def _add(
        self, name: bytes | None, local: bytes, domain: bytes, route: bytes | None = None
    ) -> None:
        self._broken |= (
            not (local and domain) or domain.startswith(b".") or domain.endswith(b".")
        )
        if len(self._addresses) < MOST_ADDRESSES:
            self._addresses.append(NamedAddress(name, route, local, domain))

    def _read_brackets(self, opened: int) -> None:
        """Read an address in angle brackets, with the name before them."""
        kinds, words = self.elements.kinds, self.elements.words
        name = self._phrase(0, opened)
        closed = kinds.find(b">")
        stop = closed if closed >= 0 else len(kinds)
        start, route = self._read_route(opened + 1, stop)
        at = kinds.rfind(b"@", start, stop)
        if at < 0:
            self._add(name, self._local_part(start, stop), b"", route)
        else:
            end = self._run_end(at + 1, stop)
            self._broken |= end < stop
            domain = b"".join(words[at + 1 : end])
            self._add(name, self._local_part(start, at), domain, route)
        behind = stop + 1
        if behind < len(kinds) and not self.elements.kept:
            self._broken = True
            if AT in kinds[behind:]:
                self._read_bare(behind)

    def _read_route(self, start: int, stop: int) -> tuple[int, bytes | None]:
        """Return where the address begins behind ``start``, and the route before it."""
        kinds = self.elements.kinds
        colon = kinds.rfind(b":", start, stop)
        if colon >= 0:
            if kinds[start] == AT:
                return colon + 1, b"".join(self.elements.words[start:colon])
            self._broken = True  # mailto:
            return colon + 1, None
        if kinds.startswith(b"@", start):
            self._broken = True
            return self._run_end(start + 1, stop), None
        return start, None

    def _local_part(self, start: int, stop: int) -> bytes:
        """Return all that stands before the last @ in brackets."""
        if self._run_end(start, stop) == stop:
            return b"".join(self.elements.words[start:stop])
        self._broken = True
        return self._phrase(start, stop) or b""

    def _read_bare(self, start: int) -> None:
        """Read addresses with nothing but white space between them, names before them."""
        kinds, words = self.elements.kinds, self.elements.words
        ats = [place for place in range(start, len(kinds)) if kinds[place] == AT]
        self._broken |= len(ats) > 1
        first = ats[0]  # where the local part at hand ends
        for at, following in zip(ats, [*ats[1:], len(kinds)], strict=True):
            end = self._run_end(at + 1, following)
            if end == following < len(kinds):  # a domain between two @ and nothing else
                continue
            begin = start if self._run_end(start, first) == first else first - 1
            name = self._phrase(start, begin)
            self._broken |= begin > start
            if following == len(kinds):
                name = name or self.elements.comment
            self._add(name, b"".join(words[begin:at]), b"".join(words[at + 1 : end]))
            start, first = end, following
        self._broken |= start < len(kinds)

    def _read_words(self) -> None:
        """Read a lone word as a local part, and more of them as a name."""
        kinds, words, comment = self.elements.kinds, self.elements.words, self.elements.comment
        if kinds == b"w":
            self._add(comment, words[0], b"")
        else:
            self._add(self._phrase(0, len(words)) or comment, b"", b"")

    def _phrase(self, start: int, stop: int) -> bytes | None:
        """Return words as a display name; None if they say nothing."""
        if start == stop:
            return None
        words, kinds = self.elements.words[start:stop], self.elements.kinds[start:stop]
        self._broken |= kinds[0] == WORD and words[0].startswith(b".")
        if not kinds.isalpha():
            self._broken = True
            words = [word for word, kind in zip(words, kinds, strict=True) if kind in _SHOWN]
        name = b" ".join(words)
        return (name.replace(b" @ ", b"@") if AT in kinds else name) or None

    def _run_end(self, start: int, stop: int) -> int:
        """Return where the words end that only dots hold together, as in ``a . b``."""
        kinds, words = self.elements.kinds, self.elements.words
        end = start + 1 if start < stop else stop
        while end < stop and (
            (kinds[end - 1] == WORD and words[end - 1].endswith(b"."))
            or (kinds[end] == WORD and words[end].startswith(b"."))
        ):
            end += 1
        return end
