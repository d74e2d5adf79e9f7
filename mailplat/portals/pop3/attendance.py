"""Who has which maildrop open, and who had one just now (RFC 2449 section 8.1)."""

from __future__ import annotations

from collections import Counter, defaultdict

from twisted.internet.interfaces import IReactorTime

from mailplat.mail.errors import InUse, LoginTooSoon
from mailplat.mail.people import AccountId


class Attendance:
    """Counts the sessions of each account, at all POP3 portals of the house.

    Logins are counted apart for each delay, so that a portal holds to the one it
    announces, whatever others do.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._present: Counter[AccountId] = Counter()
        self._logins: defaultdict[float, dict[AccountId, float]] = defaultdict(dict)
        """By delay, when each account's last login was, the oldest first."""

    def enter(self, account: AccountId, *, exclusive: bool, delay: float) -> None:
        """Let one more session in; `leave` must follow.

        Raises `InUse` if it is to be the only one and isn't, `LoginTooSoon` if
        the last login under the same delay is less than ``delay`` seconds ago.
        """
        if exclusive and self._present[account]:
            raise InUse("another session has the maildrop")
        if delay:
            self._note_login(account, delay)
        self._present[account] += 1

    def leave(self, account: AccountId) -> None:
        """Count a session no longer."""
        self._present[account] -= 1
        if not self._present[account]:
            del self._present[account]

    def _note_login(self, account: AccountId, delay: float) -> None:
        now, logins = self._clock.seconds(), self._logins[delay]
        while logins and not 0 <= now - next(iter(logins.values())) < delay:
            del logins[next(iter(logins))]
        if account in logins:
            raise LoginTooSoon(f"{now - logins[account]:.0f} s after the last login")
        logins[account] = now
