"""Reads the words of IMAP's grammar from the octets of one command, without recursion.

What stands here is common to RFC 3501 section 9 and RFC 9051 section 9; where
they differ, both are read.  A `Cursor` never looks back: each word is one match of
a pattern that can't backtrack.  What breaks the grammar raises `BadSyntax` with
words for the client that say what was expected, and at which octet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone

from mailplat.mail.errors import BadSyntax, TooLarge
from mailplat.mail.mailbox import LAST_UID
from mailplat.wire.imap.numbers import Numbers

CONTENT = b"\0"
"""What stands in a command for a content that was streamed; no line may have a NUL."""

DEEPEST = 100  # parentheses inside of one another
MOST_INTERVALS = 8192  # of one set of numbers
LONGEST_TAG = 128  # octets

_TAG = re.compile(rb"[!#$&',-\[\]-z|}~.-]++")  # no plus: that begins a continuation
_ATOM = re.compile(rb"[!#$&'+-\[^-z|}~]++")
_ASTRING = re.compile(rb"[!#$&'+-\[\]-z|}~]++")
_LIST = re.compile(rb"[!#-'*-\[\]-z|}~\x80-\xff]++")  # list-char, with UTF-8
_FLAG = re.compile(rb"\\?+[!#$&'+-\[^-z|}~]++|\\\*")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\0]|\\["\\])*+)"')
_ESCAPED = re.compile(rb"\\(.)")
_LITERAL = re.compile(rb"(~?+)\{([0-9]{1,19}+)\+?+\}\r\n")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]++={0,2}+|=")
_NUMBER = re.compile(rb"[0-9]{1,20}+")
_SET = re.compile(rb"[0-9:*,]++")
_INTERVAL = re.compile(rb"(\*|[1-9][0-9]{0,9}+)(?::(\*|[1-9][0-9]{0,9}+))?+")
_DATE = re.compile(rb'("?+)([0-9]{1,2}+)-([A-Za-z]{3})-([0-9]{4})("?+)')
_DATE_TIME = re.compile(
    rb'"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) ([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)'
    rb' ([+-])([0-9]{2})([0-5][0-9])"'
)
_MONTHS = (
    b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV",
    b"DEC",
)  # fmt: skip


class Cursor:
    """A place in a command's octets, which moves on as words are read.

    ``at`` is the place.  Literals stand there as they came, their announcement
    before them, and may hold anything.
    """

    __slots__ = ("_depth", "_octets", "at")

    def __init__(self, octets: bytes, at: int = 0) -> None:
        self._octets = octets
        self._depth = 0
        self.at = at

    # Marks.

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left to read."""
        return self.at >= len(self._octets)

    def end(self) -> None:
        """Insist that nothing is left."""
        if not self.is_at_end:
            raise self.wrong("the end of the command")

    def space(self) -> None:
        """Read one space."""
        self.expect(b" ", "a space")

    def expect(self, mark: bytes, name: str = "") -> None:
        """Read this mark and no other; ``name`` is what it is called."""
        if not self.skip(mark):
            raise self.wrong(name or repr(mark.decode()))

    def sees(self, mark: bytes) -> bool:
        """Say whether this mark is next, in this very case, and leave it there."""
        return self._octets.startswith(mark, self.at)

    def is_behind(self, mark: bytes) -> bool:
        """Say whether this mark was read last."""
        return self._octets.startswith(mark, self.at - len(mark))

    @property
    def sees_digit(self) -> bool:
        """Whether a digit is next."""
        return self._octets[self.at : self.at + 1].isdigit()

    def skip(self, mark: bytes) -> bool:
        """Read this mark if it is next, and say whether it was."""
        if not self._octets.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def skip_word(self, word: bytes) -> bool:
        """Read these octets whatever their case, if they are next; ``word`` is in capitals."""
        if self._octets[self.at : self.at + len(word)].upper() != word:
            return False
        self.at += len(word)
        return True

    def open(self) -> None:
        """Read an opening parenthesis."""
        self.expect(b"(")
        self._depth += 1
        if self._depth > DEEPEST:
            raise TooLarge("parentheses", public=f"over {DEEPEST} parentheses deep")

    def close(self) -> None:
        """Read a closing parenthesis."""
        self.expect(b")")
        self._depth -= 1

    def list_items(self) -> Iterator[None]:
        """Read a list in parentheses, which may be empty; yield where an item is to be read."""
        self.open()
        if not self.sees(b")"):
            yield
            while self.skip(b" "):
                yield
        self.close()

    def wrong(self, expected: str) -> BadSyntax:
        """Return the error of something else than ``expected`` being here."""
        found = self._octets[self.at : self.at + 40]
        where = f"expected {expected} at octet {self.at + 1}"
        return BadSyntax(f"{where}, not {found!r}", public=where)

    # Words.

    def _take(self, pattern: re.Pattern[bytes], name: str) -> bytes:
        found = pattern.match(self._octets, self.at)
        if found is None:
            raise self.wrong(name)
        self.at = found.end()
        return found[0]

    def tag(self) -> bytes:
        """Read a command's tag."""
        tag = self._take(_TAG, "a tag")
        if len(tag) > LONGEST_TAG:
            raise TooLarge(f"{len(tag)} octets", public="the tag is too long")
        return tag

    def atom(self, name: str = "an atom") -> bytes:
        """Read an atom as it is written; ``name`` is what it is for."""
        return self._take(_ATOM, name)

    def word(self, name: str = "a word") -> bytes:
        """Read an atom that is the name of something, in capitals."""
        return self._take(_ATOM, name).upper()

    def base64(self) -> bytes:
        """Read octets in base64 as they are written, or ``=`` for none."""
        return self._take(_BASE64, "base64")

    def number(self, largest: int = LAST_UID) -> int:
        """Read a number, by default of 32 bits."""
        start = self.at
        number = int(self._take(_NUMBER, "a number"))
        if number > largest:
            self.at = start
            raise self.wrong(f"a number up to {largest}")
        return number

    def number64(self) -> int:
        """Read a number of 63 bits, such as a size or a mod-sequence."""
        return self.number(2**63 - 1)

    def nz_number(self) -> int:
        """Read a number of 32 bits that is not zero."""
        start, number = self.at, self.number()
        if not number:
            self.at = start
            raise self.wrong("a number above zero")
        return number

    def quoted(self) -> bytes:
        """Read a quoted string."""
        found = _QUOTED.match(self._octets, self.at)
        if found is None:
            raise self.wrong("a quoted string")
        self.at = found.end()
        octets = found[1]
        return _ESCAPED.sub(rb"\1", octets) if b"\\" in octets else octets

    def literal(self, binary: bool = False) -> bytes:
        """Read a literal; only a ``literal8`` may have NULs, and only where it is ``binary``."""
        found = _LITERAL.match(self._octets, self.at)
        if found is None or (found[1] and not binary):
            raise self.wrong("a literal")
        stop = found.end() + int(found[2])
        octets = self._octets[found.end() : stop]
        if stop > len(self._octets) or (b"\0" in octets and not found[1]):
            raise self.wrong("a literal without a NUL")
        self.at = stop
        return octets

    def string(self, name: str = "a string") -> bytes:
        """Read a quoted string or a literal."""
        if self.sees(b'"'):
            return self.quoted()
        if self.sees(b"{"):
            return self.literal()
        raise self.wrong(name)

    def nstring(self) -> bytes | None:
        """Read a string, or NIL as None."""
        return None if self.skip_word(b"NIL") else self.string("a string or NIL")

    def astring(self, name: str = "a word or string") -> bytes:
        """Read an atom or a string; ``name`` is what it is for."""
        found = _ASTRING.match(self._octets, self.at)
        if found is None:
            return self.string(name)
        self.at = found.end()
        return found[0]

    def list_mailbox(self) -> bytes:
        """Read a pattern of mailbox names."""
        found = _LIST.match(self._octets, self.at)
        if found is None:
            return self.string("a pattern of mailbox names")
        self.at = found.end()
        return found[0]

    def content(self) -> None:
        """Read what stands for a content that was streamed."""
        self.expect(CONTENT, "a literal")

    # What messages have.

    def flag(self) -> str:
        """Read a flag or keyword."""
        return self._take(_FLAG, "a flag").decode("ascii")

    def flag_list(self) -> frozenset[str]:
        """Read flags in parentheses."""
        return frozenset([self.flag() for _ in self.list_items()])

    def numbers(self) -> Numbers:
        """Read a set of message numbers or UIDs, or ``$`` for what a search has saved."""
        if self.skip(b"$"):
            return Numbers(is_saved=True)
        start = self.at
        words = self._take(_SET, "a set of numbers").split(b",", MOST_INTERVALS)
        if len(words) > MOST_INTERVALS:
            raise TooLarge("a set of numbers", public=f"over {MOST_INTERVALS} intervals")
        intervals: list[tuple[int, int]] = []
        for word in words:
            found = _INTERVAL.fullmatch(word)
            if found is None or len(word) > 21:
                self.at = start
                raise self.wrong("a set of numbers")
            first, last = found[1], found[2] or found[1]
            intervals.append((_bound(first), _bound(last)))
        if any(last > LAST_UID for pair in intervals for last in pair):
            self.at = start
            raise self.wrong("numbers of 32 bits")
        return Numbers(tuple(intervals))

    def date(self) -> date:
        """Read a date, in quotes or not."""
        start = self.at
        found = _DATE.match(self._octets, self.at)
        if found and found[1] == found[5]:
            self.at = found.end()
            try:
                return date(int(found[4]), _month(found[3]), int(found[2]))
            except ValueError:
                self.at = start
        raise self.wrong("a date such as 1-Feb-2026")

    def date_time(self) -> datetime:
        """Read a date with time and zone."""
        found = _DATE_TIME.match(self._octets, self.at)
        if found:
            try:
                moment = _moment(found)
            except (ValueError, OverflowError):
                raise self.wrong("a date and time that there is") from None
            self.at = found.end()
            return moment
        raise self.wrong('a date and time such as " 1-Feb-2026 12:00:00 +0000"')


def _bound(word: bytes) -> int:
    return 0 if word == b"*" else int(word)


def _month(name: bytes) -> int:
    return _MONTHS.index(name.upper()) + 1


def _moment(found: re.Match[bytes]) -> datetime:
    day, month, year, hour, minute, second, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    zone = timezone(-offset if sign == b"-" else offset)
    moment = datetime(
        int(year), _month(month), int(day), int(hour), int(minute), min(int(second), 59),
        tzinfo=zone,
    )  # fmt: skip
    return moment.astimezone(UTC)
