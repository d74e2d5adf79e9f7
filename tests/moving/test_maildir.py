"""Names of maildirs, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from mailplat.mail.utf7 import from_utf7, to_utf7
from mailplat.moving.maildir import (
    flag_letters,
    flags_in,
    folder_name,
    mailbox_parts,
    read_keywords,
    written_keywords,
)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("1.a:2,", set()),
        ("1.a", set()),
        ("1.a:2,DFPRST", {DRAFT, FLAGGED, "$Forwarded", ANSWERED, SEEN, DELETED}),
        ("1.a,S=5:2,Sab?z", {SEEN, "$Work", "home"}),
        ("1.a:1,S", set()),
        ("1.a:2,S" + "S" * 1000, {SEEN}),
    ],
)
def test_flags_of_names(name: str, flags: set[str]) -> None:
    assert set(flags_in(name, {"a": "$Work", "b": "home"})) == flags


def test_letters_of_flags() -> None:
    flags = frozenset({SEEN, "$forwarded", "b", "z"})
    assert flag_letters(flags, ["a", "b"]) == "PSb"
    names = [f"k{number}" for number in range(40)]
    assert flag_letters(frozenset(names), names) == "abcdefghijklmnopqrstuvwxyz"


def test_keywords() -> None:
    assert read_keywords(b"0 $Work\n1 home\n26 no\nx y\n\n\xff\n") == {
        "a": "$Work",
        "b": "home",
    }
    assert read_keywords(written_keywords(["x", "y"])) == {"a": "x", "b": "y"}


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        ([], []),
        ([".Sent"], ["Sent"]),
        ([".a.b.c"], ["a", "b", "c"]),
        ([".Entw&APw-rfe"], ["Entwürfe"]),
        ([".Entwürfe"], ["Entwürfe"]),
        (["plain", "deep"], ["plain", "deep"]),
        ([".A&AC4-B"], ["A.B"]),
    ],
)
def test_names_of_folders(folders: list[str], parts: list[str]) -> None:
    assert mailbox_parts(folders) == parts


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_modified_utf_7_goes_there_and_back(text: str) -> None:
    assert from_utf7(to_utf7(text)) == text
    assert to_utf7(text).isascii()


@pytest.mark.parametrize("text", ["&", "&-", "&abc", "&!-", "&AP-", "&2AA-", "&" + "A" * 9999])
def test_what_is_no_utf_7_stays(text: str) -> None:
    assert from_utf7(text) == {"&-": "&"}.get(text, text)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_names_of_mailboxes_go_there_and_back(parts: list[str]) -> None:
    if parts != ["INBOX"]:
        assert mailbox_parts([folder_name(parts)]) == parts
