"""Which DKIM signatures a message bears, and which of them a change would break (RFC 6376).

Nothing is verified here: no key is asked for, and a signature that says the
wrong thing from the start says so to whoever verifies it.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from enum import Enum

import attrs

from mailplat.mail.content import CHUNK, Content
from mailplat.mail.header import Header, name_of
from mailplat.mail.limits import KIB

MOST_SIGNATURES = 20  # fields that are read, topmost first
MOST_NAMES = 1000  # names in h= that are read
LONGEST_FIELD = 64 * KIB  # octets of a DKIM-Signature field that are read

_FIELD = b"dkim-signature"
_WHITE = re.compile(rb"[ \t\r\n]++")
_BLANKS = re.compile(rb"[ \t]++")
_LINE_ENDS = re.compile(rb"\r?\n")
_LENGTH = re.compile(rb"[0-9]{1,76}")  # RFC 6376 section 3.5, l=


class Canonicalization(Enum):
    """What of white space and case counts for a signature (RFC 6376 section 3.4)."""

    SIMPLE = "simple"
    RELAXED = "relaxed"


@attrs.frozen
class Signature:
    """What one DKIM-Signature field says (RFC 6376 section 3.5).

    ``names`` are those of h= in lower case, in their order; ``length`` is l=,
    None if all of the body is signed.  ``body_hash`` is bh= without white space.
    """

    field: bytes
    domain: str
    selector: str
    algorithm: str
    names: tuple[bytes, ...]
    of_header: Canonicalization
    of_body: Canonicalization
    length: int | None
    body_hash: bytes

    def __str__(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    def signed(self, header: Header) -> list[bytes]:
        """Return the fields that are signed, canonical, in the order of h=.

        A name counts once for each time it is given, from the lowest field of
        that name upwards; one that is given once too often stands for nothing,
        so that another field of that name would break the signature (section 5.4.2).
        """
        lines = _lines_by_name(header, set(self.names))
        found: list[bytes] = []
        for name in self.names:
            waiting = lines.get(name)
            found.append(self._canonical(waiting.pop()) if waiting else b"")
        return found

    def is_in(self, header: Header) -> bool:
        """Say whether the signature itself is in a header."""
        own = self._canonical(self.field)
        return any(self._canonical(line) == own for line in _signature_lines(header))

    def breaks(self, old: Header, new: Header) -> bool:
        """Say whether the step from one header to the other breaks it."""
        if old.octets == new.octets:
            return False
        return not self.is_in(new) or self.signed(old) != self.signed(new)

    def _canonical(self, line: bytes) -> bytes:
        if self.of_header is Canonicalization.SIMPLE:
            return _LINE_ENDS.sub(b"\r\n", line)
        name, _, body = line.partition(b":")
        body = _BLANKS.sub(b" ", _LINE_ENDS.sub(b"", body)).strip(b" ")
        return b"%b:%b\r\n" % (name.rstrip(b" \t").lower(), body)


def signatures_of(header: Header) -> tuple[Signature, ...]:
    """Return what the DKIM-Signature fields say, topmost first; what is broken is best read."""
    return tuple(map(_signature, _signature_lines(header)))


def _signature_lines(header: Header) -> list[bytes]:
    return [field.octets for field in header.all(_FIELD)[:MOST_SIGNATURES]]


def _signature(line: bytes) -> Signature:
    tags: dict[bytes, bytes] = {}
    for tag in line[:LONGEST_FIELD].partition(b":")[2].split(b";"):
        name, _, value = tag.partition(b"=")
        tags.setdefault(_WHITE.sub(b"", name), _WHITE.sub(b"", value))
    get = tags.get
    of_header, _, of_body = get(b"c", b"").lower().partition(b"/")
    names = get(b"h", b"").lower().split(b":", MOST_NAMES)[:MOST_NAMES]
    length = get(b"l", b"")
    return Signature(
        line,
        get(b"d", b"").decode("utf-8", "replace"),
        get(b"s", b"").decode("utf-8", "replace"),
        get(b"a", b"").decode("ascii", "replace").lower(),
        tuple(filter(None, names)),
        _canonicalization(of_header),
        _canonicalization(of_body),
        int(length) if _LENGTH.fullmatch(length) else None,
        get(b"bh", b""),
    )


def _canonicalization(word: bytes) -> Canonicalization:
    return Canonicalization.RELAXED if word == b"relaxed" else Canonicalization.SIMPLE


def _lines_by_name(header: Header, names: set[bytes]) -> dict[bytes, list[bytes]]:
    lines: dict[bytes, list[bytes]] = {}
    for line in header.lines:
        name = name_of(line).lower()
        if name in names:
            lines.setdefault(name, []).append(line)
    return lines


# Bodies ----------------------------------------------------------------------


class BodyHash:
    """The hash of a body that comes in chunks, as one signature wants it.

    Lines that end in a bare LF count as if they ended in CRLF, as they would
    on the wire.
    """

    def __init__(
        self,
        canonicalization: Canonicalization,
        length: int | None = None,
        name: str = "sha256",
    ) -> None:
        self._relaxed = canonicalization is Canonicalization.RELAXED
        self._room = length
        self._hash = hashlib.new(name, usedforsecurity=False)
        self._held = b""  # what may belong to a line's end
        self._ends = 0  # line ends behind which there may be no text any more
        self.size = 0  # canonical octets so far, no more than are signed

    @property
    def is_full(self) -> bool:
        """Whether no further octet counts."""
        return self._room is not None and self.size >= self._room

    def feed(self, octets: bytes) -> None:
        """Take the next octets."""
        octets = self._held + octets
        self._held = b"\r" if octets.endswith(b"\r") else b""
        octets = octets.removesuffix(b"\r")
        if octets.count(b"\n") != octets.count(b"\r\n"):
            octets = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if self._relaxed:
            octets = _without_blanks(octets)
            if octets.endswith(b" "):
                octets, self._held = octets[:-1], b" " + self._held
        self._take(octets)

    def digest(self) -> bytes:
        """Return the hash in Base64, as bh= has it; no more octets come."""
        rest, self._held = self._held, b""
        self._take(rest.removeprefix(b" ") if rest == b" " else rest)
        if self.size or not self._relaxed:
            self._update(b"\r\n")
        return b64encode(self._hash.digest())

    def _take(self, octets: bytes) -> None:
        text = _without_last_ends(octets)
        if text:
            for count in _shares(self._ends):
                self._update(b"\r\n" * count)
            self._update(text)
            self._ends = 0
        self._ends += (len(octets) - len(text)) // 2

    def _update(self, octets: bytes) -> None:
        if self._room is not None:
            octets = octets[: max(self._room - self.size, 0)]
        self._hash.update(octets)
        self.size += len(octets)


def _without_blanks(octets: bytes) -> bytes:
    """Make one space of blanks, and none of those before a line's end.

    Most text has few of them, and is searched much faster than by a pattern.
    """
    if b"\t" in octets:
        octets = octets.replace(b"\t", b" ")
    while b"  " in octets:
        octets = octets.replace(b"  ", b" ")
    return octets.replace(b" \r\n", b"\r\n") if b" \r\n" in octets else octets


def _without_last_ends(octets: bytes) -> bytes:
    """Return octets without the line ends behind all text; a CR alone is text."""
    if octets.endswith(b"\r"):
        return octets
    text = octets.rstrip(b"\r\n")
    alone = octets.rfind(b"\r\r", len(text))
    return octets[: alone + 1] if alone >= 0 else text


def _shares(count: int) -> Iterator[int]:
    while count > 0:
        yield min(count, CHUNK)
        count -= CHUNK


async def body_hashes(
    content: Content, start: int, signatures: Sequence[Signature]
) -> dict[Signature, tuple[bytes, bool]]:
    """Return of each signature the hash of a body, and whether that is as long as l= says.

    ``start`` is where the body begins; it is read once, in chunks.
    """
    hashes = {
        signature: BodyHash(
            signature.of_body,
            signature.length,
            "sha1" if signature.algorithm.endswith("sha1") else "sha256",
        )
        for signature in signatures
    }
    while start < content.size and not all(one.is_full for one in hashes.values()):
        octets = await content.read(start, min(start + CHUNK, content.size))
        if not octets:
            break
        for one in hashes.values():
            if not one.is_full:
                one.feed(octets)
        start += len(octets)
    return {
        signature: (one.digest(), one.size >= (signature.length or 0))
        for signature, one in hashes.items()
    }


async def broken_by(
    old: tuple[Header, Content], new: tuple[Header, Content]
) -> tuple[Signature, ...]:
    """Return the signatures of a message that would no longer fit what becomes of it.

    Both are a header and the content that begins with it.  A signature whose
    body hash didn't fit before isn't broken by anybody.  The bodies are read in
    chunks, if they are not the same octets and somebody has signed them.
    """
    signatures = signatures_of(old[0])
    if not signatures or old[1] is new[1]:
        return ()
    hashes = await body_hashes(old[1], await body_start(*old), signatures)
    fitting = [one for one in signatures if hashes[one] == (one.body_hash, True)]
    broken = {one for one in fitting if one.breaks(old[0], new[0])}
    if rest := [one for one in fitting if one not in broken]:
        hashes = await body_hashes(new[1], await body_start(*new), rest)
        broken.update(one for one in rest if hashes[one] != (one.body_hash, True))
    return tuple(one for one in fitting if one in broken)


async def body_start(header: Header, content: Content) -> int:
    """Return where the body of a content begins, behind the empty line after its header."""
    start = len(header.octets)
    following = await content.read(start, min(start + 2, content.size))
    if following.startswith(b"\n"):
        return start + 1
    return start + len(following) if following == b"\r\n" else start
