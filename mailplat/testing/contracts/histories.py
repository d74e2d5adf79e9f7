"""Random histories of one account, played by two sessions, beside a model of it."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mailplat.interfaces import IAccount, IMailStore
from mailplat.mail.errors import MailError
from mailplat.mail.mailbox import (
    DELETED,
    FLAGGED,
    INBOX,
    SEEN,
    Change,
    Delivery,
    FlagChange,
    MailboxEdit,
    MailboxId,
    ModSeq,
    NewMessage,
    Placement,
    Replaced,
    Role,
    Uid,
    UidSet,
    names_above,
)
from mailplat.mail.people import AccountId
from mailplat.testing.fakes import new_message
from mailplat.testing.fixtures import wait_for

NAMES = ("a", "a/b", "a/b/c", "b", "b/c", "INBOX/a")
FLAGS = (SEEN, DELETED, FLAGGED, "$Work", "$Home")
accounts = itertools.count()

sessions = st.sampled_from((0, 1))
flag_names = st.frozensets(st.sampled_from(FLAGS))
uid_sets = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1).map(
    UidSet.from_intervals
)
mailboxes = st.integers(0, 20)  # which of those there are; see `Histories.box`


@attrs.frozen
class Kept:
    """A message as the model knows it."""

    octets: bytes
    flags: frozenset[str]
    modseq: int


@attrs.define
class Box:
    """A mailbox as the model knows it."""

    name: str
    uid_validity: int
    uid_next: int = 1
    messages: dict[int, Kept] = attrs.field(factory=dict)


State = dict[MailboxId, tuple[str, frozenset[tuple[int, int]]]]


class Histories(RuleBasedStateMachine):
    """Does what may be done to an account, and asks after each step whether all agree."""

    def __init__(self, store: IMailStore) -> None:
        super().__init__()
        self._store = store
        self._id = AccountId(f"history-{next(accounts)}")
        self._boxes: dict[MailboxId, Box] = {}
        self._delivered: set[str] = set()
        self._validities: set[int] = set()
        self._modseq = 0
        self._numbers = itertools.count()
        self._past: dict[int, State] = {}

    @initialize()
    def open(self) -> None:
        self._sessions = [wait_for(self._store.open(self._id)) for _ in range(2)]
        self._take_over_mailboxes()

    @rule(session=sessions, at=mailboxes, flags=st.lists(flag_names, min_size=1, max_size=3))
    def append(self, session: int, at: int, flags: list[frozenset[str]]) -> None:
        mailbox, box = self.box(at)
        messages = [self.message(names) for names in flags]
        appended = wait_for(self._sessions[session].append(mailbox, messages))
        modseq = self.risen(appended[0].modseq)
        for message, names, kept in zip(messages, flags, appended, strict=True):
            self.put(box, kept.uid, message, names, modseq)

    @rule(session=sessions, at=mailboxes, source=mailboxes, uid=st.integers(1, 12))
    def replace(self, session: int, at: int, source: int, uid: int) -> None:
        mailbox, box = self.box(at)
        other, from_box = self.box(source)
        message = self.message(frozenset())
        replaced = Replaced(other, Uid(uid))
        call = self._sessions[session].append(mailbox, [message], replaced)
        if uid not in from_box.messages:
            return self.refused(call)
        [kept] = wait_for(call)
        del from_box.messages[uid]
        return self.put(box, kept.uid, message, frozenset(), self.risen(kept.modseq))

    @rule(
        key=st.sampled_from("xyz"),
        names=st.lists(st.sampled_from((INBOX, *NAMES)), min_size=1, max_size=3),
        create=st.booleans(),
        flags=flag_names,
    )
    def deliver(self, key: str, names: list[str], create: bool, flags: frozenset[str]) -> None:
        message = self.message(frozenset())
        placements = tuple(Placement(name, flags=flags, create=create) for name in names)
        [outcome] = wait_for(
            self._store.deliver([Delivery(key, self._id, message, placements)])
        )
        assert outcome.status.is_success
        if key in self._delivered:
            return
        self._delivered.add(key)
        self._take_over_mailboxes()
        there = {box.name: mailbox for mailbox, box in self._boxes.items()}
        for mailbox in {there.get(name, there[INBOX]) for name in names}:
            box, index = self._boxes[mailbox], wait_for(self._sessions[0].index(mailbox))
            self.put(box, box.uid_next, message, flags, self.risen(index.modseqs[-1]))

    @rule(
        session=sessions,
        at=mailboxes,
        uids=uid_sets,
        change=st.sampled_from(Change),
        flags=flag_names,
        behind=st.none() | st.integers(0, 8),
    )
    def flag(
        self,
        session: int,
        at: int,
        uids: UidSet,
        change: Change,
        flags: frozenset[str],
        behind: int | None,
    ) -> None:
        mailbox, box = self.box(at)
        unless_after = None if behind is None else ModSeq(max(0, self._modseq - behind))
        wanted = FlagChange(change, flags)
        found = wait_for(self._sessions[session].flag(mailbox, uids, wanted, unless_after))
        failed, changed = set(), set()
        for uid, kept in box.messages.items():
            if uid in uids and unless_after is not None and kept.modseq > unless_after:
                failed.add(uid)
            elif uid in uids and wanted.applied_to(kept.flags) != kept.flags:
                changed.add(uid)
        assert (found.changed, found.failed) == (UidSet.of(*changed), UidSet.of(*failed))
        modseq = self.risen(found.modseq, least=1 if changed else 0)
        for uid in changed:
            kept = box.messages[uid]
            box.messages[uid] = Kept(kept.octets, wanted.applied_to(kept.flags), modseq)

    @rule(session=sessions, at=mailboxes, goal=mailboxes, uids=uid_sets, keep=st.booleans())
    def move(self, session: int, at: int, goal: int, uids: UidSet, keep: bool) -> None:
        (mailbox, box), (target, goal_box) = self.box(at), self.box(goal)
        moved = wait_for(self._sessions[session].move(mailbox, uids, target, keep))
        assert moved.source == tuple(uid for uid in box.messages if uid in uids)
        modseq = self.risen(moved.modseq, least=1 if moved.source else 0)
        taken = [box.messages[uid] for uid in moved.source]
        if not keep:
            for uid in moved.source:
                del box.messages[uid]
        for uid, kept in zip(moved.target, taken, strict=True):
            assert uid == goal_box.uid_next
            goal_box.uid_next += 1
            goal_box.messages[uid] = attrs.evolve(kept, modseq=modseq)

    @rule(session=sessions, at=mailboxes, uids=uid_sets)
    def expunge(self, session: int, at: int, uids: UidSet) -> None:
        mailbox, box = self.box(at)
        gone = wait_for(self._sessions[session].expunge(mailbox, uids))
        assert gone == UidSet.of(*(uid for uid in box.messages if uid in uids))
        for uid in gone:
            del box.messages[uid]

    @rule(session=sessions, name=st.sampled_from(NAMES))
    def create(self, session: int, name: str) -> None:
        call = self._sessions[session].create(name)
        if name in self.names():
            return self.refused(call)
        wait_for(call)
        expected = self.names() | {name, *names_above(name)}
        self._take_over_mailboxes()
        assert self.names() == expected
        return None

    @rule(session=sessions, at=mailboxes, name=st.sampled_from(NAMES))
    def rename(self, session: int, at: int, name: str) -> None:
        mailbox, box = self.box(at)
        call = self._sessions[session].edit(mailbox, MailboxEdit(name=name))
        if box.name == name and name != INBOX:
            wait_for(call)
            return None
        if name in self.names() or box.name == INBOX or name.startswith(f"{box.name}/"):
            return self.refused(call)
        wait_for(call)
        old = box.name
        for other in self._boxes.values():
            if f"{other.name}/".startswith(f"{old}/"):
                other.name = name + other.name.removeprefix(old)
        return self._take_over_mailboxes()

    @rule(session=sessions, at=mailboxes)
    def remove(self, session: int, at: int) -> None:
        mailbox, box = self.box(at)
        call = self._sessions[session].remove(mailbox)
        if box.name == INBOX or any(name.startswith(f"{box.name}/") for name in self.names()):
            return self.refused(call)
        wait_for(call)
        del self._boxes[mailbox]
        return None

    @rule(session=sessions, back=st.integers(0, 30))
    def ask_for_changes(self, session: int, back: int) -> None:
        since = sorted(self._past)[-1 - min(back, len(self._past) - 1)]
        old, new = self._past[since], self.state()
        changes = wait_for(self._sessions[session].changes(ModSeq(since)))
        assert changes.complete
        assert changes.made == new.keys() - old.keys()
        assert changes.removed == old.keys() - new.keys()
        renamed = {box for box in old.keys() & new.keys() if old[box][0] != new[box][0]}
        assert renamed <= changes.edited <= old.keys() & new.keys()
        told = {one.mailbox: one for one in changes.mailboxes}
        for mailbox, (_, messages) in new.items():
            before = dict(old[mailbox][1]) if mailbox in old else {}
            after = dict(messages)
            both = before.keys() & after.keys()
            changed = {uid for uid in both if before[uid] != after[uid]}
            one = told.pop(mailbox, None)
            assert UidSet.of(*(after.keys() - both)) == (one.added if one else UidSet())
            assert UidSet.of(*(before.keys() - both)) == (one.removed if one else UidSet())
            assert UidSet.of(*changed) == (one.changed if one else UidSet())
        assert not told

    @invariant()
    def both_sessions_see_what_the_model_says(self) -> None:
        for session in self._sessions:
            wait_for(self._compare(session))
        self._past.setdefault(self._modseq, self.state())
        assert self._past[self._modseq] == self.state()

    def box(self, at: int) -> tuple[MailboxId, Box]:
        """Return one of the mailboxes that there are."""
        return list(self._boxes.items())[at % len(self._boxes)]

    def names(self) -> set[str]:
        return {box.name for box in self._boxes.values()}

    def state(self) -> State:
        return {
            mailbox: (
                box.name,
                frozenset((uid, kept.modseq) for uid, kept in box.messages.items()),
            )
            for mailbox, box in self._boxes.items()
        }

    def message(self, flags: frozenset[str]) -> NewMessage:
        return new_message(b"%d\r\n" % next(self._numbers), *flags)

    def put(
        self, box: Box, uid: int, message: NewMessage, flags: frozenset[str], modseq: int
    ) -> None:
        assert uid == box.uid_next
        box.uid_next += 1
        octets = wait_for(message.content.read(0, message.content.size))
        box.messages[uid] = Kept(octets, flags, modseq)

    def risen(self, modseq: int, least: int = 1) -> int:
        """Return a change's mod-sequence, which must be above all others."""
        assert modseq >= self._modseq + least
        return modseq

    def refused(self, call: Any) -> None:
        """See that a call refuses; that it changes nothing, the invariant sees."""
        try:
            wait_for(call)
        except MailError:
            return
        raise AssertionError("this should have been refused")

    def _take_over_mailboxes(self) -> None:
        """Take up what was made along with what was asked for."""
        for mailbox in wait_for(self._sessions[0].mailboxes()):
            if mailbox.id not in self._boxes:
                assert mailbox.uid_validity not in self._validities
                self._validities.add(mailbox.uid_validity)
                self._boxes[mailbox.id] = Box(mailbox.name, mailbox.uid_validity)

    async def _compare(self, session: IAccount) -> None:
        found = {mailbox.id: mailbox for mailbox in await session.mailboxes()}
        assert found.keys() == self._boxes.keys()
        newest = 0
        for identity, box in self._boxes.items():
            mailbox, index = found[identity], await session.index(identity)
            kept = box.messages.values()
            assert (mailbox.name, mailbox.uid_validity) == (box.name, box.uid_validity)
            assert (mailbox.role is Role.INBOX) == (box.name == INBOX)
            assert mailbox.uid_next == box.uid_next
            assert mailbox.messages == len(kept)
            assert mailbox.size == sum(len(one.octets) for one in kept)
            assert mailbox.unseen == sum(SEEN not in one.flags for one in kept)
            assert mailbox.deleted == sum(DELETED in one.flags for one in kept)
            assert list(index.uids) == list(box.messages)
            assert list(index.modseqs) == [one.modseq for one in kept]
            assert [index.flag_sets[n] for n in index.flags] == [one.flags for one in kept]
            assert max([*index.modseqs, 0]) <= mailbox.highest_modseq <= index.modseq
            newest = max(newest, index.modseq)
        assert newest >= self._modseq
        self._modseq = newest


def histories_of(store: IMailStore) -> type[Histories]:
    """Return the state machine whose accounts are those of ``store``."""

    class HistoriesOfStore(Histories):
        def __init__(self) -> None:
            super().__init__(store)

    return HistoriesOfStore
