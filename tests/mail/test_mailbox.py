"""UID sets as intervals, and batches as records."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.mailbox import LAST_UID, Batch, UidSet

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
