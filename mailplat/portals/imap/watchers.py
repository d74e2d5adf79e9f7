"""Tells the sessions of an account that something has changed in it."""

from __future__ import annotations

from typing import Protocol

from mailplat.interfaces import IBus
from mailplat.mail.events import AccountChanged
from mailplat.mail.people import AccountId


class Watcher(Protocol):
    """Wants to hear of one account."""

    def hear(self, event: AccountChanged) -> None:
        """Hear what has changed; it is durable."""


class Watchers:
    """All IMAP sessions of a portal by their accounts, behind one subscription to the bus."""

    def __init__(self, bus: IBus) -> None:
        self._watching: dict[AccountId, list[Watcher]] = {}
        self._stop_hearing = bus.subscribe(AccountChanged, self._tell)

    def join(self, account: AccountId, watcher: Watcher) -> None:
        """Tell this one too; `leave` must follow."""
        self._watching.setdefault(account, []).append(watcher)

    def leave(self, account: AccountId, watcher: Watcher) -> None:
        """Tell it no more."""
        watching = self._watching[account]
        watching.remove(watcher)
        if not watching:
            del self._watching[account]

    def close(self) -> None:
        """Hear of nothing any more."""
        self._stop_hearing()

    def _tell(self, event: AccountChanged) -> None:
        for watcher in tuple(self._watching.get(event.account, ())):
            watcher.hear(event)
