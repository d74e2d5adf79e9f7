"""How much room accounts have, asked before a message comes and while it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from mailplat.interfaces import IAllowances, WallClock
from mailplat.mail.errors import OverQuota
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Allowance, Amount, refusal
from mailplat.sql import Database
from mailplat.store.indexed import queries

FRESH = 10.0  # seconds for which an account that had room counts as having it
MOST = 10000  # accounts of which that is remembered
BOUNDLESS = Amount(2**62, 2**62)
NO_LIMITS = Allowance()


@attrs.frozen
class _Left:
    """What an account had left, and until when that is believed."""

    amount: Amount
    until: float


class Rooms:
    """Knows what the house gives, and remembers for some seconds who had room.

    So a recipient that gets much costs no thread for each message.  Nobody
    counts on it: the delivery itself is what finds room or doesn't.
    """

    def __init__(
        self,
        database: Database,
        wall: WallClock,
        allowances: IAllowances | None,
        commit: Callable[..., Any],
    ) -> None:
        self._database = database
        self._wall = wall
        self._allowances = allowances
        self._commit = commit
        self._left: dict[AccountId, _Left] = {}

    async def allowance(self, account: AccountId) -> Allowance:
        """Return what the house gives to an account."""
        return await self._allowances.allowance(account) if self._allowances else NO_LIMITS

    async def why_full(self, account: AccountId, size: int) -> OverQuota | None:
        """Return why so many octets would be refused now (see `IQuotaStore`)."""
        now = self._wall.seconds()
        left = self._left.get(account)
        if left and now < left.until and _fits(left.amount, size):
            return None
        allowance = await self.allowance(account)
        standing = await self._database.read(queries.room.standing, account, allowance)
        if standing is None:
            self._remember(account, BOUNDLESS, now)
            return None
        bounds, used = standing.bounds, standing.used
        amount = Amount(
            BOUNDLESS.storage if bounds.storage is None else bounds.storage - used.storage,
            BOUNDLESS.messages if bounds.messages is None else bounds.messages - used.messages,
        )
        if _fits(amount, size):
            self._remember(account, amount, now)
            return None
        if standing.full_since is None:
            await self._commit(queries.room.note_full, account, allowance, now)
        return refusal(account, allowance, standing.full_since, now)

    async def change(self, account: AccountId, limits: Mapping[str, int | None]) -> None:
        """Give an account its own limits (see `IQuota`)."""
        allowance = await self.allowance(account)
        await self._commit(queries.room.set_quota, account, limits, allowance)
        self._left.pop(account, None)

    def _remember(self, account: AccountId, amount: Amount, now: float) -> None:
        if len(self._left) >= MOST:
            self._left.clear()
        self._left[account] = _Left(amount, now + FRESH)


def _fits(left: Amount, size: int) -> bool:
    return left.storage >= size and left.messages >= 1
