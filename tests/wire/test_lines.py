"""Lines come out the same however the network cut them, and only CRLF ends one."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.errors import BadSyntax, BareLineEnd, LineTooLong
from mailplat.testing.cuts import same_however_cut
from mailplat.wire import lines
from mailplat.wire.lines import Lines, is_foreign

LIMIT = 6
WORDS = [b"a", b" ", b"\r", b"\n", b"\0", b"\r\n", b"\n\r", b"NOOP\r\n", b"x" * (LIMIT + 1)]
streams = st.lists(st.sampled_from(WORDS)).map(b"".join)


@pytest.fixture(autouse=True)
def _small_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "DISCARDED", 10)


def outcome(pieces: Sequence[bytes]) -> tuple[list[bytes | str], bool, bytes]:
    reader, found = Lines(LIMIT), list[bytes | str]()
    for piece in pieces:
        reader.receive(piece)
        while True:
            try:
                line = reader.next_line()
            except BadSyntax as error:
                found.append(type(error).__name__)
                continue
            if line is None:
                break
            found.append(line)
    rest = reader.take()
    return found, reader.endless, rest if len(rest) + 2 <= LIMIT else b"..."


@given(streams)
@example(b"xxxxxxx\r\r\nNOOP\r\n")
@example(b"xxxxxxxxxxxxxxx\r\nNOOP\r\n")
@example(b"xxxxxxxxxxxxxx\r\nNOOP\r\n")
def test_cuts_do_not_matter(stream: bytes) -> None:
    same_however_cut(stream, outcome)


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"abcd\r\n", [b"abcd"]),
        (b"abcde\r\n", ["LineTooLong"]),
        (b"abcde\r\nab\r\n", ["LineTooLong", b"ab"]),
        (b"a\nb\r\n", ["BareLineEnd"]),
        (b"a\rb\r\n", ["BareLineEnd"]),
        (b"a\0b\r\n", ["BareLineEnd"]),
        (b"a\r\r\n", ["BareLineEnd"]),
        (b"\r\n\r\n", [b"", b""]),
        (b"a\r\nb", [b"a"]),
    ],
)
def test_only_crlf_ends_a_line(stream: bytes, found: list[bytes | str]) -> None:
    assert outcome([stream])[0] == found


def test_nothing_comes_after_an_endless_line() -> None:
    reader = Lines(LIMIT)
    for _ in range(3):
        reader.receive(b"x" * LIMIT)
        if reader.held + LIMIT > LIMIT + 10:
            break
        try:
            assert reader.next_line() is None
        except LineTooLong:
            break
    assert reader.endless
    reader.receive(b"\r\nNOOP\r\n")
    assert reader.next_line() is None
    assert reader.held == 0


def test_an_endless_line_costs_no_memory() -> None:
    reader = Lines(LIMIT)
    reader.receive(b"x" * (LIMIT + 3))
    assert reader.next_line() is None
    assert reader.held == 0


def test_a_spoilt_line_is_one_error_and_hides_nothing() -> None:
    reader = Lines(2048)
    reader.receive(b"NOOP\nMAIL FROM:<a@b>\r\nQUIT\r\n")
    with pytest.raises(BareLineEnd):
        reader.next_line()
    assert reader.next_line() == b"QUIT"


def test_what_is_held_can_be_handed_over() -> None:
    reader = Lines(2048)
    reader.receive(b"DATA\r\nhello")
    assert reader.next_line() == b"DATA"
    assert (reader.held, reader.take(), reader.held) == (5, b"hello", 0)


def test_what_has_been_given_out_is_kept_no_longer() -> None:
    reader = Lines(2048)
    reader.receive(b"NOOP\r\n" * 1000)
    while reader.next_line():
        pass
    assert reader == Lines(2048)


@pytest.mark.parametrize(
    ("line", "foreign"),
    [
        (b"GET / HTTP/1.1", True),
        (b"post /x HTTP/1.0", True),
        (b"CONNECT mx:25 HTTP/1.1", True),
        (b"Host: example.org", True),
        (b"Content-Type: text/plain", True),
        (b"MAIL FROM:<a@b>", False),
        (b"RCPT TO:<a@b>", False),
        (b"EHLO [IPv6:::1]", False),
        (b"GETAWAY", False),
        (b"", False),
    ],
)
def test_what_belongs_to_http(line: bytes, foreign: bool) -> None:
    assert is_foreign(line) is foreign
