"""Carries out a search: what is cheap first, and of the rest only what is still in question.

A query is walked with a stack of our own.  Each leaf is asked about the messages
that the leaves before it have left open; what needs a message's text asks the store's
index of texts first, and reads what that isn't sure of.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import attrs

from mailplat.interfaces import ISearchable
from mailplat.mail.content import Content
from mailplat.mail.errors import NoSuchMessage, OutOfTime
from mailplat.mail.header import body_begins
from mailplat.mail.mailbox import Batch, UidSet, Wanted
from mailplat.mail.match import in_header, in_index, in_records, seeker_for, summary_test
from mailplat.mail.query import (
    And,
    Containing,
    Field,
    Leaf,
    Needs,
    Not,
    Or,
    Query,
)
from mailplat.mail.searching import Column
from mailplat.mail.summary import summary_of

if TYPE_CHECKING:
    from mailplat.portals.imap.session import ImapSession as Session

SLICE = 0.005  # seconds after which others get their turn
LONGEST_SEARCH = 60.0  # seconds for one search, waiting for contents not counted
LARGEST_READ = 4 * 1024 * 1024  # octets of a message that are looked at for its text


async def find(session: Session, query: Query) -> UidSet:
    """Return the messages that a query finds among those that the client knows.

    Raises `OutOfTime` where that takes too much of everybody's time.
    """
    box = session.box
    among = UidSet(((1, box.view.highest),)) if len(box.view) else UidSet()
    found = await _Search(session).carry_out(query, among)
    return UidSet.from_sorted(found.among(box.view.index.uids))


@attrs.frozen
class _Records:
    """Leaves of one AND or OR that a record tells; one pass over the records asks all."""

    leaves: Sequence[Leaf]
    is_and: bool

    def found_in(self, leaf: Leaf, batch: Batch, found: set[int]) -> set[int]:
        """Return what is found in a batch with one leaf more."""
        more = in_records(leaf, batch)
        return found.intersection(more) if self.is_and else found.union(more)


@attrs.define
class _Step:
    """A query in the middle of being carried out, and the messages it was asked about."""

    query: Not | And | Or
    among: UidSet
    left: list[Query | _Records]
    found: UidSet

    @classmethod
    def of(cls, query: Not | And | Or, among: UidSet) -> _Step:
        """Begin with a query; what is cheap in it will come first."""
        if isinstance(query, Not):
            return cls(query, among, [query.query], UidSet())
        left = sorted(_gathered(query), key=_cost, reverse=True)
        return cls(query, among, left, among if isinstance(query, And) else UidSet())

    def next(self) -> tuple[Query | _Records, UidSet] | None:
        """Return which query to ask next, and about which messages; None if all is said."""
        open_ = self.found if isinstance(self.query, And) else self.among - self.found
        if not self.left or not open_:
            return None
        return self.left.pop(), open_

    def hear(self, found: UidSet) -> None:
        """Take the answer to what was asked last."""
        self.found = found if isinstance(self.query, And | Not) else self.found | found

    @property
    def answer(self) -> UidSet:
        return self.among - self.found if isinstance(self.query, Not) else self.found


def _gathered(query: And | Or) -> list[Query | _Records]:
    """Return the parts of a query, the leaves that a record tells as one, each once."""
    leaves: dict[Leaf, None] = {}
    others: list[Query | _Records] = []
    for one in query.queries:
        if isinstance(one, Not | And | Or) or one.needs is not Needs.RECORD:
            others.append(one)
        else:
            leaves[one] = None
    if leaves:
        others.append(_Records(list(leaves), isinstance(query, And)))
    return others


def _cost(query: Query | _Records) -> int:
    """Say how much a query costs, as far as that shows on its outside."""
    return Needs.RECORD if isinstance(query, Not | And | Or | _Records) else query.needs


class _Search:
    """One search: its session, and how much time it has taken."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._account = session.account
        self._mailbox = session.box.mailbox.id
        self._seconds = session.rules.seconds
        self._since = self._seconds()
        self._spent = 0.0

    async def carry_out(self, query: Query, among: UidSet) -> UidSet:
        """Return which of some messages a query finds."""
        if not isinstance(query, Not | And | Or):
            return await self._ask(query, among)
        steps = [_Step.of(query, among)]
        while True:
            step = steps[-1]
            following = step.next()
            if following is None:
                steps.pop()
                if not steps:
                    return step.answer
                steps[-1].hear(step.answer)
                continue
            inside, open_ = following
            if isinstance(inside, Not | And | Or):
                steps.append(_Step.of(inside, open_))
            else:
                step.hear(await self._ask(inside, open_))

    async def _ask(self, leaf: Leaf | _Records, among: UidSet) -> UidSet:
        if isinstance(leaf, _Records):
            return await self._by_batch(leaf, among)
        match leaf.needs:
            case Needs.INDEX:
                await self._turn()
                return in_index(leaf, self._session.box.view.index, among)
            case Needs.RECORD:
                return await self._by_batch(_Records([leaf], is_and=True), among)
            case Needs.SUMMARY:
                return await self._by_summary(leaf, among)
            case Needs.HEADER:
                return await self._by_octets(among, _header_test(leaf))
        assert isinstance(leaf, Containing)
        return await self._by_text(leaf, among)

    async def _by_batch(self, records: _Records, among: UidSet) -> UidSet:
        found: list[int] = []
        async for batch in self._batches(among, Wanted.NOTHING):
            here = set(batch.uids) if records.is_and else set()
            for leaf in records.leaves:
                here = records.found_in(leaf, batch, here)
                await self._turn()
                if records.is_and and not here:
                    break
            found += sorted(here)
        return UidSet.from_sorted(found)

    async def _by_summary(self, leaf: Leaf, among: UidSet) -> UidSet:
        found: list[int] = []
        test = summary_test(leaf)
        async for batch in self._batches(among, Wanted.SUMMARY):
            for at, octets in enumerate(batch.summaries):
                try:
                    is_found = test(octets)
                except ValueError:  # of another version: the message is read again
                    anew = await self._summary_anew(batch, at)
                    is_found = anew is not None and test(anew)
                if is_found:
                    found.append(batch.uids[at])
                await self._turn()
        return UidSet.from_sorted(found)

    async def _by_text(self, leaf: Containing, among: UidSet) -> UidSet:
        """Find words in texts: by the store's index, and by reading what it isn't sure of."""
        found, unsure = UidSet(), among
        if not leaf.words:
            return among
        if ISearchable.providedBy(self._account):
            columns = (Column.BODY,) if leaf.field is Field.BODY else tuple(Column)
            told = await self._account.search_text(self._mailbox, [leaf.words], columns)
            found, unsure = told.uids & among, told.unsure & among
            if leaf.field is Field.TEXT:  # fields that no column has
                unsure |= among - found
        seeker = seeker_for(leaf)

        def holds(octets: bytes) -> bool:
            if leaf.field is Field.TEXT and in_header(leaf, octets[: body_begins(octets)]):
                return True
            return seeker.holds(octets)

        return found | await self._by_octets(unsure, holds)

    async def _by_octets(self, among: UidSet, test: Callable[[bytes], bool]) -> UidSet:
        """Return the messages whose octets pass a test."""
        found: list[int] = []
        async for batch in self._batches(among, Wanted.CONTENT):
            for at, octets in enumerate(batch.contents):
                if octets is None:
                    octets = await self._read(batch, at)
                if octets is not None and test(octets):
                    found.append(batch.uids[at])
                await self._turn()
        return UidSet.from_sorted(found)

    async def _batches(self, among: UidSet, wanted: Wanted) -> AsyncIterator[Batch]:
        """Yield records; what it takes to read them counts, but for that of contents.

        Contents are read once for a key that leaves them in question, at the pace of the
        disk; records would be read for each of a thousand keys without an end.
        """
        if not among:
            return
        async with self._account.records(self._mailbox, among, wanted) as cursor:
            while True:
                await self._turn()
                batch = await cursor.next_batch()
                if batch is None:
                    return
                if wanted is Wanted.CONTENT:
                    self._since = self._seconds()
                yield batch

    async def _read(self, batch: Batch, at: int) -> bytes | None:
        """Return what is looked at of a large message; None if it has gone."""
        try:
            content = await self._content(batch, at)
            with closing(content):
                return await content.read(0, min(content.size, LARGEST_READ))
        except NoSuchMessage:
            return None

    async def _summary_anew(self, batch: Batch, at: int) -> bytes | None:
        try:
            content = await self._content(batch, at)
            with closing(content):
                return (await summary_of(content)).octets
        except NoSuchMessage:
            return None

    async def _content(self, batch: Batch, at: int) -> Content:
        wanted = UidSet.of(batch.uids[at])
        async with self._account.records(self._mailbox, wanted) as cursor:
            one = await cursor.next_batch()
        if one is None:
            raise NoSuchMessage(f"UID {batch.uids[at]} has gone")
        return await self._account.content(next(one.records()))

    async def _turn(self) -> None:
        """Let others go on when this has taken a slice of time; asked after each message.

        Raises `OutOfTime`.
        """
        now = self._seconds()
        if now - self._since < SLICE:
            return
        self._spent += now - self._since
        if self._spent > LONGEST_SEARCH:
            raise OutOfTime(f"a search of over {LONGEST_SEARCH} s")
        await self._session.connection.turn()
        self._since = self._seconds()


def _header_test(leaf: Leaf) -> Callable[[bytes], bool]:
    return lambda octets: in_header(leaf, octets[: body_begins(octets)])
