"""Makes those who guess passwords wait, without keeping anybody else from working."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mailplat.mail.errors import LoginUnavailable

FIRST_WAIT = 1.0  # seconds, doubled with each further wrong password
LONGEST_WAIT = 15.0
LONGEST_QUEUE = 60.0  # seconds; who would have to wait longer is turned away
FREE_GUESSES = 5  # wrong passwords of one account before its guessers wait
FORGIVEN_AFTER = 900.0  # seconds without a wrong password
REMEMBERED = 10_000  # guessers of each kind
DISTINCT = 8  # wrong passwords remembered of each, so that none counts twice

K = TypeVar("K")


@attrs.define
class _Guesser:
    wrong: int = 0
    last: float = 0.0  # when the last wrong password came
    free_at: float = 0.0  # when the next try may be made
    tried: list[bytes] = attrs.Factory(list)


class Guessers(Generic[K]):
    """Remembers wrong passwords by some key, and how long the next try must wait.

    Somebody who says the same wrong password again and again is no guesser but
    a device with an old password: it counts once.  ``in_turn`` says whether
    tries of one key wait for each other, so that more connections buy no more
    tries.
    """

    def __init__(self, clock: IReactorTime, *, free: int, in_turn: bool) -> None:
        self._clock = clock
        self._free = free
        self._in_turn = in_turn
        self._guessers: dict[K, _Guesser] = {}  # those who last did wrong are last

    async def wait(self, key: K) -> None:
        """Return when the key may try; raises `LoginUnavailable` if too many wait."""
        guesser = self._find(key)
        if guesser is None or guesser.wrong <= self._free:
            return
        now = self._clock.seconds()
        pause = min(FIRST_WAIT * 2 ** min(guesser.wrong - self._free - 1, 16), LONGEST_WAIT)
        begin = max(now, guesser.free_at) if self._in_turn else now
        if begin + pause - now > LONGEST_QUEUE:
            raise LoginUnavailable(f"too many guesses by {key}")
        guesser.free_at = begin + pause
        await _sleep(self._clock, begin + pause - now)

    def wrong(self, key: K, secret: bytes) -> None:
        """Remember a wrong try; ``secret`` is a keyed hash of what was said."""
        guesser = self._find(key) or _Guesser()
        self._guessers.pop(key, None)
        self._guessers[key] = guesser
        guesser.last = self._clock.seconds()
        if secret not in guesser.tried:
            guesser.wrong += 1
            guesser.tried = [*guesser.tried, secret][-DISTINCT:]
        if len(self._guessers) > REMEMBERED:
            del self._guessers[next(iter(self._guessers))]

    def right(self, key: K) -> None:
        """Forgive everything."""
        self._guessers.pop(key, None)

    def _find(self, key: K) -> _Guesser | None:
        guesser = self._guessers.get(key)
        if guesser and self._clock.seconds() - guesser.last >= FORGIVEN_AFTER:
            del self._guessers[key]
            return None
        return guesser


async def _sleep(clock: IReactorTime, seconds: float) -> None:
    rested: Deferred[None] = Deferred(lambda _: call.cancel())
    call = clock.callLater(seconds, rested.callback, None)
    await rested
