"""Search keys become queries, and nothing else does."""

from __future__ import annotations

from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.errors import BadSyntax, MailError, TooLarge
from mailplat.mail.mailbox import UidSet
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
from mailplat.wire.imap.cursor import Cursor
from mailplat.wire.imap.numbers import Numbers
from mailplat.wire.imap.search import MOST_KEYS, NOTHING, BadCharset, Reading, read_keys


def reading() -> Reading:
    def resolve(numbers: Numbers, are_uids: bool) -> UidSet:
        return numbers.up_to(1000 if are_uids else 10)

    return Reading(resolve, now=10_000.0)  # type: ignore[arg-type]


def read(octets: bytes) -> Query:
    query = read_keys(Cursor(octets), reading())
    assert isinstance(query, And)
    [only] = query.queries
    return only


@pytest.mark.parametrize(
    ("octets", "query"),
    [
        (b"ALL", Everything()),
        (b"2:*", Among(UidSet(((2, 10),)))),
        (b"UID 2:*", Among(UidSet(((2, 1000),)))),
        (b"seen", Flagged("\\Seen")),
        (b"UNSEEN", Not(Flagged("\\Seen"))),
        (b"KEYWORD $x", Flagged("$x")),
        (b"UNKEYWORD x", Not(Flagged("x"))),
        (b"RECENT", NOTHING),
        (b"OLD", Everything()),
        (b"SUBJECT x", Containing(Field.SUBJECT, "x")),
        (b'FROM "a b"', Containing(Field.FROM, "a b")),
        (b"TEXT {2}\r\n\xc3\xa4", Containing(Field.TEXT, "ä")),
        (b'HEADER X-Y ""', WithField("X-Y", "")),
        (b"BEFORE 1-Feb-2026", Dated(Clock.RECEIVED, None, date(2026, 2, 1))),
        (b"SENTON 1-Feb-2026", Dated(Clock.SENT, date(2026, 2, 1), date(2026, 2, 2))),
        (b"SAVEDSINCE 1-Feb-2026", Dated(Clock.SAVED, date(2026, 2, 1))),
        (b"ON 31-Dec-9999", Dated(Clock.RECEIVED, date(9999, 12, 31))),
        (b"YOUNGER 60", Aged(9940.0, False)),
        (b"LARGER 5", Sized(above=5)),
        (b"SMALLER 5", Sized(below=5)),
        (b"MODSEQ 5", Changed(5)),  # type: ignore[arg-type]
        (b'MODSEQ "/flags/\\\\draft" all 620162338', Changed(620162338)),  # type: ignore[arg-type]
        (b"EMAILID x", Identified("x")),
        (b"THREADID x", Identified("x", True)),
        (b"(SEEN 1)", And([Flagged("\\Seen"), Among(UidSet.of(1))])),
        (b"NOT (NOT SEEN)", Not(And([Not(Flagged("\\Seen"))]))),
        (
            b"OR OR 1 2 (3 NOT 4)",
            Or(
                [
                    Or([Among(UidSet.of(1)), Among(UidSet.of(2))]),
                    And([Among(UidSet.of(3)), Not(Among(UidSet.of(4)))]),
                ]
            ),
        ),
    ],
)
def test_keys(octets: bytes, query: Query) -> None:
    assert read(octets) == query


@pytest.mark.parametrize(
    "octets",
    [
        *(
            b"",
            b"ALL ",
            b" ALL",
            b"ALL  ALL",
            b"()",
            b"(ALL",
            b"ALL)",
            b"NOT",
            b"OR 1",
            b"OR 1 ",
        ),
        *(b"XYZ", b"SUBJECT", b"SUBJECT ", b"BEFORE x", b"SMALLER -1", b"HEADER x", b"UID"),
        *(b"SUBJECT {1}\r\n\xff", b"YOUNGER 0", b'MODSEQ "x" y', b"0", b"1,"),
    ],
)
def test_what_is_no_search(octets: bytes) -> None:
    with pytest.raises(BadSyntax) as refused:
        read_keys(Cursor(octets), reading())
    assert "octet" in refused.value.public


def test_charsets() -> None:
    how = reading()
    how.use(b"iso-8859-1")
    assert read_keys(Cursor(b"SUBJECT {1}\r\n\xe4"), how) == And(
        [Containing(Field.SUBJECT, "ä")]
    )
    with pytest.raises(BadCharset):
        how.use(b"x-unknown")


def test_mod_sequences_are_noticed() -> None:
    how = reading()
    read_keys(Cursor(b"OR SEEN MODSEQ 1"), how)
    assert how.uses_modseq


@pytest.mark.parametrize("key", [b"(", b"NOT ", b"OR 1 "])
def test_depth_has_a_limit(key: bytes) -> None:
    read_keys(Cursor(key * 99 + b"1" + b")" * 99 * (key == b"(")), reading())
    for depth in (100, 10_000):
        with pytest.raises(TooLarge):
            read_keys(Cursor(key * depth + b"1" + b")" * depth * (key == b"(")), reading())


def test_keys_have_a_limit() -> None:
    read_keys(Cursor(b" ".join([b"1"] * MOST_KEYS)), reading())
    for many in (MOST_KEYS + 1, 1000 * MOST_KEYS):
        with pytest.raises(TooLarge):
            read_keys(Cursor(b" ".join([b"1"] * many)), reading())


KEYS = [
    b"NOT ",
    b"OR ",
    b"(",
    b")",
    b" ",
    b"ALL",
    b"1:*",
    b"SUBJECT x",
    b"BEFORE 1-Jan-2026",
    b"$",
]


@given(st.lists(st.sampled_from(KEYS), max_size=15).map(b"".join) | st.binary(max_size=30))
def test_arbitrary_keys(octets: bytes) -> None:
    with suppress(MailError):
        assert isinstance(read_keys(Cursor(octets), reading()), And)
