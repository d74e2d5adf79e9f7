"""Message identifiers, whole and broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.identifiers import (
    LONGEST_IDENTIFIER,
    REFERENCES,
    ancestors_of,
    identifiers_in,
    own_identifier,
    relatives_of,
)
from mailplat.testing.growth import in_linear_time, repeated


@pytest.mark.parametrize(
    ("body", "identifier"),
    [
        (b"<1234@local.machine.example>", b"1234@local.machine.example"),  # RFC 5322 appendix A
        (b" <testabcd.1234@silly.test> ", b"testabcd.1234@silly.test"),
        (b"<1234   @   local(blah)  .machine .example>", b"1234@local(blah).machine.example"),
        (b'<"01KF8JCEOCBS0045PS"@xxx.yyy.com>', b"01KF8JCEOCBS0045PS@xxx.yyy.com"),  # RFC 5256
        (b'<"a \\" b"@c>', b'a " b@c'),
        (b'<"a@b>', b'"a@b'),
        (b"<a@b\r\n c>", b"a@bc"),
        (b"<a@[192.0.2.1]>", b"a@[192.0.2.1]"),
        (b"(comment <no@id>) <a@b>", b"a@b"),
        (b"<a@b> <c@d>", b"a@b"),
        (b"<no-at>", b"no-at"),
        (b"a@b", b"a@b"),
        (b"a", b""),
        (b"word a@b", b"a@b"),
        (b"<a@b", b"a@b"),
        (b"<a@b more", b"a@b"),
        (b"a@b>", b"a@b"),
        (b"<<a@b>>", b"a@b"),
        (b"<", b""),
        (b"<>", b""),
        (b"< >", b""),
        (b"", b""),
        (b"(a@b)", b""),
        (b"<" + b"x" * LONGEST_IDENTIFIER + b">", b"x" * LONGEST_IDENTIFIER),
        (b"<x" + b"x" * LONGEST_IDENTIFIER + b">", b""),
    ],
)
def test_one_s_own(body: bytes, identifier: bytes) -> None:
    assert own_identifier(body) == identifier


@pytest.mark.parametrize(
    ("body", "identifiers"),
    [
        (b"<1234@local.machine.example> <3456@example.net>", [b"1234@local.machine.example", b"3456@example.net"]),
        (b"<a@b><c@d>,<e@f>;\t<g@h>", [b"a@b", b"c@d", b"e@f", b"g@h"]),
        (b"<a@b> (said (by) <x@y>) <c@d>", [b"a@b", b"x@y", b"c@d"]),
        (b'Your message of "Mon, 23 Nov 2026" <a@b>', [b"a@b"]),
        (b"Message from bob@example.org of Monday", []),
        (b"bob@example.org's message", []),
        (b"a@b c@d", [b"a@b", b"c@d"]),
        (b"a@b,c@d", [b"a@b", b"c@d"]),
        (b"<a@b c@d>", [b"a@bc@d"]),
        (b"<a@b <c@d>", [b"a@b", b"c@d"]),
        (b"a@b> <c@d>", [b"a@b", b"c@d"]),
        (b"<a@b> word <c@d", [b"a@b", b"c@d"]),
        (b"<> < > <a@b>", [b"a@b"]),
        (b"", []),
        (b"<" + b"x" * 251 + b"> <a@b>", [b"a@b"]),
    ],
)  # fmt: skip
def test_others(body: bytes, identifiers: list[bytes]) -> None:
    assert identifiers_in(body) == identifiers


def test_of_too_many_the_nearest_are_read() -> None:
    many = b" ".join(b"<%d@x>" % n for n in range(1000))
    nearest = [b"%d@x" % n for n in range(1000 - REFERENCES, 1000)]
    assert identifiers_in(many) == nearest
    assert relatives_of(b"<own@x>", many, b"") == (b"own@x", *nearest)
    assert relatives_of(b"", many, b"<parent@x>") == (*nearest[1:], b"parent@x")


def test_threads_are_built_of_references_or_else_of_one_parent() -> None:
    assert ancestors_of(b"<a@b> <c@d>", b"<e@f>") == [b"a@b", b"c@d"]
    assert ancestors_of(b"", b"<e@f> <g@h>") == [b"e@f"]
    assert ancestors_of(b"", b"") == []


def test_relatives_are_named_once() -> None:
    assert relatives_of(b"<a@b>", b"<c@d> <a@b> <c@d>", b"<c@d> <e@f>") == (
        b"a@b",
        b"c@d",
        b"e@f",
    )
    assert relatives_of(b"", b"", b"") == ()


PIECES = [
    b"<",
    b">",
    b"a@b",
    b"@",
    b'"',
    b"\\",
    b"(",
    b")",
    b" ",
    b"\r\n ",
    b",",
    b"\xff",
    b"\0",
    b"x",
]


@given(st.lists(st.sampled_from(PIECES)).map(b"".join), st.binary())
def test_nothing_is_raised(one: bytes, other: bytes) -> None:
    for found in relatives_of(one, other, one):
        assert found
        assert len(found) <= LONGEST_IDENTIFIER


@pytest.mark.parametrize(
    "unit",
    [b"<", b">", b"<a", b"<a>", b"a@b ", b"(", b"()", b"(\\", b'"', b'<"', b'<"\\', b"\\", b" ", b"<a@b> "],
)  # fmt: skip
def test_time_is_linear(unit: bytes) -> None:
    in_linear_time(lambda body: relatives_of(b"", body, b""), repeated(unit))
