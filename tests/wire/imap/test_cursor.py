"""IMAP's words are read as the grammar has them, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.errors import BadSyntax, MailError
from mailplat.mail.mailbox import UidSet
from mailplat.wire.imap.cursor import DEEPEST, MOST_INTERVALS, Cursor
from mailplat.wire.imap.numbers import Numbers


@pytest.mark.parametrize(
    ("read", "octets", "value"),
    [
        (Cursor.tag, b"a1 ", b"a1"),
        (Cursor.tag, b"a]. ", b"a]."),
        (Cursor.atom, b"x-a[1) ", b"x-a[1"),
        (Cursor.word, b"select ", b"SELECT"),
        (Cursor.number, b"4294967295", 4294967295),
        (Cursor.number64, b"9223372036854775807", 2**63 - 1),
        (Cursor.nz_number, b"7", 7),
        (Cursor.quoted, rb'"a\"b\\c"', rb"a\"b\c".replace(rb"\"", b'"')),
        (Cursor.quoted, b'"\xc3\xa4"', b"\xc3\xa4"),
        (Cursor.quoted, b'""', b""),
        (Cursor.literal, b"{5}\r\na\r\n)x", b"a\r\n)x"),
        (Cursor.literal, b"{2+}\r\n{}", b"{}"),
        (Cursor.literal, b"{0}\r\n", b""),
        (Cursor.astring, b"a]b ", b"a]b"),
        (Cursor.astring, b'"a b"', b"a b"),
        (Cursor.astring, b"{1}\r\n ", b" "),
        (Cursor.list_mailbox, b"a%*\xc3\xa4 ", b"a%*\xc3\xa4"),
        (Cursor.nstring, b"nil", None),
        (Cursor.nstring, b'"nil"', b"nil"),
        (Cursor.flag, rb"\Seen", "\\Seen"),
        (Cursor.flag, rb"\*", "\\*"),
        (Cursor.flag, b"$Forwarded", "$Forwarded"),
        (Cursor.flag_list, b"()", frozenset()),
        (Cursor.flag_list, rb"(\Seen x)", frozenset({"\\Seen", "x"})),
        (Cursor.date, b"1-Feb-2026", date(2026, 2, 1)),
        (Cursor.date, b'"01-FEB-2026"', date(2026, 2, 1)),
        (
            Cursor.date_time,
            b'" 1-Feb-2026 12:00:00 +0130"',
            datetime(2026, 2, 1, 10, 30, tzinfo=UTC),
        ),
        (Cursor.numbers, b"$", Numbers(is_saved=True)),
        (Cursor.numbers, b"1,3:5,*,7:*", Numbers(((1, 1), (3, 5), (0, 0), (7, 0)))),
    ],
)
def test_what_is_read(read: Callable[[Cursor], object], octets: bytes, value: object) -> None:
    assert read(Cursor(octets)) == value


@pytest.mark.parametrize(
    ("read", "octets"),
    [
        (Cursor.tag, b"+"),
        (Cursor.tag, b"a" * 129),
        (Cursor.atom, b"]"),
        (Cursor.atom, b"\xc3"),
        (Cursor.number, b"4294967296"),
        (Cursor.number, b"-1"),
        (Cursor.number, b"9" * 60000),
        (Cursor.nz_number, b"0"),
        (Cursor.quoted, b'"a'),
        (Cursor.quoted, rb'"a\b"'),
        (Cursor.quoted, b'"a\rb"'),
        (Cursor.literal, b"{5}\r\nabc"),
        (Cursor.literal, b"{3}\r\na\0b"),
        (Cursor.literal, b"~{3}\r\nabc"),
        (Cursor.literal, b"{99999999999999999999}\r\n"),
        (Cursor.flag, rb"\\Seen"),
        (Cursor.flag_list, b"(a  b)"),
        (Cursor.flag_list, b"(a"),
        (Cursor.flag_list, b"( a)"),
        (Cursor.date, b"30-Feb-2026"),
        (Cursor.date, b'"1-Feb-2026'),
        (Cursor.date, b"1-Foo-2026"),
        (Cursor.date_time, b'"01-Jan-0001 00:00:00 +2300"'),
        (Cursor.date_time, b'"1-Feb-2026 12:00:00 +0000"'),
        (Cursor.date_time, b'"01-Feb-2026 12:00:00 +9900"'),
        (Cursor.numbers, b"0"),
        (Cursor.numbers, b"1,"),
        (Cursor.numbers, b"1:2:3"),
        (Cursor.numbers, b"01"),
        (Cursor.numbers, b"4294967296"),
        (Cursor.numbers, b"1:9999999999"),
        (Cursor.numbers, b",".join([b"1"] * (MOST_INTERVALS + 1))),
    ],
)
def test_what_is_refused(read: Callable[[Cursor], object], octets: bytes) -> None:
    cursor = Cursor(octets)
    with pytest.raises(MailError) as refused:
        read(cursor)
    assert refused.value.public


def test_an_error_says_where_and_what() -> None:
    cursor = Cursor(b"abc(")
    cursor.atom()
    with pytest.raises(BadSyntax) as refused:
        cursor.space()
    assert refused.value.public == "expected a space at octet 4"


def test_a_literal_with_nuls_is_binary() -> None:
    assert Cursor(b"~{3}\r\na\0b").literal(binary=True) == b"a\0b"


def test_as_many_intervals_as_may_be() -> None:
    numbers = Cursor(b",".join([b"1:4294967295"] * MOST_INTERVALS)).numbers()
    assert numbers.up_to(10) == UidSet(((1, 2**32 - 1),))


def test_a_set_and_the_largest_number() -> None:
    numbers = Cursor(b"5:*,2").numbers()
    assert numbers.up_to(9) == UidSet(((2, 2), (5, 9)))
    assert numbers.up_to(3) == UidSet(((2, 5),))
    assert numbers.up_to(0) == UidSet.of(2)


def test_parentheses_have_a_limit() -> None:
    cursor = Cursor(b"(" * 1000)
    for _ in range(DEEPEST):
        cursor.open()
    with pytest.raises(MailError, match="parentheses"):
        cursor.open()


@given(st.binary(max_size=60))
def test_arbitrary_octets_are_read_or_refused(octets: bytes) -> None:
    for name in (
        *("tag", "atom", "number", "nz_number", "quoted", "literal", "string", "nstring"),
        *("astring", "list_mailbox", "flag", "flag_list", "numbers", "date", "date_time"),
    ):
        cursor = Cursor(octets)
        try:
            getattr(cursor, name)()
        except MailError:
            continue
        assert 0 < cursor.at <= len(octets)
