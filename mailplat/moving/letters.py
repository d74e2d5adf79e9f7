"""What every source says of a message: octets, mailbox, flags and date."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

import attrs

from mailplat.mail.errors import NotPermitted
from mailplat.mail.limits import KIB, MIB
from mailplat.mail.mailbox import DEEPEST_NAME, INBOX, SEPARATOR, SYSTEM_FLAGS, proper_name

CHUNK = 256 * KIB  # octets that are read at once
LARGEST_MESSAGE = 1024 * MIB  # octets; what is larger is left out and named
MOST_NAMED = 1000  # messages that are named in the end, of those that were left out
LONGEST_KEYWORD = 100  # octets
MOST_KEYWORDS = 64  # of one message

_SYSTEM = {name.lower(): name for name in SYSTEM_FLAGS}
_NO_KEYWORD = re.compile(r"[^!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]", re.ASCII)
_NOT_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/]")


@attrs.frozen
class Letter:
    """A message in a source.

    ``pieces`` are its octets with CRLF, to be taken before the next letter is asked
    for.  ``place`` says to the operator where it lies.  ``key`` tells it from all other
    messages of the account; where it is empty, the content does.  ``received`` is in
    seconds since 1970, None where the source doesn't say.
    """

    mailbox: str
    pieces: Iterable[bytes]
    place: str
    flags: frozenset[str] = frozenset()
    received: float | None = None
    key: str = ""


@attrs.frozen
class Box:
    """What a source says of a mailbox."""

    name: str
    role: str = ""  # in the words of `Role`
    subscribed: bool | None = None  # None: it doesn't say


@attrs.define
class LeftOut:
    """What could not be moved."""

    left_out: int = 0
    named: list[dict[str, str]] = attrs.field(factory=list)  # the first of them, and why

    def leave_out(self, place: str, why: str) -> None:
        """Count a message that stays behind."""
        self.left_out += 1
        if len(self.named) < MOST_NAMED:
            self.named.append({"place": place, "why": why})


def proper_flags(names: Iterable[str]) -> frozenset[str]:
    """Return flags as they can be kept, from whatever a source calls so.

    System flags are spelt as RFC 9051 does; those that mean nothing here, \\Recent
    among them, are left out, and what no keyword may have becomes an underscore.
    """
    found: dict[str, None] = {}
    for name in names:
        if name.startswith("\\"):
            if known := _SYSTEM.get(name.lower()):
                found[known] = None
        elif name and len(found) < MOST_KEYWORDS:
            found[_NO_KEYWORD.sub("_", name[:LONGEST_KEYWORD])] = None
    return frozenset(found)


def mailbox_name(parts: Iterable[str]) -> str:
    """Return the nearest name that a mailbox may have to these parts; none are INBOX."""
    clean = [_NOT_IN_NAMES.sub("_", part) or "_" for part in parts]
    if len(clean) > DEEPEST_NAME:
        clean[DEEPEST_NAME - 1 :] = ["_".join(clean[DEEPEST_NAME - 1 :])[:100]]
    for text in (SEPARATOR.join(clean), SEPARATOR.join(part[:40] for part in clean)):
        try:
            return proper_name(text) if clean else INBOX
        except NotPermitted:
            continue
    return INBOX


# Line ends -------------------------------------------------------------------


def with_crlf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the octets with CRLF where there is LF alone.

    A message whose first line ends with CRLF already is left as it is, whatever its
    others do.  Every CR that is no part of a line end stays.
    """
    rest = iter(pieces)
    head = b""
    for piece in rest:
        head += piece
        if b"\n" in piece or len(head) > CHUNK:
            break
    end = head.find(b"\n")
    if end > 0 and head[end - 1] == 0x0D:
        yield head
        yield from rest
        return
    last = b""
    for piece in chain((head,), rest):
        yield _changed(piece, last)
        last = piece[-1:] or last


def _changed(piece: bytes, last: bytes) -> bytes:
    """Return a piece with CRLF, behind a piece that ended with ``last``."""
    if b"\r" not in piece and last != b"\r":
        return piece.replace(b"\n", b"\r\n")
    if last == b"\r" and piece.startswith(b"\n"):
        return b"\n" + piece[1:].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return piece.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def with_lf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the octets with LF where there is CRLF; every other CR stays."""
    held = b""
    for piece in pieces:
        piece = held + piece
        held = piece[-1:] if piece.endswith(b"\r") else b""
        yield (piece[:-1] if held else piece).replace(b"\r\n", b"\n")
    if held:
        yield held


def pieces_of(file: BinaryIO, chunk: int = CHUNK) -> Iterator[bytes]:
    """Yield what is left of a file."""
    while piece := file.read(chunk):
        yield piece


def failing(problem: Exception) -> Iterator[bytes]:
    """Return the pieces of what can't be read: they raise ``problem``."""
    return map(_raised, (problem,))


def _raised(problem: Exception) -> bytes:
    raise problem
