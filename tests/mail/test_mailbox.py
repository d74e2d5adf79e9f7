"""UID sets as intervals, and batches as records."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.errors import NotPermitted
from mailplat.mail.mailbox import LAST_UID, Batch, UidSet, names_above, proper_name

uids = st.lists(st.integers(1, 60))


@given(uids)
def test_a_set_holds_what_was_put_in(numbers: list[int]) -> None:
    held = UidSet.of(*numbers)
    assert list(held) == sorted(set(numbers))
    assert len(held) == len(set(numbers))
    assert all((n in held) == (n in numbers) for n in range(62))


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60))))
def test_intervals_may_overlap_and_be_turned_round(pairs: list[tuple[int, int]]) -> None:
    expected = {n for a, b in pairs for n in range(min(a, b), max(a, b) + 1)}
    held = UidSet.from_intervals(pairs)
    assert set(held) == expected
    gaps = zip(held.intervals, held.intervals[1:], strict=False)
    assert all(a[1] + 1 < b[0] for a, b in gaps)


@given(uids, uids)
def test_among_picks_from_a_sorted_column(numbers: list[int], column: list[int]) -> None:
    ordered = sorted(set(column))
    assert list(UidSet.of(*numbers).among(ordered)) == [n for n in ordered if n in numbers]


def test_the_largest_set_costs_nothing() -> None:
    everything = UidSet.all()
    assert len(everything) == LAST_UID
    assert str(everything) == f"1:{LAST_UID}"
    assert list(everything.among([5, 7])) == [5, 7]


def test_the_words_of_a_set() -> None:
    assert str(UidSet.of(1, 2, 3, 7)) == "1:3,7"
    assert not UidSet()


def test_a_batch_is_also_records() -> None:
    batch = Batch([4], [9], ["e"], ["t"], [120], [0.0], [60.0], flags=[frozenset({"\\Seen"})])
    [record] = batch.records()
    assert (record.uid, record.size, record.flags) == (4, 120, frozenset({"\\Seen"}))
    assert record.saved == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    assert record.content is None


small_sets = st.sets(st.integers(1, 12))


@given(small_sets, small_sets)
def test_sets_of_uids_are_joined_and_parted_as_sets_are(a: set[int], b: set[int]) -> None:
    left, right = UidSet.of(*a), UidSet.of(*b)
    assert left | right == UidSet.of(*(a | b))
    assert left & right == UidSet.of(*(a & b))
    assert left - right == UidSet.of(*(a - b))


def test_parting_never_counts_uids_one_by_one() -> None:
    assert str(UidSet.all() - UidSet.of(5)) == "1:4,6:4294967295"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("inbox", "INBOX"),
        ("Inbox/Inbox", "INBOX/Inbox"),
        ("Inboxes", "Inboxes"),
        ("e\u0301t\u00e9", "\u00e9t\u00e9"),
        ("a&b%*", "a&b%*"),
    ],
)
def test_a_name_is_kept_in_one_spelling(text: str, name: str) -> None:
    assert proper_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["", "/", "a/", "/a", "a//b", "a\rb", "a\0", "\ud800", "a" * 1001, "/".join("a" * 51)],
)
def test_what_no_mailbox_can_be_called(text: str) -> None:
    with pytest.raises(NotPermitted):
        proper_name(text)


def test_the_names_above_a_name() -> None:
    assert names_above("a/b/c") == ["a", "a/b"]
    assert names_above("a") == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 600)), max_size=6))
def test_of_rising_uids(runs: list[tuple[int, int]]) -> None:
    """Also where holes lie between those that are looked at together."""
    uids: list[int] = []
    for hole, length in runs:
        first = (uids[-1] if uids else 0) + 1 + hole
        uids += range(first, first + length)
    assert UidSet.from_rising(uids) == UidSet.from_sorted(uids)
