"""Messages that travel in several: cut apart and put together again (RFC 2046 section 5.2.2).

A message that was put together is another than those that were judged when
they came, so it has to be judged itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import attrs

from mailplat.mail.compose import subject_of
from mailplat.mail.content import Content, Excerpt, Joined, Octets
from mailplat.mail.encodings import IDENTITIES
from mailplat.mail.envelope import Body
from mailplat.mail.errors import BadContent, MessageTooLarge
from mailplat.mail.fields import identifier_field, parameter_field
from mailplat.mail.header import Header, body_begins, name_of
from mailplat.mail.parameters import media_type
from mailplat.mail.structure import HEADER
from mailplat.mail.transfer import survey_of
from mailplat.mail.words import LONGEST_LINE, text_field

MOST_PARTS = 1000  # of one message
SMALLEST = 4 * LONGEST_LINE  # octets of a part beside its header
LONGEST_ID = 250  # octets

_NUMBER = re.compile(rb"0*+([1-9][0-9]{0,5})")
_LINE = LONGEST_LINE + 2
# These belong to the message inside; all others to the message around it.
_INNER = (b"content-", b"subject", b"message-id", b"encrypted", b"mime-version")
_NAMED_IN_ALL = (
    b"from", b"sender", b"reply-to", b"to", b"cc", b"date",
)  # fmt: skip


@attrs.frozen
class Fragment:
    """Which part of which message a message is; only the last must say how many there are."""

    id: bytes
    number: int
    total: int | None = None


def fragment_of(header: Header) -> Fragment | None:
    """Return what a header says of its being a part; None if it is none, or encoded."""
    type_ = media_type(header.body(b"Content-Type"))
    encoding = header.body(b"Content-Transfer-Encoding").strip().lower() or b"7bit"
    if type_.name != "message/partial" or encoding not in IDENTITIES:
        return None
    identifier = type_.parameters.octets(b"id") or b""
    number = _number(type_.parameters.octets(b"number"))
    total = _number(type_.parameters.octets(b"total"))
    if not (0 < len(identifier) <= LONGEST_ID) or not number or (total and number > total):
        return None
    return Fragment(identifier, number, total)


def _number(octets: bytes | None) -> int | None:
    found = _NUMBER.fullmatch(octets.strip()) if octets else None
    return int(found[1]) if found else None


def _is_inner(name: bytes) -> bool:
    name = name.lower()
    return name in _INNER[1:] or name.startswith(_INNER[0])


# Together --------------------------------------------------------------------


async def reassembled(parts: Iterable[Content], largest: int) -> Content | None:
    """Return the message that these are all parts of, whatever their order; nothing is copied.

    None if some are missing or don't belong together; of those with the same
    number the first counts.  Raises `MessageTooLarge` if it has more octets
    than ``largest``.
    """
    found: dict[int, tuple[Header, Content]] = {}
    ids: set[bytes] = set()
    totals: set[int] = set()
    for part in parts:
        start = await part.read(0, min(part.size, HEADER))
        header = Header.parse(start)
        fragment = fragment_of(header)
        if fragment is None:
            return None
        ids.add(fragment.id)
        totals |= {fragment.total} if fragment.total else set()
        found.setdefault(
            fragment.number, (header, Excerpt(part, body_begins(start), part.size))
        )
    if len(ids) != 1 or totals != {len(found)} or max(found) != len(found):
        return None
    if sum(body.size for _, body in found.values()) > largest:
        raise MessageTooLarge(f"parts that together have more than {largest} octets")
    bodies = [found[number][1] for number in sorted(found)]
    return await _merged(found[1][0], Joined(tuple(bodies)))


async def _merged(outer: Header, content: Content) -> Content:
    """Return the message in the parts, its header merged with that of the first of them."""
    start = await content.read(0, min(content.size, HEADER))
    end = body_begins(start)
    inner = Header.parse(start)
    lines = [field.octets for field in outer.fields if not _is_inner(field.name)]
    lines += [field.octets for field in inner.fields if _is_inner(field.name)]
    head = b"".join(line if line.endswith(b"\n") else line + b"\r\n" for line in lines)
    return Joined((Octets(head + b"\r\n"), Excerpt(content, end, content.size)))


# Apart -----------------------------------------------------------------------


async def fragments(content: Content, size: int, unique: str, hostname: str) -> list[Content]:
    """Return a message in parts that have at most so many octets, or itself if it has no more.

    ``unique`` are letters and digits that nobody could have guessed.  Raises
    `BadContent` for a message that isn't all 7bit, which parts have to be, and
    `ValueError` for a size that leaves no room behind the header.
    """
    if content.size <= size:
        return [content]
    if (await survey_of(content)).needs() is not Body.SEVEN_BIT:
        raise BadContent("only 7bit can be sent in parts")
    start = await content.read(0, min(content.size, HEADER))
    header, begins = Header.parse(start), body_begins(start)
    writer = _Writer(header, unique, hostname)
    inner = b"".join(line for line in header.lines if _is_inner(name_of(line)))
    body = Joined((Octets(inner + b"\r\n"), Excerpt(content, begins, content.size)))
    room = size - max(len(writer.header(number, MOST_PARTS)) for number in (1, MOST_PARTS))
    if room < SMALLEST or body.size > MOST_PARTS * (room - _LINE):
        raise ValueError(f"a message of {content.size} octets in parts of {size}")
    cuts = await _cuts(body, room)
    return [
        Joined((Octets(writer.header(number, len(cuts) - 1)), Excerpt(body, begin, end)))
        for number, (begin, end) in enumerate(pairwise(cuts), 1)
    ]


async def _cuts(body: Content, room: int) -> Sequence[int]:
    """Return the places between lines at which to cut, the beginning and the end among them."""
    cuts = [0]
    while body.size - cuts[-1] > room:
        stop = cuts[-1] + room
        line = await body.read(stop - _LINE, stop)
        cuts.append(stop - _LINE + line.rindex(b"\r\n") + 2)
    return [*cuts, body.size]


@attrs.frozen
class _Writer:
    """Writes the headers around the parts."""

    _header: Header
    _unique: str
    _hostname: str

    def header(self, number: int, total: int) -> bytes:
        """Return the header of one part, with the empty line behind it."""
        subject = f"{subject_of(self._header)} ({number}/{total})"
        parameters = {
            "id": f"{self._unique}@{self._hostname}",
            "number": str(number),
            "total": str(total),
        }
        return b"".join(
            [
                *self._copied(number),
                text_field(b"Subject", subject),
                identifier_field(b"Message-ID", [self._identifier(number)]),
                b"MIME-Version: 1.0\r\n",
                parameter_field(b"Content-Type", "message/partial", parameters),
                b"\r\n",
            ]
        )

    def _copied(self, number: int) -> Iterator[bytes]:
        """Yield the first part's fields, or of all others those by which people know them."""
        if number == 1:
            yield from (line for line in self._header.lines if not _is_inner(name_of(line)))
            return
        for field in self._header.fields:
            if field.name.lower() in _NAMED_IN_ALL:
                yield field.octets
        yield identifier_field(b"References", [self._identifier(number - 1)])

    def _identifier(self, number: int) -> bytes:
        return f"{self._unique}.{number}@{self._hostname}".encode()
