"""Forgets what nobody can ask for any more, behind those who may still be reading it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet, finalize

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.interfaces import WallClock
from mailplat.mail.errors import DiskFull, ShuttingDown
from mailplat.mail.mailbox import ModSeq
from mailplat.mail.people import AccountId
from mailplat.sql import Database, Row
from mailplat.store.indexed import queries
from mailplat.store.indexed.account import IndexedAccount
from mailplat.store.indexed.elsewhere import Elsewhere
from mailplat.store.indexed.queries.contents import Swept

A_DAY = 24 * 3600.0
KEPT_KEYS = 30 * A_DAY  # seconds for which a delivery's repeat is recognised


class Sweeper:
    """Removes contents without a name, removed accounts, old changes, keys and references.

    All of it is done in small units of work, so that nobody waits for long.
    """

    log = Logger()

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        wall: WallClock,
        elsewhere: Elsewhere | None,
    ) -> None:
        self._database = database
        self._elsewhere = elsewhere
        self._wall = wall
        self._open: dict[AccountId, WeakSet[IndexedAccount]] = {}
        self._gone: set[AccountId] = set()  # those of which an object has gone
        self._held: set[AccountId] = set()  # those that may have something to be swept
        self._left = set[tuple[AccountId, int]]()  # contents to be forgotten, by their emails
        self._sweeping: dict[AccountId, bool] = {}  # whether it was asked for again meanwhile
        self._tidying = LoopingCall(self._tidy)
        self._tidying.clock = clock
        self._ended: Deferred[Any] = succeed(None)  # when the last tidying up has

    async def start(self) -> None:
        """Remove what a crash left half done, and begin to tidy up day by day."""
        await self._ended
        await self._all(queries.contents.sweep_all)
        self._ended = self._tidying.start(A_DAY).addErrback(self._leave)
        if self._elsewhere:
            Deferred.fromCoroutine(self._elsewhere.sweep()).addErrback(self._leave)

    def stop(self) -> None:
        """Tidy up no more; what is under way ends with its unit of work."""
        if self._tidying.running:
            self._tidying.stop()
        if self._elsewhere:
            self._elsewhere.stop()

    def spare(self, opened: IndexedAccount) -> None:
        """Keep from now on, as long as this object is held, what it could read."""
        self._open.setdefault(opened.id, WeakSet()).add(opened)
        finalize(opened, self._gone.add, opened.id).atexit = False

    def open_here(self) -> dict[AccountId, ModSeq]:
        """Return the accounts that are open, each with what the oldest object has seen."""
        return {
            account: min(one.opened_at for one in objects)
            for account, objects in self._open.items()
            if objects
        }

    def catch_up(self) -> None:
        """Sweep behind the account objects that have gone.

        That isn't done at once when they go, for they may go in any thread, at the
        collector of garbage's pleasure.
        """
        while self._gone:
            account = self._gone.pop()
            if not self._open.get(account):
                self._open.pop(account, None)
            if account in self._held:
                self.sweep(account)

    def sweep(self, account: AccountId) -> None:
        """Begin to remove contents of an account that nobody can name any more."""
        begun = account in self._sweeping
        self._sweeping[account] = True
        if not begun:
            Deferred.fromCoroutine(self._sweep(account)).addErrback(self._leave)

    def forget(self, account: AccountId, email: int) -> Deferred[None]:
        """Remove a content unless a message has come to name it; never fails.

        Where the disk is too full even for that, it is done when others have made room.
        """
        return Deferred.fromCoroutine(self._drop(account, email)).addErrback(self._leave)

    async def remove(self, account: AccountId) -> None:
        """Remove all there is of an account; a crash in the middle doesn't end it."""
        await self._database.write(queries.contents.begin_removal, account)
        await self._all(queries.contents.go_on_removing, account)

    async def _drop(self, account: AccountId, email: int) -> None:
        try:
            await self._all(queries.contents.drop_content, account, email)
        except DiskFull:
            self._left.add((account, email))

    async def _drop_left(self) -> None:
        left, self._left = self._left, set()
        for account, email in left:
            await self._drop(account, email)

    async def _sweep(self, account: AccountId) -> None:
        try:
            while self._sweeping[account]:
                self._sweeping[account] = False
                self._held.add(account)
                open_now = self._open.get(account, ())
                oldest = min((one.opened_at for one in open_now), default=None)
                await self._all(queries.contents.sweep, account, oldest)
                if oldest is None:
                    self._held.discard(account)
            await self._drop_left()
        finally:
            del self._sweeping[account]

    async def _tidy(self) -> None:
        await self._drop_left()
        if self._elsewhere:
            await self._elsewhere.clear_up()
        for account in await self._database.read(queries.contents.removals):
            while self._tidying.running and await self._some(
                queries.contents.go_on_removing, account
            ):
                pass
        behind: str | None = ""
        while self._tidying.running and behind is not None:
            behind = await self._database.write(queries.changes.forget_changes, behind)
        before = self._wall.seconds() - KEPT_KEYS
        at: Row | None = ("", "")
        while self._tidying.running and at:
            at = await self._database.write(queries.tidying.forget_keys, at, before)
        at = ("", b"")
        while self._tidying.running and at:
            at = await self._database.write(queries.tidying.forget_references, at)
        if self._tidying.running:
            await self._database.shrink()

    async def _all(self, unit: Callable[..., Swept], *args: object) -> None:
        """Do a unit again until there is no more."""
        while await self._some(unit, *args):
            pass

    async def _some(self, unit: Callable[..., Swept], *args: object) -> bool:
        """Do a unit, and remove what it forgets elsewhere; return whether there is more."""
        swept = await self._database.write(unit, *args)
        if self._elsewhere:
            await self._elsewhere.remove(swept.keys)
        return swept.more

    def _leave(self, failure: Failure) -> None:
        if not isinstance(failure.value, ShuttingDown):
            self.log.failure("what could be forgotten is left to the next start", failure)
