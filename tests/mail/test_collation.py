"""Text without regard to case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.collation import casemapped
from mailplat.testing.growth import in_linear_time, repeated


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", ""),
        ("Hello", "hELLO"),
        ("Grüße", "GRÜßE"),
        ("ü", "u\u0308"),
        ("①", "1"),
        ("ǆ", "Ǆ"),  # three cases, one of them the title's
        ("\uff37", "w"),
        ("ΔΕ\u03a3", "δε\u03c3"),
        ("Żółć", "żÓŁĆ"),
        ("가", "\u1100\u1161"),
    ],
)
def test_what_is_the_same(one: str, other: str) -> None:
    assert casemapped(one) == casemapped(other)


@pytest.mark.parametrize(
    ("one", "other"), [("a", "b"), ("ß", "ss"), ("ł", "l"), ("é", "e"), ("ﬁ", "fi")]
)
def test_what_is_not(one: str, other: str) -> None:
    assert casemapped(one) != casemapped(other)


@given(st.text())
def test_it_maps_character_for_character(text: str) -> None:
    assert casemapped(text) == b"".join(map(casemapped, text))


def test_half_a_surrogate_pair_does_no_harm() -> None:
    assert casemapped("a\ud800") == b"A?"


@pytest.mark.parametrize("unit", ["a", "é", "é ", "漢", "\U0001f600 "])
def test_time_is_linear(unit: str) -> None:
    in_linear_time(casemapped, repeated(unit))
