"""Makes those who guess passwords wait, without keeping anybody else from working."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mailplat.mail.errors import LoginUnavailable

FIRST_WAIT = 1.0  # seconds, doubled with each further wrong password
LONGEST_WAIT = 15.0
LONGEST_QUEUE = 60.0  # seconds; who would have to wait longer is turned away
AT_ONCE = 4  # tries that may be under way where they wait for each other
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


@attrs.define
class _Tries:
    """Those of one key that have not been judged yet."""

    under_way: int = 0
    line: deque[Deferred[None]] = attrs.Factory(deque)  # of those who wait for a place


class Guessers(Generic[K]):
    """Remembers wrong passwords by some key, and how long the next try must wait.

    Somebody who says the same wrong password again and again is no guesser but
    a device with an old password: it counts once.  ``in_turn`` says whether
    tries of one key wait for each other: then no more than `AT_ONCE` are under
    way, and the others know by their turn what came of those.  Else a try waits
    as if all that are under way were wrong.  Either way more connections buy no
    more tries.
    """

    def __init__(self, clock: IReactorTime, *, free: int, in_turn: bool) -> None:
        self._clock = clock
        self._free = free
        self._in_turn = in_turn
        self._guessers: dict[K, _Guesser] = {}  # those who last did wrong are last
        self._tries: dict[K, _Tries] = {}

    async def turn(self, key: K) -> AbstractContextManager[None]:
        """Return when the key may try what is tried in the ``with`` statement.

        Raises `LoginUnavailable` if too many wait.
        """
        came = self._clock.seconds()
        tries = self._tries.setdefault(key, _Tries())
        if self._in_turn and tries.under_way >= AT_ONCE:
            await self._stand_in_line(key, tries)
        else:
            tries.under_way += 1
        try:
            await self._pause(key, tries, came)
        except BaseException:
            self._make_room(key, tries)
            raise
        return self._under_way(key, tries)

    @contextmanager
    def _under_way(self, key: K, tries: _Tries) -> Iterator[None]:
        try:
            yield
        finally:
            self._make_room(key, tries)

    async def _stand_in_line(self, key: K, tries: _Tries) -> None:
        place: Deferred[None] = Deferred()
        tries.line.append(place)
        try:
            await place
        except BaseException:
            if place in tries.line:
                tries.line.remove(place)
            else:  # it was about to be had
                self._make_room(key, tries)
            raise

    def _make_room(self, key: K, tries: _Tries) -> None:
        """Give a place to who waits for it, on the next turn of the clock."""
        if tries.line:
            self._clock.callLater(0, tries.line.popleft().callback, None)
            return
        tries.under_way -= 1
        if not tries.under_way:
            del self._tries[key]

    async def _pause(self, key: K, tries: _Tries, came: float) -> None:
        guesser, now = self._find(key), self._clock.seconds()
        wrong = guesser.wrong if guesser else 0
        if not self._in_turn:
            wrong += tries.under_way - 1
        if wrong <= self._free:
            return
        pause = min(FIRST_WAIT * 2 ** min(wrong - self._free - 1, 16), LONGEST_WAIT)
        begin = max(now, guesser.free_at) if guesser and self._in_turn else now
        if begin + pause - came > LONGEST_QUEUE:
            raise LoginUnavailable(f"too many guesses by {key}")
        if guesser:
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
