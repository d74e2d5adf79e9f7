"""Mailboxes in one file: mboxrd, mboxo and mboxcl2 are read, mboxrd is written (RFC 4155).

A message begins at a line ``From …`` that has a time in it, or nothing, and stands
behind an empty line.  Where the first message has a Content-Length that leads exactly
to the next such line, those of the others are trusted too where they do the same, and
no line in these was ever quoted (mboxcl2).  Else one ``>`` is taken from every line that
begins with some and ``From ``, which undoes mboxrd, and mboxo in all but odd cases.

Flags stand in the fields Status, X-Status and X-Keywords.  What we write has all
three, in this order, before the message's own fields, and only these are taken away
again; of a file by another program these fields are taken away wherever they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from time import asctime, gmtime
from typing import BinaryIO

import attrs

from mailplat.mail.dates import date_in
from mailplat.mail.limits import KIB, MIB
from mailplat.mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from mailplat.moving.letters import CHUNK, Letter, proper_flags, with_crlf, with_lf

LONGEST_FROM = 512  # octets of a line that begins a message
LONGEST_HEADER = MIB  # octets; in a longer one no flags are looked for
LONGEST_COUNTED = 64 * KIB  # octets; in a longer one no Content-Length is looked for
LONGEST_QUOTE = 64 * KIB  # how many ``>`` are counted before ``From ``

_BEGINS = b"From "
_FROM_LINE = re.compile(
    rb"From (?:[ \t]*+|[^\n]{0,400}?[ \t]\d{1,2}:\d\d(?::\d\d)?+[ \t][^\n]{0,60}+)\r?+\n"
)
_FROM_DATE = re.compile(
    rb"[ \t]((?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[ \t,][^\r\n]{10,60}+)\r?+\n\Z", re.IGNORECASE
)
_ZONE_BEFORE_YEAR = re.compile(rb"( [+-]\d{4})( \d{4})[ \t]*+\Z")
_QUOTED = re.compile(rb"^>(?=>*+From )", re.MULTILINE)
_TO_QUOTE = re.compile(rb"^(?=>*+From )", re.MULTILINE)
_LENGTH = re.compile(
    rb"^Content-Length:[ \t]*+(\d{1,15})[ \t]*+\r?$", re.IGNORECASE | re.MULTILINE
)
_FOLDS = rb"[^\n]*+(?:\n[ \t][^\n]*+)*+\n"
_OURS = re.compile(rb"Status:([^\n]*+)\nX-Status:([^\n]*+)\nX-Keywords:([^\n]*+)\n")
_THEIRS = re.compile(
    rb"^(Status|X-Status|X-Keywords|X-Mozilla-Status2?|X-Mozilla-Keys|X-UID|X-IMAP|X-IMAPbase"
    rb"|Content-Length):(" + _FOLDS + rb")",
    re.IGNORECASE | re.MULTILINE,
)
_LETTERS = {"R": SEEN, "A": ANSWERED, "F": FLAGGED, "D": DELETED, "T": DRAFT}
_MOZILLA = {0x1: SEEN, 0x2: ANSWERED, 0x4: FLAGGED, 0x8: DELETED}
_RECEIVED = re.compile(rb"^Received:(" + _FOLDS + rb")", re.IGNORECASE | re.MULTILINE)
_DATE = re.compile(rb"^Date:(" + _FOLDS + rb")", re.IGNORECASE | re.MULTILINE)


# Where the messages lie ------------------------------------------------------


@attrs.frozen
class Span:
    """Where a message lies in the file: its From line, its header, its end."""

    begin: int
    header: int
    stop: int
    counted: bool  # whether it lies where its Content-Length says


class Window:
    """A file that is looked at through a buffer that slides along; it must be seekable."""

    def __init__(self, file: BinaryIO, chunk: int = CHUNK) -> None:
        self._file = file
        self._chunk = chunk
        self._start = 0
        self._held = b""
        self.size = file.seek(0, 2)

    def at(self, start: int, stop: int) -> bytes:
        """Return the octets that lie there, as far as there are any."""
        if not self._start <= start <= stop <= self._start + len(self._held):
            self._load(start, max(stop, start + self._chunk))
        return self._held[start - self._start : stop - self._start]

    def find(self, words: bytes, start: int, stop: int | None = None) -> int:
        """Return where the words next lie, or -1."""
        stop = self.size if stop is None else min(stop, self.size)
        while start < stop:
            end = self._start + len(self._held)
            if not self._start <= start <= end - len(words):
                self._load(start, start + max(self._chunk, len(words)))
                end = self._start + len(self._held)
            at = self._held.find(words, start - self._start, stop - self._start)
            if at >= 0:
                return self._start + at
            if end >= stop or end <= start:
                return -1
            start = max(end - len(words) + 1, start + 1)
        return -1

    def _load(self, start: int, stop: int) -> None:
        self._file.seek(start)
        found: list[bytes] = []
        while start < stop and (octets := self._file.read(stop - start)):
            found.append(octets)
            stop -= len(octets)
        self._start, self._held = start, b"".join(found)


def spans(window: Window) -> Iterator[Span]:
    """Yield where the messages of a file lie; octets before the first are passed over."""
    begin = _next_from(window, 0)
    counts: bool | None = None  # whether Content-Length is trusted in this file
    while begin >= 0:
        header = window.find(b"\n", begin, begin + LONGEST_FROM) + 1
        if counts is None and _OURS.match(window.at(header, header + LONGEST_FROM)):
            counts = False  # we quote, whatever a Content-Length says
        counted = None if counts is False else _counted(window, header)
        counts = counted is not None if counts is None else counts
        if counted:
            stop, following = counted
        else:
            following = _next_from(window, header - 1)
            stop = _without_gap(window, header, following)
        yield Span(begin, header, stop, counted is not None)
        begin = following


def _next_from(window: Window, start: int) -> int:
    """Return where the next message begins, at 0 or behind an empty line; else -1.

    ``start`` is the place of a line end, or 0.
    """
    if start == 0 and _FROM_LINE.match(window.at(0, LONGEST_FROM)):
        return 0
    if start == 0 and window.at(0, len(_BEGINS)) == _BEGINS:
        return 0 if b"\n" in window.at(0, LONGEST_FROM) else -1
    while (at := window.find(b"\n" + _BEGINS, start)) >= 0:
        before = window.at(max(at - 2, 0), at)
        empty = before.endswith(b"\n") or before == b"\n\r"
        if empty and _FROM_LINE.match(window.at(at + 1, at + 1 + LONGEST_FROM)):
            return at + 1
        start = at + 1
    return -1


def _counted(window: Window, header: int) -> tuple[int, int] | None:
    """Return where the message ends by its Content-Length, and where the next one begins.

    None if no message begins there.
    """
    octets = window.at(header, header + LONGEST_COUNTED)
    end = _end_of_header(octets)
    found = _LENGTH.search(octets, 0, end)
    stop = header + end + int(found[1]) if found else window.size + 1
    if not end or stop > window.size:
        return None
    behind = window.at(stop, stop + LONGEST_FROM + 2)
    gap = len(behind) - len(behind.removeprefix(b"\r").removeprefix(b"\n"))
    if stop + gap >= window.size:
        return stop, -1
    ended = gap or window.at(stop - 1, stop) == b"\n"
    return (stop, stop + gap) if ended and _FROM_LINE.match(behind, gap) else None


def _without_gap(window: Window, header: int, following: int) -> int:
    """Return where a message ends, without the empty line between it and the next."""
    stop = window.size if following < 0 else following
    for gap in (b"\r\n", b"\n"):
        if window.at(max(header - 1, stop - len(gap) - 1), stop) == b"\n" + gap:
            return max(header, stop - len(gap))
    return stop


# What they are ---------------------------------------------------------------


def letters(file: BinaryIO, mailbox: str, place: str, chunk: int = CHUNK) -> Iterator[Letter]:
    """Yield the messages of a file, which must be seekable."""
    window = Window(file, chunk)
    for number, span in enumerate(spans(window), 1):
        line = window.at(span.begin, span.header)
        head = window.at(span.header, min(span.stop, span.header + LONGEST_HEADER))
        if (end := _end_of_header(head)) or len(head) == LONGEST_HEADER:
            head = head[:end]
        clean, flags = _without_flags(head)
        yield Letter(
            mailbox,
            with_crlf(_octets(window, span, clean, len(head), chunk)),
            f"{place}, message {number}",
            flags,
            _from_date(line) or received_in(head),
        )


def _octets(
    window: Window, span: Span, head: bytes, behind: int, chunk: int
) -> Iterator[bytes]:
    """Yield a message's octets, the quoting of its lines undone."""
    starts = range(span.header + behind, span.stop, chunk)
    body = (window.at(start, min(start + chunk, span.stop)) for start in starts)
    pieces = chain((head,), body)
    return pieces if span.counted else _at_lines(_QUOTED, b"", pieces)


def _at_lines(
    pattern: re.Pattern[bytes], becomes: bytes, pieces: Iterable[bytes]
) -> Iterator[bytes]:
    """Replace a pattern at the beginnings of lines, wherever these are cut into pieces."""
    held, goes_on = b"", False
    for piece in pieces:
        octets = held + piece
        start = octets.rfind(b"\n") + 1
        held = b""
        if start or not goes_on:
            line = octets[start : start + LONGEST_QUOTE + len(_BEGINS)]
            if len(line) < LONGEST_QUOTE and _BEGINS.startswith(line.lstrip(b">")):
                octets, held = octets[:start], octets[start:]
        if octets:
            first = octets.find(b"\n") + 1 or len(octets) if goes_on else 0
            changed = _BEGINS in octets
            yield octets[:first] + pattern.sub(becomes, octets[first:]) if changed else octets
            goes_on = not octets.endswith(b"\n")
    if held:
        yield pattern.sub(becomes, held)


def _end_of_header(octets: bytes) -> int:
    """Return where the body begins; 0 where it isn't in these octets."""
    if octets.startswith((b"\n", b"\r\n")):
        return octets.find(b"\n") + 1
    ends = [at + len(gap) for gap in (b"\n\n", b"\n\r\n") if (at := octets.find(gap)) >= 0]
    return min(ends, default=0)


def _without_flags(head: bytes) -> tuple[bytes, frozenset[str]]:
    """Return a header without the fields that other programs keep flags in, and the flags."""
    if ours := _OURS.match(head):
        flags = _letters(ours[1] + ours[2]) + ours[3].decode("ascii", "replace").split()
        return head[ours.end() :], proper_flags(flags)
    flags = []
    for name, body in _THEIRS.findall(head):
        words = body.decode("ascii", "replace")
        match name.lower():
            case b"status" | b"x-status":
                flags += _letters(body)
            case b"x-keywords" | b"x-mozilla-keys":
                flags += words.split()
            case b"x-mozilla-status":
                flags += _mozilla(words.strip())
    return _THEIRS.sub(b"", head), proper_flags(flags)


def _letters(octets: bytes) -> list[str]:
    return [flag for letter, flag in _LETTERS.items() if letter.encode() in octets]


def _mozilla(words: str) -> list[str]:
    try:
        bits = int(words, 16)
    except ValueError:
        return []
    return [flag for bit, flag in _MOZILLA.items() if bits & bit]


def _from_date(line: bytes) -> float | None:
    found = _FROM_DATE.search(line)
    moment = date_in(_ZONE_BEFORE_YEAR.sub(rb"\2\1", found[1])) if found else None
    return float(moment.seconds) if moment else None


def received_in(head: bytes) -> float | None:
    """Return when a message came by its newest Received field, or was written by its Date."""
    for field in (_RECEIVED, _DATE):
        if (found := field.search(head)) and (
            moment := date_in(found[1].rpartition(b";")[2].strip())
        ):
            return float(moment.seconds)
    return None


# Writing ---------------------------------------------------------------------


def written(pieces: Iterable[bytes], flags: frozenset[str], received: float) -> Iterator[bytes]:
    """Yield a message as it stands in a file; it ends with an empty line."""
    system = {flag: letter for letter, flag in _LETTERS.items()}
    others = "".join(sorted(system[flag] for flag in flags if flag in system and flag != SEEN))
    keywords = " ".join(sorted(flag for flag in flags if not flag.startswith("\\")))
    yield (
        f"From MAILER-DAEMON {asctime(gmtime(received))}\n"
        f"Status: {'R' if SEEN in flags else ''}O\nX-Status: {others}\nX-Keywords: {keywords}\n"
    ).encode("ascii", "replace")
    last = b"\n"
    for piece in _at_lines(_TO_QUOTE, b">", with_lf(pieces)):
        last = piece[-1:] or last
        yield piece
    yield b"\n" if last == b"\n" else b"\n\n"
