"""What an account in memory has taken of its room."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mailplat.mail.errors import OverQuota
from mailplat.mail.events import AccountNearlyFull
from mailplat.mail.people import AccountId
from mailplat.mail.quota import (
    Allowance,
    Amount,
    Bounds,
    Room,
    Standing,
    refusal,
    rooms,
    warning_key,
)


@attrs.define
class Quota:
    """An account's own limits, and what is remembered of how it stands."""

    account: AccountId
    own: Mapping[str, int | None] = attrs.field(factory=dict)
    last: Standing = Standing(Amount(), Bounds())

    def standing(self, used: Amount, allowance: Allowance) -> Standing:
        return attrs.evolve(self.last, used=used, bounds=allowance.bounds.with_own(self.own))

    def rooms(self, used: Amount, allowance: Allowance) -> Mapping[str, Room]:
        return rooms(used, allowance, self.own)

    def change(self, limits: Mapping[str, int | None]) -> None:
        crossing = self.last.crossing + self.last.warned
        self.own = dict(limits)
        self.last = attrs.evolve(self.last, full_since=None, crossing=crossing, warned=False)

    def admit(
        self, used: Amount, more: Amount, allowance: Allowance, now: float, key: str
    ) -> None:
        """Count a delivery; raises `OverQuota` where there is no room."""
        before = self.standing(used, allowance)
        after = before.with_more(more, allowance)
        if not before.bounds.hold(after.used):
            self.last = before.refused(now)
            raise refusal(self.account, allowance, before.full_since, now)
        self.count(used, more, allowance, key)

    def count(self, used: Amount, more: Amount, allowance: Allowance, key: str = "") -> None:
        """Count what comes, whether there is room or not."""
        before = self.standing(used, allowance)
        if key == warning_key(self.account, before.crossing):
            self.last = attrs.evolve(before, used=used + more, warned=True)
        else:
            self.last = before.with_more(more, allowance)

    def insist(self, used: Amount, coming: Amount, going: Amount, allowance: Allowance) -> None:
        """Count what an account adds itself; raises `OverQuota` where there is no room."""
        before = self.standing(used, allowance)
        fits = before.bounds.hold(used + coming - going)
        if not fits and not Bounds(going.storage, going.messages).hold(coming):
            raise OverQuota(f"{self.account} is full")
        self.last = before.with_more(coming - going, allowance)

    def why_full(
        self, used: Amount, size: int, allowance: Allowance, now: float
    ) -> OverQuota | None:
        before = self.standing(used, allowance)
        if before.bounds.hold(used + Amount(size, 1)):
            return None
        self.last = before.refused(now)
        return refusal(self.account, allowance, before.full_since, now)

    def news(self, used: Amount, allowance: Allowance) -> list[AccountNearlyFull]:
        """Return what is to be told of the account."""
        now = self.standing(used, allowance)
        if not now.should_hear(allowance):
            return []
        key = warning_key(self.account, now.crossing)
        return [AccountNearlyFull(self.account, key, rooms(used, allowance, self.own))]
