"""How much room an account has, how much of it is taken, and what follows (RFC 9208)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mailplat.mail.errors import LongOverQuota, OverQuota
from mailplat.mail.people import AccountId

STORAGE = "STORAGE"  # octets here; RFC 9208 section 5.1 counts in units of 1024
MESSAGE = "MESSAGE"
A_DAY = 24 * 3600.0


@attrs.frozen
class Amount:
    """So many octets in so many messages; one that lies in two mailboxes is two."""

    storage: int = 0
    messages: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.storage + other.storage, self.messages + other.messages)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.storage - other.storage, self.messages - other.messages)


@attrs.frozen
class Bounds:
    """The most that there may be of each; None: no limit."""

    storage: int | None = None
    messages: int | None = None

    def __bool__(self) -> bool:
        return self.storage is not None or self.messages is not None

    def hold(self, amount: Amount) -> bool:
        """Whether so much fits."""
        return self.are_under(amount, 100)

    def are_under(self, amount: Amount, percent: int) -> bool:
        """Whether so much is at most that share of them."""
        return all(
            most is None or used * 100 <= most * percent
            for used, most in (
                (amount.storage, self.storage),
                (amount.messages, self.messages),
            )
        )

    def with_own(self, own: Mapping[str, int | None]) -> Bounds:
        """Return these with an account's own limits in their place, where it has any."""
        return Bounds(own.get(STORAGE, self.storage), own.get(MESSAGE, self.messages))


@attrs.frozen
class Allowance:
    """What the house gives an account that has no limits of its own.

    Mail for one that is full is refused for now for ``patience`` seconds, and then
    for good; it hears of it once when more than ``warn_at`` percent are taken (100:
    never).
    """

    bounds: Bounds = Bounds()
    patience: float = 3 * A_DAY
    warn_at: int = 90


@attrs.frozen
class Room:
    """What is taken of one resource, and its limit; None: there is none.

    ``is_own`` says that the limit is the account's own and not the house's.
    """

    used: int
    limit: int | None
    is_own: bool = False


@attrs.frozen
class Standing:
    """How an account stands with its room, as its store remembers it.

    ``full_since`` is when the first message was refused behind which none has
    fitted; ``crossing`` counts how often the account came to be nearly full, and
    ``warned`` says whether it has heard of it.
    """

    used: Amount
    bounds: Bounds
    full_since: float | None = None
    crossing: int = 0
    warned: bool = False

    def with_more(self, amount: Amount, allowance: Allowance) -> Standing:
        """Return how it stands when so much more has come."""
        used = self.used + amount
        over = self.warned and self.bounds.are_under(used, allowance.warn_at)
        return attrs.evolve(
            self,
            used=used,
            full_since=None,
            crossing=self.crossing + over,
            warned=self.warned and not over,
        )

    def refused(self, now: float) -> Standing:
        """Return how it stands when something didn't fit."""
        since = now if self.full_since is None else self.full_since
        return attrs.evolve(self, full_since=since)

    def should_hear(self, allowance: Allowance) -> bool:
        """Whether the account is nearly full and has not been told."""
        return (
            not self.warned
            and allowance.warn_at < 100
            and not self.bounds.are_under(self.used, allowance.warn_at)
        )


def rooms(used: Amount, allowance: Allowance, own: Mapping[str, int | None]) -> dict[str, Room]:
    """Return what there is of each resource."""
    bounds = allowance.bounds.with_own(own)
    return {
        STORAGE: Room(used.storage, bounds.storage, STORAGE in own),
        MESSAGE: Room(used.messages, bounds.messages, MESSAGE in own),
    }


def refusal(
    account: AccountId, allowance: Allowance, full_since: float | None, now: float
) -> OverQuota:
    """Return what the sender hears of an account that has been full since then."""
    if full_since is not None and now - full_since >= allowance.patience:
        return LongOverQuota(f"{account} has been full since {full_since:.0f}")
    return OverQuota(f"{account} is full")


def warning_key(account: AccountId, crossing: int) -> str:
    """Return the key of the delivery that tells an account that it is nearly full.

    ``crossing`` counts how often it has come to that.
    """
    return f"nearly-full {crossing} {account}"


@attrs.frozen
class Usage:
    """What an account takes, and the limits that are its own.

    ``kept`` is what has been expunged and can still be brought back.
    """

    amount: Amount = Amount()
    kept: Amount = Amount()
    own: Mapping[str, int | None] = attrs.field(factory=dict)
