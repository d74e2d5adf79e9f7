"""What FETCH asks of messages, and how it is answered from what was found out at arrival.

Source: RFC 9051 sections 6.4.5 and 7.5.2, RFC 3501 section 6.4.5 (RFC822 and its
parts), RFC 7162 (MODSEQ), 8474 (EMAILID, THREADID), 8514 (SAVEDATE), 8970 (PREVIEW).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import attrs

from mailplat.mail.encodings import decoded, is_known
from mailplat.mail.entity import read_entity
from mailplat.mail.errors import TooLarge, Unsupported
from mailplat.mail.header import Header, body_begins
from mailplat.mail.imapwords import astring, quoted
from mailplat.mail.layout import Layout, Range
from mailplat.mail.mailbox import Batch, MailboxIndex, Wanted
from mailplat.mail.summary import Facts, Words
from mailplat.wire.imap.cursor import Cursor
from mailplat.wire.imap.writer import date_time, flag_list, literal

MOST_ITEMS = 1000  # of one FETCH
DEEPEST_PART = 100  # numbers of one section

_INDEX = frozenset({b"UID", b"FLAGS", b"MODSEQ"})
_RECORD = frozenset({b"INTERNALDATE", b"RFC822.SIZE", b"EMAILID", b"THREADID", b"SAVEDATE"})
_SUMMARY = frozenset({b"ENVELOPE", b"BODY", b"BODYSTRUCTURE", b"PREVIEW"})
_FAST = (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE")
_MACROS: dict[bytes, tuple[bytes, ...]] = {
    b"FAST": _FAST,
    b"ALL": (*_FAST, b"ENVELOPE"),
    b"FULL": (*_FAST, b"ENVELOPE", b"BODY"),
}
_NUMBERS = frozenset({b"UID", b"RFC822.SIZE"})


class UnknownEncoding(Unsupported):
    """A part whose transfer encoding nobody here can undo (RFC 9051 section 7.1, UNKNOWN-CTE)."""


@attrs.frozen
class Section:
    """Some octets of a message, by the name under which they are answered.

    ``numbers`` are those of a part, ``text`` is HEADER, TEXT, MIME or nothing;
    ``fields`` are the names of header fields in lower case, those that are meant or,
    ``excluded``, those that are not.  Of a partial one ``length`` octets from ``start``
    on are asked for.  A ``binary`` one is without its transfer encoding.
    """

    name: bytes
    numbers: tuple[int, ...] = ()
    text: str = ""
    fields: frozenset[bytes] | None = None
    excluded: bool = False
    start: int = 0
    length: int | None = None
    binary: bool = False
    is_size: bool = False

    def lies(self, layout: Layout) -> Range | None:
        """Return where the section lies, before any of its octets are left out."""
        return layout.octets(self.numbers, self.text)

    def lies_in(self, octets: bytes) -> Range:
        """Return the same for one of no part, in a message that is at hand as a whole."""
        if not self.text:
            return Range(0, len(octets))
        body = body_begins(octets)
        return Range(0, body) if self.text == "HEADER" else Range(body, len(octets))

    def part_of(self, size: int) -> Range:
        """Return what of so many octets is asked for."""
        if self.length is None:
            return Range(0, size)
        start = min(self.start, size)
        return Range(start, min(start + self.length, size))

    @property
    def is_plain(self) -> bool:
        """Whether it is octets of the message as they are."""
        return self.fields is None and not self.binary


Item: TypeAlias = bytes | Section


@attrs.frozen
class Fetch:
    """What is asked of each message, in the order of the answer."""

    items: tuple[Item, ...]
    marks_seen: bool = False

    @property
    def sections(self) -> list[Section]:
        """The parts of messages that are asked for."""
        return [item for item in self.items if isinstance(item, Section)]

    @property
    def is_indexed(self) -> bool:
        """Whether the index knows it all."""
        return all(item in _INDEX for item in self.items)

    @property
    def wanted(self) -> Wanted:
        """What must be fetched of a mailbox's records."""
        wanted = Wanted.NOTHING
        if self.sections:
            wanted |= Wanted.CONTENT
        if self.needs_layout:
            wanted |= Wanted.SUMMARY
        if any(item in _SUMMARY for item in self.items):
            wanted |= Wanted.SUMMARY
        return wanted

    @property
    def needs_layout(self) -> bool:
        """Whether it must be known where the parts of a message lie."""
        return any(section.numbers for section in self.sections)

    def having(self, *names: bytes) -> Fetch:
        """Return the same with these items, in front where they are not there yet."""
        more = tuple(name for name in names if name not in self.items)
        return attrs.evolve(self, items=(*more, *self.items)) if more else self


# Reading -----------------------------------------------------------------------


def read_fetch(cursor: Cursor) -> Fetch:
    """Read what a FETCH asks for: a macro, an item, or items in parentheses."""
    items: dict[Item, None] = {}
    marks_seen = False
    if not cursor.sees(b"("):
        for macro, names in _MACROS.items():
            if cursor.skip_word(macro):
                return Fetch(names)
        item, marks_seen = _item(cursor)
        return Fetch((item,), marks_seen)
    for _ in cursor.list_items():
        item, marks = _item(cursor)
        items[item] = None
        marks_seen = marks_seen or marks
        if len(items) > MOST_ITEMS:
            raise TooLarge("a FETCH", public=f"over {MOST_ITEMS} items")
    if not items:
        raise cursor.wrong("something to fetch")
    return Fetch(tuple(items), marks_seen)


def _item(cursor: Cursor) -> tuple[Item, bool]:
    """Read one item, and say whether who fetches it has seen the message."""
    for name, peek in ((b"BODY.PEEK[", True), (b"BODY[", False)):
        if cursor.skip_word(name):
            return _section(cursor), not peek
    for name, peek in (
        (b"BINARY.SIZE[", True),
        (b"BINARY.PEEK[", True),
        (b"BINARY[", False),
    ):
        if cursor.skip_word(name):
            return _binary(cursor, is_size=name == b"BINARY.SIZE["), not peek
    start = cursor.at
    word = cursor.word("something to fetch")
    if word in _OLD:
        return _OLD[word]
    if word not in _INDEX | _RECORD | _SUMMARY:
        cursor.at = start
        raise cursor.wrong("something to fetch")
    if word == b"PREVIEW" and cursor.sees(b" ("):
        cursor.space()
        for _ in cursor.list_items():
            if cursor.word() != b"LAZY":
                raise cursor.wrong("LAZY")
    return word, False


_OLD: dict[bytes, tuple[Section, bool]] = {
    b"RFC822": (Section(b"RFC822"), True),
    b"RFC822.HEADER": (Section(b"RFC822.HEADER", text="HEADER"), False),
    b"RFC822.TEXT": (Section(b"RFC822.TEXT", text="TEXT"), True),
}


def _part(cursor: Cursor) -> list[int]:
    """Read the numbers of a part, and the dot behind them if a word follows."""
    numbers: list[int] = []
    while cursor.sees_digit:
        numbers.append(cursor.nz_number())
        if len(numbers) > DEEPEST_PART:
            raise TooLarge("a section", public=f"over {DEEPEST_PART} numbers in a section")
        if not cursor.skip(b"."):
            break
    return numbers


def _section(cursor: Cursor) -> Section:
    numbers = _part(cursor)
    text, fields, excluded, words = "", None, False, b""
    names = [b"HEADER.FIELDS.NOT", b"HEADER.FIELDS", b"HEADER", b"TEXT"]
    if numbers:
        names.append(b"MIME")
    has_dot = bool(numbers) and cursor.is_behind(b".")
    if not cursor.sees(b"]") or has_dot:
        found = next((name for name in names if cursor.skip_word(name)), None)
        if found is None or (numbers and not has_dot):
            raise cursor.wrong("a section of a message")
        text, words = found.partition(b".")[0].decode("ascii"), found
        if found.startswith(b"HEADER.FIELDS"):
            cursor.space()
            asked = [cursor.astring("the name of a field") for _ in cursor.list_items()]
            if not asked:
                raise cursor.wrong("the name of a field")
            fields, excluded = frozenset(map(bytes.lower, asked)), found.endswith(b"NOT")
            words += b" (" + b" ".join(map(astring, asked)) + b")"
    cursor.expect(b"]")
    spelt = b".".join([*(b"%d" % number for number in numbers), *([words] if words else [])])
    start, length, origin = _partial(cursor)
    name = b"BODY[%b]%b" % (spelt, origin)
    return Section(name, tuple(numbers), text, fields, excluded, start, length)


def _binary(cursor: Cursor, *, is_size: bool) -> Section:
    numbers = _part(cursor)
    if numbers and cursor.is_behind(b"."):
        raise cursor.wrong("the number of a part")
    cursor.expect(b"]")
    spelt = b".".join(b"%d" % number for number in numbers)
    if is_size:
        name = b"BINARY.SIZE[%b]" % spelt
        return Section(name, tuple(numbers), binary=True, is_size=True)
    start, length, origin = _partial(cursor)
    name = b"BINARY[%b]%b" % (spelt, origin)
    return Section(name, tuple(numbers), start=start, length=length, binary=True)


def _partial(cursor: Cursor) -> tuple[int, int | None, bytes]:
    """Read which octets of a section are asked for, and how the answer says so."""
    if not cursor.skip(b"<"):
        return 0, None, b""
    start = cursor.number64()
    cursor.expect(b".")
    length = cursor.number64()
    if not length:
        raise cursor.wrong("a number above zero")
    cursor.expect(b">")
    return start, length, b"<%d>" % start


# Writing -----------------------------------------------------------------------


class Lines:
    """Writes the answers of one FETCH, for as many messages at once as there are.

    ``index`` is that by which flags and mod-sequences are told.
    """

    def __init__(self, fetch: Fetch, index: MailboxIndex) -> None:
        self._fetch = fetch
        self._index = index
        self._flags = [flag_list(flags) for flags in index.flag_sets]
        self._line = b"* %%d FETCH (%b)\r\n" % b" ".join(map(_template, fetch.items))

    def of_index(self, numbers: Sequence[int], places: Sequence[int]) -> bytes:
        """Return the lines of messages of which the index knows all that is asked."""
        columns = [self._indexed(item, places) for item in self._fetch.items]
        return self._joined(numbers, columns)

    def of_batch(
        self,
        numbers: Sequence[int],
        places: Sequence[int],
        batch: Batch,
        facts: Sequence[Facts | Words],
        contents: Sequence[bytes],
    ) -> bytes:
        """Return the lines of messages that are at hand.

        ``facts`` and ``contents`` are there if they are wanted.
        """
        columns = [
            _values(item, contents, facts)
            if isinstance(item, Section)
            else self._indexed(item, places)
            if item in _INDEX
            else column(item, batch, facts)
            for item in self._fetch.items
        ]
        return self._joined(numbers, columns)

    def word(self, item: bytes, place: int, batch: Batch, facts: Facts) -> bytes:
        """Return what is said of one item of a batch of one message."""
        facts_of_one = (facts,)
        found = (
            self._indexed(item, (place,))
            if item in _INDEX
            else column(item, batch, facts_of_one)
        )
        return _template(item) % found[0]

    def _joined(self, numbers: Sequence[int], columns: Sequence[Sequence[object]]) -> bytes:
        line = self._line
        return b"".join([line % row for row in zip(numbers, *columns, strict=True)])

    def _indexed(self, item: Item, places: Sequence[int]) -> Sequence[object]:
        index = self._index
        if item == b"UID":
            return [index.uids[at] for at in places]
        if item == b"FLAGS":
            flags, words = index.flags, self._flags
            return [words[flags[at]] for at in places]
        return [b"(%d)" % index.modseqs[at] for at in places]


def _template(item: Item) -> bytes:
    name = item.name if isinstance(item, Section) else item
    return name.replace(b"%", b"%%") + (b" %d" if item in _NUMBERS else b" %b")


def _values(
    section: Section, contents: Sequence[bytes], facts: Sequence[Facts | Words]
) -> list[bytes]:
    if not section.numbers:
        return [section_value(section, octets, None) for octets in contents]
    return [
        section_value(section, octets, one)
        for octets, one in zip(contents, facts, strict=True)
        if isinstance(one, Facts)  # as they are where parts are asked for
    ]


def column(item: bytes, batch: Batch, facts: Sequence[Facts | Words]) -> Sequence[object]:
    """Return what a batch of messages has for an item, in IMAP's words."""
    match item:
        case b"RFC822.SIZE":
            return batch.sizes
        case b"INTERNALDATE":
            return [date_time(moment) for moment in batch.received]
        case b"SAVEDATE":
            return [date_time(moment) for moment in batch.saved]
        case b"EMAILID":
            return [b"(%b)" % one.encode() for one in batch.email_ids]
        case b"THREADID":
            return [b"(%b)" % one.encode() for one in batch.thread_ids]
        case b"ENVELOPE":
            return [one.envelope for one in facts]
        case b"BODY":
            return [one.description for one in facts]
        case b"BODYSTRUCTURE":
            return [one.bodystructure for one in facts]
        case b"PREVIEW":
            return [quoted(one.preview) for one in facts if isinstance(one, Facts)]
        case _:
            raise TypeError(f"no item of FETCH: {item!r}")


def section_value(section: Section, octets: bytes, facts: Facts | None) -> bytes:
    """Return a section of a message that is at hand as a whole.

    Of one without numbers no ``facts`` are needed.  Raises `UnknownEncoding`.
    """
    lies = section.lies(facts.layout) if facts else section.lies_in(octets)
    if lies is None:
        return b"0" if section.is_size else b"NIL"
    found = octets[lies.start : lies.stop]
    if section.binary and facts:
        header = facts.layout.octets(section.numbers, "MIME")
        found = without_encoding(section, found, octets[slice(*header)] if header else b"")
    if section.is_size:
        return b"%d" % len(found)
    return value(section, picked(section, found))


def picked(section: Section, octets: bytes) -> bytes:
    """Return a header with the fields that are asked for, and its empty line."""
    if section.fields is None:
        return octets
    return Header.of_block(octets).picked(section.fields, section.excluded) + b"\r\n"


def value(section: Section, octets: bytes) -> bytes:
    """Return what is asked for of a section's octets, as a literal."""
    if section.length is not None:
        octets = octets[section.start : section.start + section.length]
    is_binary = section.binary and b"\0" in octets
    return b"~" + literal(octets) if is_binary else literal(octets)


def without_encoding(section: Section, octets: bytes, header: bytes) -> bytes:
    """Return a part's octets without its transfer encoding; all of a message has none."""
    encoding = encoding_of(section, header)
    return decoded(octets, encoding) if encoding else octets


def encoding_of(section: Section, header: bytes) -> bytes:
    """Return the transfer encoding of a part that has this header; raises `UnknownEncoding`."""
    if not section.numbers:
        return b""
    encoding = read_entity(header).encoding
    if not is_known(encoding):
        raise UnknownEncoding(f"{encoding[:40]!r} in part {section.name!r}")
    return encoding
