"""Columns stay what a list of messages would be, whatever comes and goes."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from mailplat.mail.mailbox import Batch, Mailbox, MailboxId, ModSeq, Role, Uid, UidSet, Wanted
from mailplat.mail.people import AccountId
from mailplat.portals.indexes import Indexes
from mailplat.portals.pop3 import columns
from mailplat.portals.pop3.columns import HIDDEN, Columns, Texts
from mailplat.store.memory import MemoryStore
from mailplat.testing.fakes import FakeBus

INBOX = Mailbox(
    MailboxId("F1"), "INBOX", Role.INBOX, True, 7, Uid(1), ModSeq(1), 0, 0, 0, 0
)  # fmt: skip
DAY = 86400.0
uids = st.sets(st.integers(1, 40))


def batch(numbers: Sequence[int], *, hidden: frozenset[int] = frozenset()) -> Batch:
    some, all_ = frozenset({HIDDEN.upper(), "\\Seen"}), frozenset({"\\Seen"})
    return Batch(
        uids=numbers,
        modseqs=numbers,
        email_ids=["M" + "x" * (uid % 7) + str(uid) for uid in numbers],
        thread_ids=[""] * len(numbers),
        sizes=[uid * 10 for uid in numbers],
        received=[0.0] * len(numbers),
        saved=[uid * 1.5 for uid in numbers],
        flags=[some if uid in hidden else all_ for uid in numbers] if hidden else (),
    )


def made(numbers: set[int]) -> Columns:
    return Columns.of(INBOX, ModSeq(1), [batch(sorted(numbers))] if numbers else [])


def check(found: Columns, numbers: set[int]) -> None:
    expected = batch(sorted(numbers))
    assert list(found.uids) == expected.uids
    assert list(found.sizes) == expected.sizes
    assert list(found.saved) == expected.saved
    assert [found.email_ids[at] for at in range(len(found))] == expected.email_ids
    assert found.octets == sum(expected.sizes)
    assert found.oldest == min(expected.saved, default=float("inf"))


@given(uids, uids, uids, uids)
def test_columns_follow(
    first: set[int], gone: set[int], come: set[int], last: set[int]
) -> None:
    found = made(first).without(UidSet.of(*gone))
    check(found, first - gone)
    come = come - (first - gone)
    found = found.joined(made(come))
    check(found, (first - gone) | come)
    check(found.without(UidSet.of(*last)), ((first - gone) | come) - last)


@given(uids, st.frozensets(st.integers(1, 40), min_size=1))
def test_hidden_messages_are_left_out(numbers: set[int], hidden: frozenset[int]) -> None:
    found = Columns.of(INBOX, ModSeq(1), [batch(sorted(numbers), hidden=hidden)])
    check(found, numbers - hidden)


@given(uids, st.integers(0, 70))
def test_the_old_are_found(numbers: set[int], moment: int) -> None:
    assert list(made(numbers).older(100, moment + 100)) == [
        u for u in sorted(numbers) if u * 1.5 < moment
    ]


@pytest.mark.parametrize("came", [[], [400], [400, 401]])
def test_a_clock_that_went_wrong_makes_nothing_old(came: list[float]) -> None:
    """Also once mail has come by the wrong time; from then on days count again."""
    saved = [day * DAY for day in [1, 20, 29, *came]]
    numbers = list(range(1, len(saved) + 1))
    told = attrs.evolve(batch(numbers), saved=saved)
    found = Columns.of(INBOX, ModSeq(1), [told])
    assert not found.older(30 * DAY, 402 * DAY)
    if came:
        assert list(found.older(30 * DAY, 403 * DAY)) == [1]
        assert list(found.older(30 * DAY, 431 * DAY)) == [1, 2, 3, 4]


def test_what_has_gone_does_not_pile_up() -> None:
    texts = Texts.of([])
    for number in range(1000):
        texts += Texts.of([f"M{number}"])
        texts = texts.taken([(max(len(texts.starts) - 10, 0), len(texts.starts))])
        assert len(texts.buffer) < 200
    assert texts[9] == "M999"


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "REMEMBERED", 100)
    memory = columns.Memory(MemoryStore(FakeBus(), Clock()), Indexes(), Wanted.NOTHING)
    for number in range(100):
        memory._keep(AccountId(f"a{number}"), INBOX, made(set(range(1, 40))))
        memory._keep(AccountId(f"a{number}"), INBOX, made({1, 2}))
        assert memory._messages == sum(len(kept) for _, kept in memory._known.values())
        assert memory._messages <= 100
    memory._keep(AccountId("large"), INBOX, made(set(range(1, 200))))
    assert list(memory._known) == ["large"]
