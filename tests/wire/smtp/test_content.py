"""What is sent is what was to be sent, however it comes, and ends where it ends."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.testing.cuts import cuttings, same_however_cut
from mailplat.wire.smtp.content import ChunkWriter, DotWriter, with_crlf
from mailplat.wire.smtp.data import Body, DotReader, EndOfData

TEXT = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"a", b"\r\n.\r\n", b"\n.\n"])
).map(b"".join)


def written(pieces: list[bytes]) -> bytes:
    writer = DotWriter()
    return b"".join(writer.feed(piece) for piece in pieces[:-1]) + writer.finish(pieces[-1])


@pytest.mark.parametrize(
    "octets",
    [b".", b".\r\n.\r\n", b"a\r\n\r\n.b\r\n", b"\n.\n", b"a\r", b"\r\n.\r\n", b"\r.\r"],
)
def test_the_end_is_found_where_it_was_put_however_it_is_cut(octets: bytes) -> None:
    sent = same_however_cut(octets, lambda pieces: written(list(pieces)))
    reader = DotReader(65536, 1000)
    events = list(reader.receive(sent))
    assert isinstance(events[-1], EndOfData)
    assert events[-1].failure is None
    assert not reader.trailing
    got = b"".join(event.octets for event in events if isinstance(event, Body))
    assert got.removesuffix(b"\r\n") == with_crlf(octets).removesuffix(b"\r\n")


def test_nothing_is_a_message_too() -> None:
    assert written([b""]) == b".\r\n"


@given(TEXT)
def test_lines_end_in_crlf_only(octets: bytes) -> None:
    text = with_crlf(octets)
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", text)
    assert with_crlf(text) == text
    sent = written([octets])
    assert sent.count(b"\r\n.\r\n") + sent.startswith(b".\r\n") == 1
    assert sent.endswith(b".\r\n")


@given(TEXT)
def test_chunks_are_counted(octets: bytes) -> None:
    for pieces in cuttings(octets):
        writer = ChunkWriter(binary=False)
        sent = b"".join(writer.feed(piece) for piece in pieces[:-1])
        sent += writer.finish(pieces[-1])
        assert unchunked(sent) == with_crlf(octets)
    assert unchunked(ChunkWriter(binary=True).finish(octets)) == octets


def unchunked(sent: bytes) -> bytes:
    found = b""
    last = False
    while sent:
        assert not last
        match = re.match(rb"BDAT (\d+)( LAST)?\r\n", sent)
        assert match
        count = int(match[1])
        found += sent[match.end() : match.end() + count]
        sent = sent[match.end() + count :]
        last = bool(match[2])
    assert last
    return found
