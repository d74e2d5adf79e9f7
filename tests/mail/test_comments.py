"""Comments go, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.comments import without_comments
from mailplat.testing.growth import in_linear_time, repeated


@pytest.mark.parametrize(
    ("octets", "left"),
    [
        (b"", b""),
        (b"a b", b"a b"),
        (b"a(b)c", b"a c"),
        (b"(a (b (c)) d)e", b" e"),
        (rb"(a \) b) c", b"  c"),
        (rb"a \( b (c)", rb"a \( b  "),
        (b'"(a)" (b)', b'"(a)"  '),
        (rb'"\"(a)" (b)', rb'"\"(a)"  '),
        (b'" (a)', b'"  '),
        (b"a (b", b"a (b"),
        (b"a (b) (c (d)", b"a   (c (d)"),
        (b"a) b", b"a) b"),
    ],
)
def test_comments_go(octets: bytes, left: bytes) -> None:
    assert without_comments(octets) == left


@given(st.lists(st.sampled_from([b"(", b")", b"\\", b'"', b"a", b" "])).map(b"".join))
def test_nothing_is_raised(octets: bytes) -> None:
    assert len(without_comments(octets)) <= len(octets)


@pytest.mark.parametrize("unit", [b"(", b")", b"()", b'"', b"\\", b'"\\', b"(\\", b"a(", b'("'])
def test_time_is_linear(unit: bytes) -> None:
    in_linear_time(without_comments, repeated(unit))
