"""Names of mailboxes, in both encodings, and patterns of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.errors import NotPermitted
from mailplat.testing.growth import in_linear_time, repeated
from mailplat.wire.imap.names import Pattern, read_name, write_name


@pytest.mark.parametrize(
    ("octets", "utf8", "name"),
    [
        (b"INBOX", False, "INBOX"),
        (b"a&-b", False, "a&b"),
        (b"a&-b", True, "a&-b"),
        (
            b"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
            False,
            "~peter/mail/台北/日本語",
        ),  # RFC 3501 5.1.3
        ("Entwürfe".encode(), True, "Entwürfe"),
        ("Entwürfe".encode(), False, "Entwürfe"),
    ],
)
def test_names_are_read(octets: bytes, utf8: bool, name: str) -> None:
    assert read_name(octets, utf8) == name


@pytest.mark.parametrize(
    "octets",
    [b"&Jjo!", b"a&b", b"&AC8-", b"&AGE-", b"&U,BTFw-&ZeVnLIqe-", b"&2AA-", b"\xff", b"&&"],
)
def test_what_is_no_name(octets: bytes) -> None:
    """One of them would be a separator in disguise (RFC 3501 section 5.1.3)."""
    with pytest.raises(NotPermitted):
        read_name(octets, False)


@pytest.mark.parametrize(
    ("name", "utf8", "octets"),
    [
        ("INBOX", False, b"INBOX"),
        ("a b", False, b'"a b"'),
        ("NIL", False, b'"NIL"'),
        ("Entwürfe", False, b"Entw&APw-rfe"),
        ("Entwürfe", True, '"Entwürfe"'.encode()),
        ("a&b", False, b"a&-b"),
        ("a&b", True, b'"a&b"'),
        ('"\\', True, b'"\\"\\\\"'),
    ],
)
def test_names_are_written(name: str, utf8: bool, octets: bytes) -> None:
    assert write_name(name, utf8) == octets


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "a/b", True),
        ("%", "a/b", False),
        ("%", "a", True),
        ("%", "", True),
        ("%/%", "a/b", True),
        ("a*", "a", True),
        ("*b", "a/b", True),
        ("a%b", "a/b", False),
        ("%*%", "a/b", True),
        ("", "a", False),
        ("a", "A", False),
        ("inbox", "INBOX", True),
        ("iNB%", "INBOX", True),
        ("inbox/a", "INBOX/a", True),
        ("inbox/A", "INBOX/a", False),
        ("%x", "INBOX", True),
    ],
)
def test_patterns(pattern: str, name: str, matches: bool) -> None:
    assert Pattern(pattern).matches(name) is matches


names = st.text("ab/", max_size=12)


@given(st.text("ab/%*", max_size=10), names)
def test_patterns_mean_what_an_expression_would(pattern: str, name: str) -> None:
    expression = "".join({"*": ".*", "%": "[^/]*"}.get(c, re.escape(c)) for c in pattern)
    assert Pattern(pattern).matches(name) == bool(re.fullmatch(expression, name))


def test_no_pattern_takes_long() -> None:
    pattern, name = "%a*" * 600, "a" * 999 + "b"
    assert Pattern(pattern).matches(name)
    assert not Pattern("*a" * 999 + "c").matches(name)
    for unit, end in (("%a*", ""), ("*a", "c")):
        in_linear_time(
            lambda text: Pattern(text).matches(name), repeated(unit, behind=end), 1800
        )
    in_linear_time(Pattern(pattern).matches, repeated("a", behind="b"), 999)


def test_a_pattern_longer_than_any_name() -> None:
    with pytest.raises(NotPermitted):
        Pattern("a" * 2001)
