"""Appending messages: those of many callers together, each all or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from itertools import groupby

import attrs

from mailplat.mail.errors import MailError, NoSuchMailbox, NoSuchMessage
from mailplat.mail.mailbox import Appended, MailboxId, ModSeq, Replaced, Uid, UidSet
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Allowance, Amount
from mailplat.sql import Connection
from mailplat.store.indexed.queries import room
from mailplat.store.indexed.queries.arrivals import Arrival, Arrived, Stored, add
from mailplat.store.indexed.queries.changes import (
    Done,
    email_id,
    number_of,
    thread_id,
)
from mailplat.store.indexed.queries.flags import spelt
from mailplat.store.indexed.queries.mailboxes import claim_each
from mailplat.store.indexed.queries.places import Place, drop_places, places_of


@attrs.frozen
class Addition:
    """Messages to be appended to a mailbox (see `IAccount.append`)."""

    account: AccountId
    mailbox: MailboxId
    messages: Sequence[Stored]
    now: float
    replacing: Replaced | None = None
    allowance: Allowance = Allowance()

    @property
    def number(self) -> int:
        """The number of the mailbox."""
        return number_of(self.mailbox)

    @property
    def touched(self) -> frozenset[MailboxId]:
        """The mailboxes in which something changes."""
        if self.replacing:
            return frozenset({self.mailbox, self.replacing.mailbox})
        return frozenset({self.mailbox})

    @property
    def unneeded(self) -> tuple[str, ...]:
        """The keys that are left over where it is refused."""
        return tuple(key for one in self.messages for key in one.unneeded)


@attrs.frozen
class _Coming:
    """An addition, and what it takes the place of."""

    addition: Addition
    replaced: Sequence[Place] = ()

    @property
    def account(self) -> AccountId:
        return self.addition.account

    @property
    def allowance(self) -> Allowance:
        return self.addition.allowance

    @property
    def amount(self) -> Amount:
        messages = self.addition.messages
        return Amount(sum(one.size for one in messages), len(messages))

    @property
    def going(self) -> Amount:
        return Amount(sum(one.size for one in self.replaced), len(self.replaced))


def append(db: Connection, additions: Sequence[Addition]) -> list[Done]:
    """Make additions, each all or none.

    One that can't be made answers with the `MailError`, so that it undoes no others.
    """
    return [done for some in _side_by_side(additions) for done in _append(db, some)]


def _side_by_side(additions: Sequence[Addition]) -> Iterator[Sequence[Addition]]:
    """Part them so that nothing takes the place of what comes or goes beside it."""
    for replaces, some in groupby(additions, lambda one: one.replacing is not None):
        if replaces:
            yield from ([one] for one in some)
        else:
            yield list(some)


def _append(db: Connection, additions: Sequence[Addition]) -> list[Done]:
    wanted = {(one.account, number_of(box)) for one in additions for box in one.touched}
    boxes = room.boxes_and_quotas(db, sorted(wanted))
    outcomes: list[Done | _Coming] = [_looked_up(db, one, boxes) for one in additions]
    coming = [one for one in outcomes if isinstance(one, _Coming)]
    quotas = {account: quota for (account, _), quota in boxes.items()}
    admission = room.insist_each(db, coming, quotas)
    refused = {id(coming[at]): error for at, error in admission.refusals.items()}
    news = dict(admission.news)
    admitted = [one for one in coming if id(one) not in refused]
    added = _add(db, admitted)
    done: list[Done] = []
    for one in outcomes:
        if isinstance(one, Done):
            done.append(one)
        elif error := refused.get(id(one)):
            done.append(_refused(one.addition, error))
        else:
            warning = news.pop(one.account, None)
            done.append(attrs.evolve(next(added), news=(warning,) if warning else ()))
    return done


def _looked_up(
    db: Connection, addition: Addition, boxes: Container[tuple[AccountId, int]]
) -> Done | _Coming:
    """Return what an addition brings and what it replaces, or why it can't be made."""
    account, replacing = addition.account, addition.replacing
    for box in addition.touched:
        if (account, number_of(box)) not in boxes:
            return _refused(addition, NoSuchMailbox(f"{account} has no mailbox {box}"))
    replaced: Sequence[Place] = ()
    if replacing:
        source, uids = number_of(replacing.mailbox), UidSet.of(replacing.uid)
        replaced = places_of(db, account, source, uids)
        if not replaced:
            return _refused(addition, NoSuchMessage(f"{replacing} has gone"))
    if not addition.messages:
        return Done([], ModSeq(0), frozenset())
    return _Coming(addition, replaced)


def _refused(addition: Addition, error: MailError) -> Done:
    return Done(error, ModSeq(0), frozenset(), addition.unneeded)


def _add(db: Connection, coming: Sequence[_Coming]) -> Iterator[Done]:
    """Add what has room, and yield what came of each."""
    if not coming:
        return iter(())
    counts = Counter(one.account for one in coming)
    claimed = claim_each(db, counts, max(one.addition.now for one in coming))
    modseqs: list[ModSeq] = []
    for one in coming:
        modseqs.append(claimed[one.account])
        claimed[one.account] = ModSeq(claimed[one.account] + 1)
    arrivals = [
        _arrival(db, one.addition, message, modseq)
        for one, modseq in zip(coming, modseqs, strict=True)
        for message in one.addition.messages
    ]
    arrived = iter(add(db, arrivals))
    done = [
        _done(one.addition, modseq, [next(arrived) for _ in one.addition.messages])
        for one, modseq in zip(coming, modseqs, strict=True)
    ]
    for one, modseq in zip(coming, modseqs, strict=True):
        if one.addition.replacing:
            source = number_of(one.addition.replacing.mailbox)
            drop_places(db, one.account, source, one.replaced, modseq)
    return iter(done)


def _arrival(db: Connection, addition: Addition, message: Stored, modseq: ModSeq) -> Arrival:
    flags = spelt(db, addition.account, message.flags)
    return Arrival(addition.account, modseq, message, {addition.number: flags}, addition.now)


def _done(addition: Addition, modseq: ModSeq, arrived: Sequence[Arrived]) -> Done:
    appended = [
        Appended(
            Uid(one.uids[addition.number]), modseq, email_id(one.email), thread_id(one.thread)
        )
        for one in arrived
    ]
    left = tuple(key for one in arrived for key in one.left)
    return Done(appended, modseq, addition.touched, left)
