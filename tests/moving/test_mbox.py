"""Mailboxes in one file, of every kind there is, read in pieces of every size."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.mailbox import ANSWERED, DELETED, FLAGGED, SEEN
from mailplat.moving.mbox import LONGEST_HEADER, Window, letters, spans, written

MOMENT = 1_795_435_200.0  # Mon Nov 23 12:00:00 2026
FROM = b"From ann@example.net Mon Nov 23 12:00:00 2026\n"
CHUNKS = (1, 2, 3, 5, 7, 16, 64, 1 << 18)


def read(octets: bytes, chunk: int = 1 << 18) -> list[bytes]:
    return [
        b"".join(letter.pieces) for letter in letters(io.BytesIO(octets), "INBOX", "x", chunk)
    ]


def facts(octets: bytes) -> list[tuple[frozenset[str], float | None]]:
    found = letters(io.BytesIO(octets), "INBOX", "x")
    return [(letter.flags, letter.received) for letter in found]


def file_of(messages: Iterable[bytes], flags: frozenset[str] = frozenset()) -> bytes:
    return b"".join(b"".join(written([one], flags, MOMENT)) for one in messages)


ODD = [
    b"Subject: a\r\n\r\nFrom ann Mon Nov 23 12:00:00 2026\r\n>From b\r\n>>From c\r\nFrom\r\n",
    b"",
    b"Subject: a header only\r\n",
    b"\r\na body only\r\n\r\n\r\n",
    b"Status: the sender's own\r\nX-Keywords: too\r\n\r\n\r\nFrom \r\n",
    b"Content-Length: 3\r\n\r\nnot true\r\n",
    b" begins with a space\r\n\r\n",
    b"a lone \r in it\r\n",
    b"a: b\r\n\r\n" + b">" * 5000 + b"From far\r\n",
]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_what_was_written_is_read_octet_for_octet(chunk: int) -> None:
    assert read(file_of(ODD), chunk) == ODD


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_pieces_may_be_cut_anywhere(size: int) -> None:
    for message in ODD:
        pieces = [message[at : at + size] for at in range(0, len(message), size)]
        assert b"".join(written(pieces, frozenset(), MOMENT)) == file_of([message])


LINES = st.sampled_from(
    [b"From a 12:00 2026\r\n", b">From b\r\n", b"\r\n", b"text\r\n", b"From \r\n", b"x: y\r\n"]
)


@given(st.lists(st.lists(LINES, max_size=8).map(b"".join), max_size=5), st.sampled_from(CHUNKS))
def test_any_lines_survive(messages: list[bytes], chunk: int) -> None:
    assert read(file_of(messages), chunk) == messages


@given(
    st.lists(
        st.sampled_from(
            [
                FROM,
                b"\n",
                b"From ",
                b"\r\n",
                b"Content-Length: 4\n",
                b"a: b\n",
                b"Status: RO\n",
                b">",
                b"Content-Length: 99999999\n",
                b"\0\xff",
            ]
        )
    ).map(b"".join),
    st.sampled_from(CHUNKS),
)
def test_arbitrary_octets_are_read_the_same_however_they_come(
    octets: bytes, chunk: int
) -> None:
    assert read(octets, chunk) == read(octets)
    for span in spans(Window(io.BytesIO(octets), chunk)):
        assert 0 <= span.begin < span.header <= span.stop <= len(octets)


def test_flags_and_date_are_those_that_were_written() -> None:
    flags = frozenset({SEEN, ANSWERED, FLAGGED, DELETED, "$Work", "other"})
    assert facts(file_of([b"a: b\r\n\r\n"], flags)) == [(flags, MOMENT)]
    assert facts(file_of([b"a: b\r\n\r\n"])) == [(frozenset(), MOMENT)]


def test_flags_that_other_programs_wrote() -> None:
    octets = (
        FROM + b"Subject: x\nStatus: RO\nX-Status: AF\nX-Keywords: $Work home\n"
        b"X-UID: 4\nContent-Length: 900\n\nbody\n\n"
    )
    assert facts(octets)[0][0] == {SEEN, ANSWERED, FLAGGED, "$Work", "home"}
    assert read(octets) == [b"Subject: x\r\n\r\nbody\r\n"]
    thunderbird = b"From - Mon Nov 23 12:00:00 2026\nX-Mozilla-Status: 0005\na: b\n\nbody\n"
    assert facts(thunderbird) == [(frozenset({SEEN, FLAGGED}), MOMENT)]
    assert read(thunderbird) == [b"a: b\r\n\r\nbody\r\n"]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_lengths_are_trusted_where_they_lead_to_the_next_message(chunk: int) -> None:
    body = b"From inside Mon Nov 23 12:00:00 2026\n>From quoted?\n\n"
    first = b"Content-Length: %d\na: b\n\n%s" % (len(body), body)
    last = b"Content-Length: 2\n\nhi"
    for gap in (b"", b"\n"):
        assert read(FROM + first + gap + FROM + last, chunk) == [
            b"a: b\r\n\r\n" + body.replace(b"\n", b"\r\n"),
            b"\r\nhi",
        ]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_lengths_are_not_trusted_in_what_we_wrote(chunk: int) -> None:
    message = b"Content-Length: 10\r\n\r\nFrom a\r\n\r\n\r\n"
    assert read(file_of([message, message]), chunk) == [message, message]


def test_lengths_that_lie_are_not_trusted() -> None:
    for length in (0, 3, 7, 10**14):
        octets = FROM + b"Content-Length: %d\n\nbody\n\n" % length + FROM + b"a: b\n\nsecond\n"
        assert read(octets) == [b"\r\nbody\r\n", b"a: b\r\n\r\nsecond\r\n"]


def test_only_what_looks_like_its_line_begins_a_message() -> None:
    body = b"a: b\n\nFrom here on it is text\n\nFrom time to time at 12:00\n\n"
    assert len(read(FROM + body + FROM + b"c: d\n\n")) == 2
    assert read(b"before\n\n" + FROM + b"a: b\n\nbody\n") == [b"a: b\r\n\r\nbody\r\n"]
    assert read(b"no mailbox\n") == []
    assert read(b"From nobody in particular\na: b\n\nc\n") == [b"a: b\r\n\r\nc\r\n"]


def test_line_ends_of_windows_stay() -> None:
    octets = (FROM + b"a: b\n\nbody\n\n" + FROM + b"c: d\n\nother\n\n").replace(b"\n", b"\r\n")
    for chunk in CHUNKS:
        assert read(octets, chunk) == [b"a: b\r\n\r\nbody\r\n", b"c: d\r\n\r\nother\r\n"]


@pytest.mark.parametrize(
    ("line", "head", "moment"),
    [
        (b"From a Mon Nov 23 12:00:00 2026\n", b"", MOMENT),
        (b"From a Mon Nov 23 12:00:00 +0100 2026\n", b"", MOMENT - 3600),
        (b"From \n", b"Received: x; Mon, 23 Nov 2026 12:00:00 +0000\n", MOMENT),
        (b"From \n", b"Date: Mon, 23 Nov 2026 12:00:00 +0000\n", MOMENT),
        (b"From \n", b"Date: nonsense\n", None),
    ],
)
def test_when_it_came(line: bytes, head: bytes, moment: float | None) -> None:
    assert facts(line + head + b"a: b\n\n") == [(frozenset(), moment)]


@pytest.mark.parametrize(("more", "count"), [(0, 2), (1, 1), (5000, 1)])
def test_a_line_that_begins_a_message_has_a_limit(more: int, count: int) -> None:
    line = b"From " + b"x" * (400 - len(b" Mon Nov 23") + more) + b" Mon Nov 23 12:00:00 2026\n"
    assert len(read(FROM + b"a: b\n\n" + line + b"c: d\n\n")) == count


@pytest.mark.parametrize("more", [-1, 0, 1, 100_000])
def test_a_header_has_a_limit(more: int) -> None:
    head = b"Status: R\nX: " + b"x" * (LONGEST_HEADER - 16 + more) + b"\n\n"
    [flags] = [flags for flags, _ in facts(FROM + head + b"body\n")]
    assert flags == ({SEEN} if len(head) <= LONGEST_HEADER else set())


def test_hostile_files_take_linear_time() -> None:
    for octets in (
        b"\nFrom " * 50_000,
        b"\n\nFrom 1:1 " * 30_000,
        b">" * 500_000,
        FROM * 5_000,
        FROM + b"Status: " * 60_000,
        FROM + b"X:\n " * 100_000,
    ):
        read(octets)
