"""Line ends, flags and names, whatever a source has."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.mailbox import SEEN, proper_name
from mailplat.moving.letters import mailbox_name, proper_flags, with_crlf, with_lf

OCTETS = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bc"])).map(b"".join)


def cut(octets: bytes, size: int) -> list[bytes]:
    return [octets[at : at + size] for at in range(0, len(octets), size)]


@given(OCTETS, st.integers(1, 9))
def test_lone_lf_become_crlf(octets: bytes, size: int) -> None:
    line = octets[: octets.find(b"\n") + 1]
    expected = octets if line.endswith(b"\r\n") else re.sub(rb"(?<!\r)\n", b"\r\n", octets)
    assert b"".join(with_crlf(cut(octets, size))) == expected


@given(OCTETS, st.integers(1, 9))
def test_crlf_becomes_lf(octets: bytes, size: int) -> None:
    assert b"".join(with_lf(cut(octets, size))) == octets.replace(b"\r\n", b"\n")


def test_flags_are_made_proper() -> None:
    found = proper_flags(["\\seen", "\\Recent", "\\Odd", "", "a b", "$Work", "x" * 200, "ä"])
    assert found == {SEEN, "a_b", "$Work", "x" * 100, "_"}
    assert len(proper_flags(f"k{number}" for number in range(1000))) == 64


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ([], "INBOX"),
        (["inbox", "a"], "INBOX/a"),
        (["a/b", "", "c\x00"], "a_b/_/c_"),
        (["x"] * 200, None),
        (["y" * 5000], None),
    ],
)
def test_names_are_made_proper(parts: list[str], name: str | None) -> None:
    found = mailbox_name(parts)
    assert proper_name(found) == found
    assert name in (None, found)


@given(st.lists(st.text(max_size=30), max_size=60))
def test_any_name_is_made_proper(parts: list[str]) -> None:
    assert proper_name(mailbox_name(parts)) == mailbox_name(parts)
