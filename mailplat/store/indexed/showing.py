"""Tells a place of contents that shows mailboxes what has been committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.interfaces import IPlacedContents
from mailplat.mail.errors import ShuttingDown
from mailplat.mail.people import AccountId
from mailplat.mail.placing import Unshown
from mailplat.sql import Database
from mailplat.store.indexed import queries
from mailplat.store.indexed.queries.showing import AsShown, ToShow
from mailplat.workers import Rounds


class Showing:
    """Shows each account's changes behind their commits, one telling after the other.

    What is told is how things are, as far as they have changed since what was told
    last; so a telling that failed, or that a crash cut short, is made up for by the
    next, at the latest after a start.
    """

    log = Logger()

    def __init__(self, database: Database, place: IPlacedContents) -> None:
        self._database = database
        self._place = place
        self._under_way: dict[AccountId, Deferred[None]] = {}
        self._again: set[AccountId] = set()  # those that have changed meanwhile
        self._to_show: Rounds[AccountId, ToShow | None] = Rounds(self._read, at_once=1)

    async def start(self) -> None:
        """Begin to show what a crash kept from being shown."""
        changed, gone = await self._database.read(queries.showing.not_shown)
        for account in changed:
            self.changed(account)
        for account in gone:
            Deferred.fromCoroutine(self.removed(account)).addErrback(self._leave)

    def changed(self, account: AccountId) -> None:
        """Begin to show what has changed in an account."""
        if account in self._under_way:
            self._again.add(account)
            return
        over = self._under_way[account] = Deferred()
        Deferred.fromCoroutine(self._tell(account)).addErrback(self._leave).chainDeferred(over)

    async def removed(self, account: AccountId) -> None:
        """Show that an account has gone, unless it has come back meanwhile."""
        while other := self._under_way.get(account):
            await DeferredList([other])
        over = self._under_way[account] = Deferred()
        try:
            await self._place.forget(account)
            await self._database.write(queries.showing.forget_shown, account)
        finally:
            del self._under_way[account]
            over.callback(None)
            self.changed(account)

    @asynccontextmanager
    async def paused(self, account: AccountId) -> AsyncIterator[None]:
        """Show nothing of an account until this ends."""
        while other := self._under_way.get(account):
            await DeferredList([other])
        over = self._under_way[account] = Deferred()
        try:
            yield
        finally:
            del self._under_way[account]
            over.callback(None)
            if account in self._again:
                self.changed(account)

    @asynccontextmanager
    async def quiet(self, account: AccountId) -> AsyncIterator[AsShown]:
        """Show all there is to be shown, and nothing more until this ends; return what was shown.

        Its mailboxes are those that were shown, and no others: one that has been made,
        renamed or removed since would look like another program's doing.
        """
        async with self.paused(account):
            shown = None
            while shown is None:
                await self._catch_up(account)
                shown = await self._database.read(queries.showing.as_shown, account)
            yield shown

    async def _tell(self, account: AccountId) -> None:
        try:
            await self._catch_up(account)
        finally:
            del self._under_way[account]

    async def _begin_anew(self, account: AccountId) -> None:
        """Have all shown again: that is noted first, for a crash would leave some of it."""
        self.log.warn("{account}: what was shown has gone, and is shown anew", account=account)
        await self._database.write(queries.showing.forget_shown, account)
        place: Any = self._place
        await place.begin_anew(account)

    async def _catch_up(self, account: AccountId) -> None:
        while True:
            self._again.discard(account)
            found = await self._to_show.ask(account)
            if found:
                try:
                    await self._place.show(account, found.mailboxes)
                except Unshown:
                    await self._begin_anew(account)
                    continue
                shown = (account, found.modseq)
                await self._database.write_each(queries.showing.set_shown, shown)
            if account not in self._again:
                return

    def _read(self, accounts: Sequence[AccountId]) -> Deferred[Any]:
        return self._database.read(queries.showing.to_show, accounts)

    def _leave(self, failure: Failure) -> None:
        if not isinstance(failure.value, ShuttingDown):
            self.log.failure("changes are shown with the next ones", failure)
