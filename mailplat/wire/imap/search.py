"""Search keys, read into queries without recursion (RFC 9051 section 6.4.4).

Also those of RFC 5032 (WITHIN), 7162 (MODSEQ), 8474 (EMAILID, THREADID) and 8514
(SAVEDATE).  What is said of \\Recent is read as of a mailbox where nothing is: no
session here is the first to see a message.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import attrs

from mailplat.mail.charsets import charset_of
from mailplat.mail.errors import BadParameter, TooLarge
from mailplat.mail.mailbox import (
    ANSWERED,
    DELETED,
    DRAFT,
    FLAGGED,
    SEEN,
    ModSeq,
    UidSet,
)
from mailplat.mail.query import (
    Aged,
    Among,
    And,
    Changed,
    Clock,
    Containing,
    Dated,
    Everything,
    Field,
    Flagged,
    Identified,
    Not,
    Or,
    Query,
    Sized,
    WithField,
)
from mailplat.wire.imap.cursor import DEEPEST, Cursor
from mailplat.wire.imap.numbers import Numbers

MOST_KEYS = 1000
NOTHING = Among(UidSet())

Resolve = Callable[[Numbers, bool], UidSet]
"""Finds the messages that are meant by numbers, or by UIDs where the second is true."""


class BadCharset(BadParameter):
    """A search in a charset that nobody here reads (RFC 9051 section 7.1)."""

    code = b"BADCHARSET (UTF-8 US-ASCII)"


@attrs.define
class Reading:
    """How keys are to be read: by which charset, when, and by whose numbers.

    ``now`` is in seconds since 1970.  ``uses_modseq`` says afterwards whether one of
    the keys was about mod-sequences, whose answers bear one.
    """

    resolve: Resolve
    now: float
    charset: str = "utf-8"
    uses_modseq: bool = False

    def use(self, label: bytes) -> None:
        """Read strings in the charset of this label; raises `BadCharset`."""
        codec = charset_of(label.decode("utf-8", "replace"))
        if not codec:
            raise BadCharset(f"{label[:40]!r}")
        self.charset = "utf-8" if codec == "us-ascii" else codec

    def words(self, cursor: Cursor) -> str:
        """Read a string to look for."""
        start, octets = cursor.at, cursor.astring("words to look for")
        try:
            return octets.decode(self.charset)
        except ValueError:
            cursor.at = start
            raise cursor.wrong(f"words in {self.charset}") from None


@attrs.define
class _Open:
    """A key that is not yet complete, and those inside of it."""

    kind: bytes  # ( or NOT or OR, empty for the outermost
    inside: list[Query] = attrs.field(factory=list)

    def completed(self, cursor: Cursor) -> Query | None:
        """Return the key if it is complete, else read what stands before the next one in it."""
        if self.kind == b"NOT":
            return Not(self.inside[0])
        if self.kind == b"OR" and len(self.inside) == 2:
            return Or(self.inside)
        if self.kind == b"(" and cursor.skip(b")"):
            return And(self.inside)
        if not self.kind and cursor.is_at_end:
            return And(self.inside)
        cursor.space()
        return None


def read_keys(cursor: Cursor, reading: Reading) -> Query:
    """Read search keys up to the end of the command."""
    stack = [_Open(b"")]
    for _ in range(MOST_KEYS):
        key = _opening(cursor)
        if key:
            stack.append(_Open(key))
            if len(stack) > DEEPEST:
                raise TooLarge("a search", public=f"over {DEEPEST} keys inside of one another")
            continue
        query: Query | None = _leaf(cursor, reading)
        while query is not None:
            around = stack[-1]
            around.inside.append(query)
            query = around.completed(cursor)
            if query is not None:
                stack.pop()
                if not stack:
                    return query
    raise TooLarge("a search", public=f"over {MOST_KEYS} keys")


def _opening(cursor: Cursor) -> bytes:
    """Read what begins a key with others inside, if such a one is next."""
    if cursor.skip(b"("):
        return b"("
    for word in (b"NOT", b"OR"):
        if cursor.skip_word(word + b" "):
            return word
    return b""


def _leaf(cursor: Cursor, reading: Reading) -> Query:
    if cursor.sees(b"$") or cursor.sees(b"*") or cursor.sees_digit:
        return Among(reading.resolve(cursor.numbers(), False))
    start = cursor.at
    name = cursor.word("a search key")
    read = _KEYS.get(name)
    if read is None:
        cursor.at = start
        raise cursor.wrong("a search key")
    if not isinstance(read, _With):
        return read
    cursor.space()
    return read.read(cursor, reading)


@attrs.frozen
class _With:
    """A key that has an argument."""

    read: Callable[[Cursor, Reading], Query]


def _containing(field: Field) -> _With:
    return _With(lambda cursor, reading: Containing(field, reading.words(cursor)))


def _dated(clock: Clock, which: bytes) -> _With:
    def read(cursor: Cursor, _: Reading) -> Query:
        day = cursor.date()
        try:
            next_day = day + timedelta(days=1)
        except OverflowError:
            next_day = None
        start = None if which == b"BEFORE" else day
        stop = {b"BEFORE": day, b"ON": next_day}.get(which)
        return Dated(clock, start, stop)

    return _With(read)


def _aged(is_older: bool) -> _With:
    def read(cursor: Cursor, reading: Reading) -> Query:
        return Aged(reading.now - cursor.nz_number(), is_older)

    return _With(read)


def _keyword(cursor: Cursor, _: Reading) -> Query:
    return Flagged(cursor.atom("a keyword").decode("ascii"))


def _without_keyword(cursor: Cursor, reading: Reading) -> Query:
    return Not(_keyword(cursor, reading))


def _header(cursor: Cursor, reading: Reading) -> Query:
    name = cursor.astring("the name of a field")
    cursor.space()
    return WithField(name.decode("utf-8", "replace"), reading.words(cursor))


def _uid(cursor: Cursor, reading: Reading) -> Query:
    return Among(reading.resolve(cursor.numbers(), True))


def _modseq(cursor: Cursor, reading: Reading) -> Query:
    if cursor.sees(b'"'):
        cursor.quoted()  # one mod-sequence counts for all flags (RFC 7162 section 3.1.5)
        cursor.space()
        cursor.word("priv, shared or all")
        cursor.space()
    reading.uses_modseq = True
    return Changed(ModSeq(cursor.number64()))


def _identity(is_thread: bool) -> _With:
    return _With(
        lambda cursor, _: Identified(
            cursor.astring("an identity").decode("utf-8", "replace"), is_thread
        )
    )


_FLAGS = {
    b"ANSWERED": ANSWERED,
    b"DELETED": DELETED,
    b"DRAFT": DRAFT,
    b"FLAGGED": FLAGGED,
    b"SEEN": SEEN,
}
_CLOCKS = {b"": Clock.RECEIVED, b"SENT": Clock.SENT, b"SAVED": Clock.SAVED}
_KEYS: dict[bytes, Query | _With] = {
    b"ALL": Everything(),
    b"NEW": NOTHING,
    b"OLD": Everything(),
    b"RECENT": NOTHING,
    b"SAVEDATESUPPORTED": Everything(),
    **{name: Flagged(flag) for name, flag in _FLAGS.items()},
    **{b"UN" + name: Not(Flagged(flag)) for name, flag in _FLAGS.items()},
    b"KEYWORD": _With(_keyword),
    b"UNKEYWORD": _With(_without_keyword),
    **{field.name.encode(): _containing(field) for field in Field},
    b"HEADER": _With(_header),
    **{
        prefix + which: _dated(clock, which)
        for prefix, clock in _CLOCKS.items()
        for which in (b"BEFORE", b"ON", b"SINCE")
    },
    b"OLDER": _aged(True),
    b"YOUNGER": _aged(False),
    b"LARGER": _With(lambda cursor, _: Sized(above=cursor.number64())),
    b"SMALLER": _With(lambda cursor, _: Sized(below=cursor.number64())),
    b"UID": _With(_uid),
    b"MODSEQ": _With(_modseq),
    b"EMAILID": _identity(False),
    b"THREADID": _identity(True),
}
