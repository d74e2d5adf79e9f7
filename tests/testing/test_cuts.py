"""Every cut is tried, and one that matters is named."""

import pytest

from mailplat.testing.cuts import cuttings, same_however_cut


def test_every_place_is_cut() -> None:
    assert list(cuttings(b"abc")) == [
        [b"abc"],
        [b"a", b"bc"],
        [b"ab", b"c"],
        [b"a", b"b", b"c"],
    ]
    assert list(cuttings(b"")) == [[b""]]
    assert list(cuttings(b"ab")) == [[b"ab"], [b"a", b"b"]]


def test_what_does_not_matter() -> None:
    assert same_however_cut(b"abcd", b"".join) == b"abcd"


def test_what_matters() -> None:
    with pytest.raises(AssertionError, match="b'ab', b'c'"):
        same_however_cut(b"abc", lambda pieces: b"ab" in pieces)
