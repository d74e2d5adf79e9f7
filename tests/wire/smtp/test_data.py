"""The end of a message is found where it is, and nowhere else, however the stream is cut."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.limits import MIB
from mailplat.testing.cuts import same_however_cut
from mailplat.testing.growth import in_linear_time, repeated
from mailplat.wire.smtp.data import Body, DotReader, EndOfData

LINE, SIZE = 6, 20
WORDS = [b"a", b".", b"\r", b"\n", b"\r\n", b"\r\n.\r\n", b"\r\n..", b"x" * (LINE - 1)]
streams = st.lists(st.sampled_from(WORDS)).map(b"".join)

Outcome = tuple[bytes | str, bytes]


def outcome(pieces: Sequence[bytes], line: int = LINE, size: int = SIZE) -> Outcome:
    """Return the message, or why it was refused, and what follows its end."""
    reader, body = DotReader(line, size), b""
    for at, piece in enumerate(pieces):
        for event in reader.receive(piece):
            match event:
                case Body(octets):
                    body += octets
                case EndOfData(failure):
                    rest = reader.trailing + b"".join(pieces[at + 1 :])
                    return (type(failure).__name__ if failure else body), rest
    return "unfinished", b""


@given(streams)
@example(b"a\r\n.\nMAIL FROM:<>\r\n.\r\n")
@example(b"xxxxx\r\n\n" + b"aaaa\r\n" * 9 + b".\r\nQUIT\r\n")
@example(b".\r\n")
@example(b"..\r\n.\r\n")
@example(b"a\r\n\0\r\n.\r\n")
def test_cuts_do_not_matter(stream: bytes) -> None:
    same_however_cut(stream, outcome)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b".\r\n", (b"", b"")),
        (b"\r\n.\r\n", (b"\r\n", b"")),
        (b"a\r\n.\r\nNOOP\r\n", (b"a\r\n", b"NOOP\r\n")),
        (b"..\r\n.\r\n", (b".\r\n", b"")),
        (b".a\r\n.\r\n", (b"a\r\n", b"")),
        (b"a\r\n..\r\n.\r\n", (b"a\r\n.\r\n", b"")),
        (b"xxxx\r\n.\r\n", (b"xxxx\r\n", b"")),
        (b"xxxxx\r\n.\r\n", ("LineTooLong", b"")),
        (b"x\0x\r\n.\r\nQUIT", ("BadContent", b"QUIT")),
        (b"\0", ("unfinished", b"")),
        (b".xxxx\r\n.\r\n", (b"xxxx\r\n", b"")),
        (b"aaaa\r\n" * 3 + b"\r\n.\r\n", (b"aaaa\r\n" * 3 + b"\r\n", b"")),
        (b"aaaa\r\n" * 3 + b"a\r\n.\r\n", ("MessageTooLarge", b"")),
    ],
)
def test_what_a_message_is(stream: bytes, expected: Outcome) -> None:
    assert outcome([stream]) == expected


FALSE_ENDS = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n\n.\r\n",
    b"\r\n.\r\r\n", b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\n.\r", b"\r\n.\n\r",
    b"\r\n .\r\n", b"\r\n. \r\n", b"\r\n.\x0b\r\n", b"\r\n\x2e\x85\r\n", b"\x85.\x85",
]  # fmt: skip


@pytest.mark.parametrize("false_end", FALSE_ENDS)
def test_nothing_but_crlf_dot_crlf_ends_a_message(false_end: bytes) -> None:
    """The variants of CVE-2023-51764 and its kin."""
    hidden = b"MAIL FROM:<forged@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
    stream = b"Subject: a\r\n\r\nb" + false_end + hidden + b"c\r\n.\r\nQUIT\r\n"

    def ample(pieces: Sequence[bytes]) -> Outcome:
        return outcome(pieces, 2048, 2048)

    message, rest = same_however_cut(stream, ample)
    assert rest == b"QUIT\r\n"
    has_bare_end = false_end.replace(b"\r\n", b"").strip(b"\0 .\x0b\x85") != b""
    assert (message == "BareLineEnd") == has_bare_end


@given(st.binary(max_size=200))
def test_any_octets_at_all(stream: bytes) -> None:
    outcome([stream])


def received(pieces: Sequence[bytes]) -> DotReader:
    reader = DotReader(MIB, 1 << 30)
    for piece in pieces:
        reader.receive(piece)
    return reader


def test_an_endless_line_in_single_octets_is_read_in_linear_time() -> None:
    in_linear_time(received, lambda count: [b"x"] * count, 200_000)
    reader = received([b"x" * 1000] * 1100)
    assert reader.receive(b"\r\n.\r\n")[-1].failure


@pytest.mark.parametrize("unit", [b"x", b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\n."])
def test_many_octets_at_once_are_read_in_linear_time(unit: bytes) -> None:
    in_linear_time(lambda octets: received([octets]), repeated(unit), MIB)
