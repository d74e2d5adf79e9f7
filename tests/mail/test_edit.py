"""Edits change what they name and leave every other octet as it was."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mailplat.mail.content import Content, Joined, Octets
from mailplat.mail.edit import Edits
from mailplat.mail.header import Header, name_of
from mailplat.mail.splices import with_header

NASTY = [b"\r", b"\n", b"\r\n", b":", b" ", b"a", b"Subject: x\r\n", b"X: y\n", b"\0", b"\xff"]
messages = st.lists(st.sampled_from(NASTY)).map(b"".join)


def read(content: Content) -> bytes:
    """Read all of a content that never waits."""
    reading = Deferred.fromCoroutine(content.read(0, content.size))
    return cast("bytes", reading.result)


def edited(octets: bytes, edits: Edits) -> bytes:
    """Apply the plan to the octets in memory and, the same, in two pieces."""
    header = Header.parse(octets)
    new = edits.apply(header)
    halves: Content = Joined((Octets(octets[:7]), Octets(octets[7:])))
    in_memory, in_pieces = (
        with_header(content, header, new) for content in (Octets(octets), halves)
    )
    assert read(in_memory) == read(in_pieces)
    assert len(read(in_memory)) == in_memory.size == in_pieces.size
    return read(in_memory)


@given(messages)
def test_no_change_is_the_identity(octets: bytes) -> None:
    assert edited(octets, Edits()) == octets
    assert edited(octets, Edits().remove(b"Not-There")) == octets


@given(messages)
def test_what_is_untouched_stays(octets: bytes) -> None:
    header = Header.parse(octets)
    body = octets[len(header.octets) :]
    others = b"".join(line for line in header.lines if name_of(line).lower() != b"subject")

    assert edited(octets, Edits().add(b"X-New", "1")) == b"X-New: 1\r\n" + octets
    assert edited(octets, Edits().remove(b"subject")) == others + body
    result = edited(octets, Edits().replace(b"Subject", "new"))
    assert result.endswith(body)
    assert result.count(b"Subject: new\r\n") == 1
    rest = result.replace(b"Subject: new\r\n", b"", 1)
    count = header.count(b"Subject")
    assert len(rest) >= len(others) + len(body)
    assert Header.parse(result).count(b"Subject") == max(count, 1)


def test_plans_add_up() -> None:
    plan = Edits().add(b"A", "1") + Edits().add(b"B", "2").replace(b"Subject", "ü")
    octets = b"subject: old\r\n folded\r\nSubject: second\r\nTo: x\r\n\r\nbody\r\n"
    assert edited(octets, plan) == (
        b"B: 2\r\nA: 1\r\nSubject: =?utf-8?b?w7w=?=\r\nSubject: second\r\nTo: x\r\n\r\nbody\r\n"
    )
    assert not Edits()
    assert plan


def test_a_field_is_put_below_a_header_without_end() -> None:
    assert edited(b"A: b", Edits().replace(b"C", "d")) == b"A: b\r\nC: d\r\n"
    assert edited(b"", Edits().replace(b"C", "d")) == b"C: d\r\n"
    assert edited(b"\r\nbody", Edits().replace(b"C", "d")) == b"C: d\r\n\r\nbody"


def test_what_cannot_be_a_field_is_refused_when_it_is_planned() -> None:
    with pytest.raises(ValueError, match="control"):
        Edits().replace(b"Subject", "a\r\nBcc: everyone")
    with pytest.raises(ValueError, match="no field name"):
        Edits().add(b"no name", "a")


def test_a_name_that_is_no_octets_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="a field's name is bytes"):
        Edits().remove("Subject")  # type: ignore[arg-type]
