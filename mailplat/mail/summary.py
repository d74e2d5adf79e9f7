"""What the access protocols will ask of a message, computed once at arrival.

A message is read in one pass; what was found is written as octets with a version
number, which a store keeps beside the message without looking into them.
`read_summary` reads its own version only, and refuses any other.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import date
from enum import IntFlag
from functools import cached_property
from typing import NamedTuple

import attrs

from mailplat.mail.addresslist import Effort
from mailplat.mail.bodystructure import Bodies, describe, described_size
from mailplat.mail.content import CHUNK, Content, Turn, at_once, chunks, whole
from mailplat.mail.dates import DateTime, date_in
from mailplat.mail.header import Telling
from mailplat.mail.identifiers import relatives_of
from mailplat.mail.imapwords import Envelope, read_envelope
from mailplat.mail.layout import Layout, Part
from mailplat.mail.limits import KIB
from mailplat.mail.preview import preview, preview_of, preview_parts
from mailplat.mail.sortkeys import LONGEST_KEY, keys_of
from mailplat.mail.structure import Scanner, Structure, scan
from mailplat.mail.subject import base_subject

VERSION = 4
SLICE = 64 * KIB  # octets that are looked at before others get their turn
LONGEST_ENVELOPE = 64 * KIB  # octets; of a longer one the addresses are left out
LONGEST_ENVELOPES = 256 * KIB  # octets of those of messages inside that are written
LONGEST_STRUCTURE = 256 * KIB  # octets of BODYSTRUCTURE; what has a longer one is one part
LONGEST_SUBJECT = 16 * KIB  # octets of a Subject that are decoded

_FRONT = struct.Struct("<BBIqiB11I")  # version to number of references; lengths of the fields
_LENGTH = struct.Struct("<H")
_UNDATED = -(2**63)


class Mark(IntFlag):
    """What is said of a message by yes or no."""

    REPLY = 1  # its subject says that it replies to another, or forwards one
    ATTACHMENT = 2  # it has a part that is to be saved rather than shown
    UTF8 = 4  # its header, or that of a part, has something outside ASCII, or lies beside it


_REPLY, _ATTACHMENT, _UTF8 = map(
    int, Mark
)  # numbers are added a hundred times faster than flags


@attrs.frozen
class Summary:
    """The facts of one message that stores keep beside it as opaque octets.

    ``octets`` is the serialised whole, version first; the other fields are
    what a store itself needs: ``references`` are the message identifiers that
    put it into a thread (its own first), ``body`` is where the body begins.
    """

    octets: bytes
    body: int
    references: tuple[bytes, ...] = ()


@attrs.frozen
class Facts:
    """What a summary's octets say.

    ``references`` are identifiers without their angle brackets: the message's
    own, if it has one, then its ancestors'.  ``sent`` is the moment in its Date
    field, in seconds since 1970, and ``day`` the day as it is written there;
    None if there is none that can be understood.  ``envelope``,
    ``description`` (BODY) and ``bodystructure`` are in IMAP's own words (RFC
    9051 section 7.5.2).  ``subject`` is the base subject's key, by which threads
    and subjects are compared (RFC 5256); the others are the keys of FROM, TO,
    CC, DISPLAYFROM and DISPLAYTO (RFC 5957).  ``preview`` is that of RFC 8970.
    """

    body: int
    marks: Mark
    sent: int | None
    day: date | None
    references: tuple[bytes, ...]
    envelope: bytes
    description: bytes
    bodystructure: bytes
    subject: bytes
    sender: bytes
    to: bytes
    cc: bytes
    display_from: bytes
    display_to: bytes
    preview: bytes  # in UTF-8
    packed_layout: bytes

    @cached_property
    def layout(self) -> Layout:
        """Where the parts of the message lie."""
        return Layout.unpack(self.packed_layout)


class Words(NamedTuple):
    """What IMAP asks most often of a summary, in its own words; see `Facts`."""

    envelope: bytes
    description: bytes
    bodystructure: bytes


class Findings(NamedTuple):
    """What one pass over a message found; `summary` writes it down.

    A message that is given to several accounts is read once, and written down
    for each behind trace fields of its own: only ``layout`` changes with these.
    """

    layout: Layout
    marks: int
    sent: DateTime | None
    references: tuple[bytes, ...]
    fields: tuple[bytes, ...]  # in the order of `Facts`, but for the layout

    def summary(self, trace: bytes = b"") -> Summary:
        """Return the summary of the message with these trace fields before it."""
        layout, marks, sent, references, fields = self
        body = layout.parts[0].body + len(trace)
        fields = (*fields, layout.pack(len(trace)))
        if not trace.isascii():
            marks |= _UTF8
        front = _FRONT.pack(
            VERSION,
            marks,
            body,
            sent.seconds if sent else _UNDATED,
            sent.day.toordinal() if sent else 0,
            len(references),
            *map(len, fields),
        )
        written = [_LENGTH.pack(len(one)) + one for one in references]
        return Summary(b"".join([front, *fields, *written]), body, references)


class _Reading:
    """A pass over a message, which keeps the first header that it meets: the message's own."""

    def __init__(self) -> None:
        self.telling: Telling = {}
        self.envelope: Envelope | None = None
        self._room = LONGEST_ENVELOPES
        self._effort = Effort()

    def write_envelope(self, telling: Telling) -> bytes:
        """Return the ENVELOPE of a message that has these fields, if there is room for it."""
        if self._room <= 0:
            return b""
        envelope = read_envelope(telling, LONGEST_ENVELOPE, self._effort)
        if self.envelope is None:
            self.telling, self.envelope = telling, envelope
        else:
            self._room -= len(envelope.octets)
        return envelope.octets

    def findings(
        self, structure: Structure, bodies: Bodies, words: str, utf8: bool
    ) -> Findings:
        """Return what was found, with a preview, and whether `Mark.UTF8` is due."""
        envelope = self.envelope
        assert envelope, "every message has a header"
        get = self.telling.get
        date, subject, message_id, references, in_reply_to = [
            said[0] if (said := get(name)) else b"" for name in _SAID
        ]
        base = base_subject(subject[:LONGEST_SUBJECT])
        sender, display_from = keys_of(envelope.sender)
        to, display_to = keys_of(envelope.to)
        return Findings(
            structure.layout,
            _REPLY * base.is_reply + _ATTACHMENT * _has_attachment(structure) + _UTF8 * utf8,
            date_in(date),
            relatives_of(message_id, references, in_reply_to),
            (
                envelope.octets,
                bodies.body,
                bodies.bodystructure,
                base.key[:LONGEST_KEY],
                sender,
                to,
                keys_of(envelope.cc)[0],
                display_from,
                display_to,
                words.encode("utf-8", "replace"),
            ),
        )


_SAID = (b"date", b"subject", b"message-id", b"references", b"in-reply-to")


def _has_attachment(structure: Structure) -> bool:
    return True in [described.is_attachment for described in structure.described]


def _described(structure: Structure) -> tuple[Structure, Bodies]:
    """Return how IMAP describes a structure, and the same as one part if that is too long."""
    if described_size(structure) > LONGEST_STRUCTURE:
        structure = structure.as_one_part()
    return structure, describe(structure)


def findings(octets: bytes, previewed: bool = True) -> Findings:
    """Read a message that is at hand as a whole, its preview only if that is wanted.

    It never fails, whatever the octets: what can't be understood is left out.
    """
    reading = _Reading()
    structure, bodies = _described(scan(octets, reading.write_envelope))
    words = preview(octets, structure) if previewed else ""
    utf8 = not octets.isascii() and not all(
        octets[part.start : part.body].isascii() for part in structure.layout.parts
    )
    return reading.findings(structure, bodies, words, utf8)


def summarise(octets: bytes) -> Summary:
    """Summarise a message that is at hand as a whole; it never fails, whatever the octets."""
    return findings(octets).summary()


async def findings_of(content: Content, turn: Turn = at_once) -> Findings:
    """Read a content of any size, a slice at a time; ``turn`` is awaited after each.

    Raises `StoreFailed` if it ends before its size.
    """
    if content.size <= SLICE:
        return findings(await whole(content))
    reading = _Reading()
    scanner = Scanner(reading.write_envelope)
    others: list[int] = []  # where slices begin that have something outside ASCII
    start = 0
    async for chunk in chunks(content, CHUNK):
        for at in range(0, len(chunk), SLICE):
            octets = chunk[at : at + SLICE]
            scanner.feed(octets)
            if not octets.isascii():
                others.append(start + at)
            await turn()
        start += len(chunk)
    structure, bodies = _described(scanner.finish())
    await turn()
    texts = [(entity, await content.read(*lies)) for entity, lies in preview_parts(structure)]
    words = preview_of(texts)
    await turn()
    utf8 = any(_is_touched(part, others) for part in structure.layout.parts)
    return reading.findings(structure, bodies, words, utf8)


def _is_touched(part: Part, others: Sequence[int]) -> bool:
    """Whether a part's header lies in slices of which one begins at one of ``others``."""
    at = bisect_right(others, part.start - SLICE)
    return at < len(others) and others[at] < part.body


async def summary_of(content: Content) -> Summary:
    """Summarise a content of any size."""
    return (await findings_of(content)).summary()


def read_summary(octets: bytes) -> Facts:
    """Read what `Findings.summary` wrote.

    Raises `ValueError` for a version not known here, and for octets that were
    cut or damaged; then all there is to do is to summarise the message again.
    """
    version = octets[0] if octets else 0
    if version != VERSION:
        raise ValueError(f"a summary of version {version}; {VERSION} is known")
    try:
        _, marks, body, sent, day, count, *lengths = _FRONT.unpack_from(octets)
        fields, at = _strings(octets, _FRONT.size, lengths)
        references: list[bytes] = []
        for _ in range(count):
            [reference], at = _strings(
                octets, at + _LENGTH.size, _LENGTH.unpack_from(octets, at)
            )
            references.append(reference)
    except struct.error as failure:
        raise ValueError("a summary that is damaged") from failure
    if at != len(octets):
        raise ValueError(f"a summary of {len(octets)} octets, which should have {at}")
    return Facts(
        body,
        Mark(marks),
        None if sent == _UNDATED else sent,
        date.fromordinal(day) if day else None,
        tuple(references),
        *fields,
    )


def read_words(octets: bytes) -> Words:
    """Read of what `Findings.summary` wrote what IMAP asks most often.

    It takes a third of the time of `read_summary`, and raises `ValueError` as that does.
    """
    version = octets[0] if octets else 0
    if version != VERSION:
        raise ValueError(f"a summary of version {version}; {VERSION} is known")
    try:
        _, _, _, _, _, _, envelope, description, structure, *_ = _FRONT.unpack_from(octets)
    except struct.error as failure:
        raise ValueError("a summary that is damaged") from failure
    start = _FRONT.size
    described = start + envelope
    structured = described + description
    stop = structured + structure
    if stop > len(octets):
        raise ValueError(f"a summary of {len(octets)} octets, which should have {stop}")
    return Words(octets[start:described], octets[described:structured], octets[structured:stop])


def _strings(octets: bytes, at: int, lengths: Iterable[int]) -> tuple[list[bytes], int]:
    """Return strings one behind the other, and where the last ends, be it behind the octets."""
    found: list[bytes] = []
    for length in lengths:
        found.append(octets[at : at + length])
        at += length
    return found, at
