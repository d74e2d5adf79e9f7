"""Quotas: what accounts have taken, what they may take, and whether they have heard of it.

What is taken is summed up from the mailboxes when it is asked for, and only of
accounts that have a limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from mailplat.mail.errors import OverQuota
from mailplat.mail.events import AccountNearlyFull
from mailplat.mail.mailbox import ModSeq
from mailplat.mail.people import AccountId
from mailplat.mail.quota import (
    MESSAGE,
    STORAGE,
    Allowance,
    Amount,
    Bounds,
    Room,
    Standing,
    Usage,
    refusal,
    rooms,
    warning_key,
)
from mailplat.sql import Connection, bulk
from mailplat.store.indexed.queries.changes import Done

NO_LIMIT = -1


@attrs.frozen
class Quota:
    """A row of `store_quotas`, or what stands for one."""

    storage: int | None = None
    messages: int | None = None
    full_since: float | None = None
    crossing: int = 0
    warned: bool = False

    @property
    def own(self) -> dict[str, int | None]:
        """The account's own limits."""
        named = {STORAGE: self.storage, MESSAGE: self.messages}
        return {
            name: None if most == NO_LIMIT else most
            for name, most in named.items()
            if most is not None
        }


def _quotas(db: Connection, accounts: Sequence[AccountId]) -> dict[AccountId, Quota]:
    rows = bulk(
        db,
        "SELECT account, storage, messages, full_since, crossing, warned FROM store_quotas"
        " WHERE account IN (VALUES {rows})",
        [(account,) for account in accounts],
    )
    return {
        account: Quota(storage, messages, since, crossing, bool(warned))
        for account, storage, messages, since, crossing, warned in rows
    }


def boxes_and_quotas(
    db: Connection, boxes: Sequence[tuple[AccountId, int]]
) -> dict[tuple[AccountId, int], Quota]:
    """Return those of the mailboxes that there are, each with what its account's room is."""
    rows = bulk(
        db,
        "SELECT m.account, m.mailbox, q.storage, q.messages, q.full_since,"
        " coalesce(q.crossing, 0), coalesce(q.warned, 0)"
        " FROM store_mailboxes m LEFT JOIN store_quotas q ON q.account = m.account"
        " WHERE (m.account, m.mailbox) IN (VALUES {rows})",
        boxes,
    )
    return {
        (account, number): Quota(storage, messages, since, crossing, bool(warned))
        for account, number, storage, messages, since, crossing, warned in rows
    }


def _used(db: Connection, accounts: Sequence[AccountId]) -> dict[AccountId, Amount]:
    rows = bulk(
        db,
        "SELECT account, CAST(sum(size) AS BIGINT), CAST(sum(messages) AS BIGINT)"
        " FROM store_mailboxes WHERE account IN (VALUES {rows}) GROUP BY account",
        [(account,) for account in accounts],
    )
    return {account: Amount(size, messages) for account, size, messages in rows}


def standings(
    db: Connection, allowances: Mapping[AccountId, Allowance]
) -> dict[AccountId, Standing]:
    """Return how those accounts stand that have any limit."""
    return _standings(db, allowances, _quotas(db, sorted(allowances)))


def _standings(
    db: Connection,
    allowances: Mapping[AccountId, Allowance],
    quotas: Mapping[AccountId, Quota],
) -> dict[AccountId, Standing]:
    bounds = {
        account: allowance.bounds.with_own(quotas[account].own)
        if account in quotas
        else allowance.bounds
        for account, allowance in allowances.items()
    }
    bounded = sorted(account for account, one in bounds.items() if one)
    used = _used(db, bounded) if bounded else {}
    found: dict[AccountId, Standing] = {}
    for account in bounded:
        quota = quotas.get(account, Quota())
        found[account] = Standing(
            used.get(account, Amount()),
            bounds[account],
            quota.full_since,
            quota.crossing,
            quota.warned,
        )
    return found


def _write(db: Connection, account: AccountId, before: Standing, now: Standing) -> None:
    """Remember what has changed beside what is taken."""
    if attrs.evolve(before, used=now.used) == now:
        return
    db.execute(
        "INSERT INTO store_quotas VALUES (?, NULL, NULL, ?, ?, ?)"
        " ON CONFLICT (account) DO UPDATE SET full_since = excluded.full_since,"
        " crossing = excluded.crossing, warned = excluded.warned",
        (account, now.full_since, now.crossing, int(now.warned)),
    )


# What comes ------------------------------------------------------------------


class Coming(Protocol):
    """A delivery as this room sees it."""

    @property
    def account(self) -> AccountId:
        """Who is to get it."""

    @property
    def key(self) -> str:
        """The delivery's key."""

    @property
    def amount(self) -> Amount:
        """How much room it takes."""

    @property
    def allowance(self) -> Allowance:
        """What the account's house gives it."""

    @property
    def beyond_quota(self) -> bool:
        """Whether it is kept though there is no room."""

    @property
    def now(self) -> float:
        """When it comes."""


@attrs.frozen
class Admission:
    """Which deliveries have room, by their places in the line, and who is to be warned."""

    refusals: Mapping[int, OverQuota]
    news: Mapping[AccountId, AccountNearlyFull]


def admit(db: Connection, coming: Sequence[Coming]) -> Admission:
    """Let in what there is room for, each as if those before it had come."""
    allowances = {one.account: one.allowance for one in coming}
    before = standings(db, allowances)
    after = dict(before)
    refusals: dict[int, OverQuota] = {}
    for at, one in enumerate(coming):
        standing = after.get(one.account)
        if standing is None:
            continue
        more = standing.with_more(one.amount, one.allowance)
        if not one.beyond_quota and not standing.bounds.hold(more.used):
            after[one.account] = standing.refused(one.now)
            refusals[at] = refusal(one.account, one.allowance, standing.full_since, one.now)
        elif one.key == warning_key(one.account, standing.crossing):
            after[one.account] = attrs.evolve(standing, used=more.used, warned=True)
        else:
            after[one.account] = more
    return Admission(refusals, _written(db, allowances, before, after))


def _written(
    db: Connection,
    allowances: Mapping[AccountId, Allowance],
    before: Mapping[AccountId, Standing],
    after: Mapping[AccountId, Standing],
) -> dict[AccountId, AccountNearlyFull]:
    """Remember how accounts stand now; return who is to be warned."""
    news: dict[AccountId, AccountNearlyFull] = {}
    for account, standing in after.items():
        _write(db, account, before[account], standing)
        if standing.should_hear(allowances[account]):
            news[account] = _news(account, standing)
    return news


class Adding(Protocol):
    """What an account adds itself, as this room sees it."""

    @property
    def account(self) -> AccountId:
        """Who adds it."""

    @property
    def amount(self) -> Amount:
        """How much room it takes."""

    @property
    def going(self) -> Amount:
        """How much room is given up for it."""

    @property
    def allowance(self) -> Allowance:
        """What the account's house gives it."""


@attrs.frozen
class _Adding:
    account: AccountId
    amount: Amount
    allowance: Allowance
    going: Amount = Amount()


def insist_each(
    db: Connection, adding: Sequence[Adding], quotas: Mapping[AccountId, Quota]
) -> Admission:
    """Let in what accounts add themselves, each as if those before it had come.

    ``quotas`` are what is remembered of them.  What is no larger than what goes for it has
    room.  Nobody hears of a refusal but who is refused, and none makes an account count as
    full.
    """
    allowances = {one.account: one.allowance for one in adding}
    before = _standings(db, allowances, quotas)
    after = dict(before)
    refusals: dict[int, OverQuota] = {}
    for at, one in enumerate(adding if before else ()):
        standing = after.get(one.account)
        if standing is None:
            continue
        more = standing.with_more(one.amount - one.going, one.allowance)
        replaced = Bounds(one.going.storage, one.going.messages)
        if not standing.bounds.hold(more.used) and not replaced.hold(one.amount):
            refusals[at] = OverQuota(f"{one.account} is full")
        else:
            after[one.account] = more
    return Admission(refusals, _written(db, allowances, before, after))


def insist(
    db: Connection, account: AccountId, allowance: Allowance, coming: Amount
) -> tuple[AccountNearlyFull, ...]:
    """Raise `OverQuota` unless there is room for what an account adds itself.

    Return what is to be told once it is there.
    """
    admission = insist_each(db, [_Adding(account, coming, allowance)], _quotas(db, [account]))
    for error in admission.refusals.values():
        raise error
    return tuple(admission.news.values())


def _news(account: AccountId, standing: Standing) -> AccountNearlyFull:
    bounds, used = standing.bounds, standing.used
    return AccountNearlyFull(
        account,
        warning_key(account, standing.crossing),
        rooms(used, Allowance(bounds), {}),
    )


# What is asked and set -------------------------------------------------------


def standing(db: Connection, account: AccountId, allowance: Allowance) -> Standing | None:
    """Return how an account stands, if it has any limit."""
    return standings(db, {account: allowance}).get(account)


def note_full(db: Connection, account: AccountId, allowance: Allowance, now: float) -> Done:
    """Remember since when an account is full that refuses before the content comes."""
    found = standing(db, account, allowance)
    if found is not None:
        _write(db, account, found, found.refused(now))
    return _told(found, account, allowance)


def _told(found: Standing | None, account: AccountId, allowance: Allowance) -> Done:
    hears = found is not None and found.should_hear(allowance)
    news = (_news(account, found),) if found and hears else ()
    return Done(None, ModSeq(0), frozenset(), news=news)


def quota(db: Connection, account: AccountId, allowance: Allowance) -> dict[str, Room]:
    """Return what there is of each resource (see `IQuota.quota`)."""
    own = _quotas(db, [account]).get(account, Quota()).own
    return rooms(_used(db, [account]).get(account, Amount()), allowance, own)


def set_quota(
    db: Connection,
    account: AccountId,
    limits: Mapping[str, int | None],
    allowance: Allowance,
) -> Done:
    """Give an account its own limits (see `IQuota.set_quota`); it counts as full no more."""
    written = [
        NO_LIMIT if name in limits and limits[name] is None else limits.get(name)
        for name in (STORAGE, MESSAGE)
    ]
    db.execute(
        "INSERT INTO store_quotas VALUES (?, ?, ?, NULL, 0, 0)"
        " ON CONFLICT (account) DO UPDATE SET storage = excluded.storage,"
        " messages = excluded.messages, full_since = NULL,"
        " crossing = store_quotas.crossing + store_quotas.warned, warned = 0",
        (account, *written),
    )
    return _told(standing(db, account, allowance), account, allowance)


def usage(db: Connection) -> dict[AccountId, Usage]:
    """Return what each account takes (see `IUsage.usage`)."""
    rows = db.all(
        "SELECT m.account, CAST(sum(m.size) AS BIGINT), CAST(sum(m.messages) AS BIGINT),"
        " max(q.storage), max(q.messages) FROM store_mailboxes m"
        " LEFT JOIN store_quotas q ON q.account = m.account GROUP BY m.account"
    )
    kept = {
        account: Amount(size, messages)
        for account, size, messages in db.all(
            "SELECT x.account, CAST(sum(e.size) AS BIGINT), count(*) FROM"
            " (SELECT DISTINCT account, email FROM store_expunged) x"
            " JOIN store_emails e ON e.account = x.account AND e.email = x.email"
            " WHERE e.places = 0 GROUP BY x.account"
        )
    }
    return {
        account: Usage(
            Amount(size, messages),
            kept.get(account, Amount()),
            Quota(own_storage, own_messages).own,
        )
        for account, size, messages, own_storage, own_messages in rows
    }
