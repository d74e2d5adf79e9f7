"""What FETCH asks for, and the lines that answer it."""

from __future__ import annotations

import re
from array import array
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.errors import BadSyntax, MailError
from mailplat.mail.mailbox import Batch, MailboxIndex, ModSeq, Wanted
from mailplat.mail.summary import read_summary, summarise
from mailplat.testing.imapwords import words_of
from mailplat.wire.imap.cursor import Cursor
from mailplat.wire.imap.fetch import Fetch, Lines, Section, UnknownEncoding, read_fetch


def read(octets: bytes) -> Fetch:
    cursor = Cursor(octets)
    fetch = read_fetch(cursor)
    cursor.end()
    return fetch


@pytest.mark.parametrize(
    ("octets", "items"),
    [
        (b"fast", (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE")),
        (b"FULL", (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY")),
        (b"uid", (b"UID",)),
        (b"(UID FLAGS uid)", (b"UID", b"FLAGS")),
        (b"(PREVIEW (LAZY) BODY)", (b"PREVIEW", b"BODY")),
        (b"BODYSTRUCTURE", (b"BODYSTRUCTURE",)),
        (b"RFC822", (Section(b"RFC822"),)),
        (b"BODY.PEEK[]", (Section(b"BODY[]"),)),
        (b"body[1.2.mime]", (Section(b"BODY[1.2.MIME]", (1, 2), "MIME"),)),
        (b"BODY[TEXT]<5.10>", (Section(b"BODY[TEXT]<5>", (), "TEXT", start=5, length=10),)),
        (
            b'BODY[1.HEADER.FIELDS (From "x y")]',
            (
                Section(
                    b'BODY[1.HEADER.FIELDS (From "x y")]',
                    (1,),
                    "HEADER",
                    frozenset({b"from", b"x y"}),
                ),
            ),
        ),
        (
            b"BODY[HEADER.FIELDS.NOT (A)]",
            (Section(b"BODY[HEADER.FIELDS.NOT (A)]", (), "HEADER", frozenset({b"a"}), True),),
        ),
        (b"BINARY.PEEK[1]<0.5>", (Section(b"BINARY[1]<0>", (1,), length=5, binary=True),)),
        (b"BINARY.SIZE[]", (Section(b"BINARY.SIZE[]", binary=True, is_size=True),)),
    ],
)
def test_items(octets: bytes, items: tuple[object, ...]) -> None:
    assert read(octets).items == items


@pytest.mark.parametrize(
    ("octets", "marks"),
    [
        (b"BODY[]", True),
        (b"BODY.PEEK[]", False),
        (b"(UID RFC822)", True),
        (b"RFC822.HEADER", False),
    ],
)
def test_who_has_seen_it(octets: bytes, marks: bool) -> None:
    assert read(octets).marks_seen is marks


@pytest.mark.parametrize(
    "octets",
    [
        *(
            b"",
            b"()",
            b"XYZ",
            b"(FAST)",
            b"BODY[",
            b"BODY[1.]",
            b"BODY[.1]",
            b"BODY[0]",
            b"BODY[X]",
        ),
        *(b"BODY[MIME]", b"BODY[1TEXT]", b"BODY[HEADER.FIELDS]", b"BODY[HEADER.FIELDS ()]"),
        *(b"BODY[]<1>", b"BODY[]<1.0>", b"BODY[]<-1.2>", b"BINARY[1.MIME]", b"BINARY[1.]"),
        *(b"BINARY.SIZE[1]<0.1>", b"(UID  FLAGS)", b"(UID", b"PREVIEW (EAGER)", b"BODY[1.1x]"),
        *(b"(FLAGS) x", b"BODY[" + b"1." * 101 + b"1]"),
    ],
)
def test_what_can_not_be_fetched(octets: bytes) -> None:
    with pytest.raises(MailError) as refused:
        read(octets)
    assert refused.value.public


MESSAGE = (
    b"Subject: one\r\nFrom: a@b.example\r\nX-Long: a\r\n b\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
    b"--x\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8A\r\n"
    b"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninside\r\n"
    b"--x\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-odd\r\n\r\n?\r\n--x--\r\n"
)
FACTS = read_summary(summarise(MESSAGE).octets)
INDEX = MailboxIndex(
    ModSeq(9),
    array("I", [4, 7]),
    array("B", [1, 0]),
    (frozenset(), frozenset({"\\Seen", "x"})),
    array("Q", [3, 9]),
)
BATCH = Batch(
    uids=[7],
    modseqs=[9],
    email_ids=["M1"],
    thread_ids=["T1"],
    sizes=[len(MESSAGE)],
    received=[0.0],
    saved=[86400.0],
)


PIECES = [
    b"a: b",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"From x\n",
    b":",
    b"\0",
    b"c\r\n\r\n",
    b"--x\r\n",
]


def answer(octets: bytes) -> bytes:
    lines = Lines(read(octets), INDEX)
    return lines.of_batch([2], [1], BATCH, [FACTS], [MESSAGE])


def test_lines_of_the_index() -> None:
    lines = Lines(read(b"(UID FLAGS MODSEQ)"), INDEX)
    assert lines.of_index([1, 2], [0, 1]) == (
        b"* 1 FETCH (UID 4 FLAGS (\\Seen x) MODSEQ (3))\r\n"
        b"* 2 FETCH (UID 7 FLAGS () MODSEQ (9))\r\n"
    )


def test_facts_of_the_record() -> None:
    said = answer(b"(RFC822.SIZE INTERNALDATE SAVEDATE EMAILID THREADID UID)")
    assert said == (
        b'* 2 FETCH (RFC822.SIZE %d INTERNALDATE " 1-Jan-1970 00:00:00 +0000" '
        b'SAVEDATE " 2-Jan-1970 00:00:00 +0000" EMAILID (M1) THREADID (T1) UID 7)\r\n'
        % len(MESSAGE)
    )


def test_facts_of_the_summary() -> None:
    said = answer(b"(ENVELOPE BODY BODYSTRUCTURE PREVIEW)")
    [found] = words_of(said[len(b"* 2 FETCH ") : -len(b"\r\n")])
    assert isinstance(found, list)
    assert found[::2] == [b"ENVELOPE", b"BODY", b"BODYSTRUCTURE", b"PREVIEW"]
    assert b"ENVELOPE " + FACTS.envelope in said
    assert b"BODYSTRUCTURE " + FACTS.bodystructure in said


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        (b"BODY[]", MESSAGE),
        (b"RFC822", MESSAGE),
        (b"BODY[HEADER]", MESSAGE[: MESSAGE.index(b"--x")]),
        (b"BODY[TEXT]", MESSAGE[MESSAGE.index(b"--x") :]),
        (b"BODY[]<3.4>", MESSAGE[3:7]),
        (b"BODY[]<99999.4>", b""),
        (b"BODY[1]", b"aGVsbG8A"),
        (
            b"BODY[1.MIME]",
            b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        ),
        (b"BODY[2.HEADER]", b"Subject: inner\r\n\r\n"),
        (b"BODY[2.TEXT]", b"inside"),
        (b"BODY[2.1]", b"inside"),
        (b"BODY[HEADER.FIELDS (subject x-long)]", b"Subject: one\r\nX-Long: a\r\n b\r\n\r\n"),
        (b"BODY[HEADER.FIELDS (none)]", b"\r\n"),
        (b"BODY[2.HEADER.FIELDS.NOT (From)]<2.3>", b"bje"),
        (b"BODY[9]", None),
        (b"BODY[1.HEADER]", None),
        (b"BODY[1.2]", None),
        (b"BINARY[1]", b"hello\0"),
        (b"BINARY[1]<1.2>", b"el"),
        (b"BINARY[]", MESSAGE),
        (b"BINARY[9]", None),
    ],
)
def test_sections(asked: bytes, value: bytes | None) -> None:
    said = answer(asked)
    if value is None:
        assert said.endswith(b" NIL)\r\n")
        return
    found = re.fullmatch(rb"\* 2 FETCH \((.*?) ~?\{(\d+)\}\r\n(.*)\)\r\n", said, re.DOTALL)
    assert found
    assert found[1] == read(asked).items[0].name  # type: ignore[union-attr]
    assert (int(found[2]), found[3]) == (len(value), value)
    assert (b"~{" in said) == (b"\0" in value)


def test_sizes_of_what_is_binary() -> None:
    assert answer(b"BINARY.SIZE[1]") == b"* 2 FETCH (BINARY.SIZE[1] 6)\r\n"
    assert answer(b"BINARY.SIZE[9]") == b"* 2 FETCH (BINARY.SIZE[9] 0)\r\n"
    with pytest.raises(UnknownEncoding):
        answer(b"BINARY[3]")


def test_what_must_be_at_hand() -> None:
    assert read(b"(UID FLAGS MODSEQ)").is_indexed
    assert not read(b"FAST").is_indexed
    assert read(b"FAST").wanted is Wanted.NOTHING
    assert read(b"ENVELOPE").wanted is Wanted.SUMMARY
    assert read(b"BODY[TEXT]").wanted is Wanted.CONTENT
    assert read(b"BODY[1]").wanted is Wanted.SUMMARY | Wanted.CONTENT
    assert read(b"(ENVELOPE UID)").having(b"UID", b"FLAGS").items == (
        b"FLAGS",
        b"ENVELOPE",
        b"UID",
    )


@given(st.binary(max_size=60) | st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_what_is_no_part_lies_where_the_layout_says(octets: bytes) -> None:
    layout = read_summary(summarise(octets).octets).layout
    for text in ("", "HEADER", "TEXT"):
        section = Section(b"x", text=text)
        assert section.lies_in(octets) == section.lies(layout)


def test_a_percent_sign_is_only_that() -> None:
    assert b"BODY[HEADER.FIELDS (%d%s)] {2}" in answer(b'BODY[HEADER.FIELDS ("%d%s")]').replace(
        b'"', b""
    )


WORDS = [
    b"BODY",
    b"BINARY",
    b".PEEK",
    b"[",
    b"]",
    b"1",
    b".",
    b"HEADER",
    b".FIELDS",
    b" ",
    b"(",
    b")",
]
WORDS += [b"<", b">", b"0.5", b"UID", b"{1}\r\nx", b"MIME", b"PREVIEW", b"FAST"]


@given(st.lists(st.sampled_from(WORDS), max_size=14).map(b"".join) | st.binary(max_size=30))
def test_arbitrary_items(octets: bytes) -> None:
    with suppress(BadSyntax):
        fetch = read_fetch(Cursor(octets))
        with suppress(UnknownEncoding):
            said = Lines(fetch, INDEX).of_batch([2], [1], BATCH, [FACTS], [MESSAGE])
            assert said.startswith(b"* 2 FETCH (")
