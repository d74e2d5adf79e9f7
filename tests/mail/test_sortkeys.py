"""The order of keys is the order that was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.sortkeys import (
    LONGEST_KEY,
    display_key,
    mailbox_key,
    moment_key,
    size_key,
    subject_key,
)

BEFORE_CHRIST, YEAR_9999 = -(2**36), 253402300799


@given(st.lists(st.integers(BEFORE_CHRIST, YEAR_9999)))
def test_moments(moments: list[int]) -> None:
    assert sorted(moments, key=moment_key) == sorted(moments)
    assert {len(moment_key(moment)) for moment in moments} <= {5}


@given(st.lists(st.integers(0, 2**40 - 1)))
def test_sizes(sizes: list[int]) -> None:
    assert sorted(sizes, key=size_key) == sorted(sizes)


def test_numbers_out_of_range_are_the_last_or_the_first() -> None:
    assert size_key(2**50) == size_key(2**40)
    assert moment_key(-(2**60)) == bytes(5)


@pytest.mark.parametrize(
    ("body", "mailbox", "display"),
    [
        (b"Foo Bar <a.b@c.example>", b"A.B", b"FOO BAR"),
        (b'"Bar, Foo" <a@b>, c@d', b"A", b"BAR, FOO"),
        (b"a@b", b"A", b"A@B"),
        (b"<a@b>", b"A", b"A@B"),
        (b"=?utf-8?q?J=C3=BCrgen?= <j@b>", b"J", "Ju\u0308RGEN".upper().encode()),
        (b"=?utf-8?q??= <a@b>", b"A", b"A@B"),
        (b'" " <a@b>', b"A", b" "),
        (b"a@b (c)", b"A", b"C"),
        (b'"A b"@c', b"A B", b"A B@C"),
        (b"root", b"ROOT", b"ROOT"),
        (b"Foo Bar", b"", b"FOO BAR"),
        (b"friends: a@b, c@d;", b"FRIENDS", b"FRIENDS"),
        (b"friends:;", b"FRIENDS", b"FRIENDS"),
        (b"a@b, friends: c@d;", b"A", b"A@B"),
        (b", , a@b", b"A", b"A@B"),
        (b"", b"", b""),
        (b"<>", b"", b""),
        (b"\xc3\xa4@b", "A\u0308".encode(), "A\u0308@B".encode()),
    ],
)
def test_addresses(body: bytes, mailbox: bytes, display: bytes) -> None:
    assert mailbox_key(body) == mailbox
    assert display_key(body) == display


def test_subjects() -> None:
    assert subject_key(b"Re: [x] hello") == b"HELLO"
    assert len(subject_key(b"x" * 1000)) == LONGEST_KEY


@given(st.binary())
def test_nothing_is_raised(body: bytes) -> None:
    for key in (mailbox_key, display_key, subject_key):
        assert len(key(body)) <= LONGEST_KEY
