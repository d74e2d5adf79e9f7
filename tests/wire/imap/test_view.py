"""One client's numbers, and what it is told when."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.errors import BadParameter
from mailplat.mail.mailbox import MailboxIndex, ModSeq, UidSet
from mailplat.wire.imap.numbers import Numbers
from mailplat.wire.imap.view import News, View, places_missing


def index(modseq: int, rows: dict[int, int]) -> MailboxIndex:
    """Return an index of messages by UID, each with its mod-sequence."""
    uids = sorted(rows)
    return MailboxIndex(
        ModSeq(modseq),
        array("I", uids),
        array("B", bytes(len(uids))),
        (frozenset(),),
        array("Q", [rows[uid] for uid in uids]),
    )


def test_numbers_and_uids() -> None:
    view = View(index(9, {2: 1, 5: 1, 9: 1}))
    assert [view.number(uid) for uid in (1, 2, 5, 9, 10)] == [0, 1, 2, 3, 0]
    assert view.by_number(Numbers(((1, 2),))) == UidSet(((2, 5),))
    assert view.by_number(Numbers(((0, 2),))) == UidSet(((5, 9),))
    assert view.by_uid(Numbers(((6, 0), (50, 0)))) == UidSet(((6, 50),))
    assert list(view.known(UidSet(((1, 5), (9, 20))))) == [(1, 2), (2, 5), (3, 9)]
    assert view.in_numbers(UidSet(((1, 5), (6, 8), (9, 20)))) == UidSet(((1, 3),))


@pytest.mark.parametrize("pair", [(1, 4), (4, 4), (0, 4), (4294967295, 4294967295)])
def test_numbers_that_no_message_has(pair: tuple[int, int]) -> None:
    view = View(index(9, {2: 1, 5: 1, 9: 1}))
    with pytest.raises(BadParameter):
        view.by_number(Numbers((pair,)))


def test_an_empty_mailbox_has_no_last_message() -> None:
    view = View(index(1, {}))
    assert view.by_uid(Numbers(((1, 0),))) == UidSet()
    with pytest.raises(BadParameter):
        view.by_number(Numbers(((1, 0),)))


def test_what_is_new() -> None:
    view = View(index(1, {1: 1, 2: 1, 3: 1, 4: 1}))
    later = index(5, {2: 1, 4: 3, 7: 4, 8: 5})
    assert view.follow(later, True) == News((3, 1), UidSet.of(1, 3), 4, [1])
    assert view.is_whole
    assert not view.follow(later, True)


def test_numbers_stay_while_they_may_not_go() -> None:
    """RFC 9051 section 7.5.1: none goes during FETCH, STORE and SEARCH."""
    view = View(index(1, {1: 1, 2: 1, 3: 1}))
    assert view.follow(index(2, {2: 2, 3: 1, 4: 2}), False) == News(exists=4, changed=[0])
    assert [view.number(uid) for uid in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert view.place(1) == -1
    assert not view.is_whole
    last = index(3, {2: 2, 4: 2})
    assert view.follow(last, False) == News(changed=[])
    assert view.follow(last, True) == News((3, 1), UidSet.of(1, 3), None, ())
    assert view.uids is last.uids


def test_a_message_that_came_and_went_unheard_of() -> None:
    view = View(index(1, {1: 1}))
    view.follow(index(2, {1: 1, 2: 2}), False)
    view.follow(index(3, {1: 1}), False)
    assert view.number(2) == 2
    assert view.follow(index(4, {1: 1, 3: 4}), True) == News((2,), UidSet.of(2), 2, [])


def test_own_changes_are_not_told() -> None:
    view = View(index(1, {1: 1, 2: 1, 3: 1}))
    view.keep_quiet(UidSet(((1, 3),)), ModSeq(2))
    assert view.follow(index(3, {1: 2, 2: 2, 3: 3}), False).changed == [2]


sets = st.sets(st.integers(1, 60))


@given(sets, sets, st.sets(st.integers(61, 70)))
def test_what_is_missing(before: set[int], gone: set[int], new: set[int]) -> None:
    first, left = array("I", sorted(before)), sorted(before - gone)
    then = array("I", left + sorted(new))
    missing = places_missing(first, then, len(left))
    assert [first[at] for at in missing] == sorted(before & gone)


steps = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sets(st.integers(0, 12)),
        st.sets(st.integers(0, 12)),
        st.booleans(),
    ),
    max_size=8,
)


@given(steps)
def test_a_client_that_believes_us_is_right(
    steps: list[tuple[int, set[int], set[int], bool]],
) -> None:
    """However the mailbox changes, applying what was told gives the same numbering."""
    rows: dict[int, int] = {}
    uid_next = modseq = 1
    view = View(index(1, rows))
    client: list[int | None] = []
    for came, gone, flagged, may_expunge in steps:
        modseq += 1
        for uid in gone:
            rows.pop(uid, None)
        for uid in flagged & rows.keys():
            rows[uid] = modseq
        for _ in range(came):
            rows[uid_next] = modseq
            uid_next += 1
        now = index(modseq, rows)
        news = view.follow(now, may_expunge)
        for number in news.expunged:
            del client[number - 1]
        if news.exists is not None:
            assert news.exists > len(client)
            client += [None] * (news.exists - len(client))
        told = {now.uids[at] for at in news.changed}
        assert told <= flagged
        assert len(client) == len(view)
        client = list(view.uids)
        if may_expunge:
            assert client == sorted(rows)
        assert set(rows) <= set(view.uids)
