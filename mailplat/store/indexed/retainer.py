"""Lets mail go that has been kept for its time: of its own accord, in small steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.mail.errors import ShuttingDown
from mailplat.mail.limits import MIB
from mailplat.mail.mailbox import Role
from mailplat.mail.people import AccountId
from mailplat.mail.retention import Retention
from mailplat.sql import Database, Row
from mailplat.store.indexed import queries

if TYPE_CHECKING:
    from mailplat.store.indexed.store import IndexedStore

AN_HOUR = 3600.0
AT_ONCE = 200  # messages that are expunged in one unit of work
MORE = 16 * MIB  # octets that are freed beyond what was wanted


class Retainer:
    """Expunges what is older than its mailbox keeps it, and forgets what was expunged long ago."""

    log = Logger()

    def __init__(
        self, database: Database, clock: IReactorTime, retention: Retention, store: IndexedStore
    ) -> None:
        self._database = database
        self._retention = retention
        self._store = store
        self._hourly = LoopingCall(self._look)
        self._hourly.clock = clock
        self._ended: Deferred[Any] = succeed(None)
        self._freeing = False

    def start(self) -> None:
        """Begin to look, hour by hour."""
        self._ended.addCallback(lambda _nothing: self._begin())

    def stop(self) -> None:
        """Look no more; what is under way ends with its unit of work."""
        if self._hourly.running:
            self._hourly.stop()

    def make_room(self, octets: int) -> None:
        """Begin to let go early of what was expunged, the oldest first: a disk is full.

        Whoever is refused again asks again, so what is asked meanwhile is passed over.
        """
        if not self._freeing:
            self._freeing = True
            Deferred.fromCoroutine(self._free(octets + MORE)).addErrback(self._leave)

    async def _free(self, octets: int) -> None:
        try:
            count, accounts = await self._database.write(queries.expunged.forget_oldest, octets)
            if count:
                self.log.warn(
                    "a disk is full: {count} messages that could have been brought back are"
                    " let go before their time",
                    count=count,
                )
                for account in sorted(accounts):
                    self._store.sweeper.sweep(account)
                await self._database.shrink()
        finally:
            self._freeing = False

    def _begin(self) -> None:
        self._ended = self._hourly.start(AN_HOUR).addErrback(self._leave)

    async def _look(self) -> None:
        for role, age in self._retention.by_role.items():
            await self._expire(role, self._store.now() - age)
        await self._forget()

    async def _expire(self, role: Role, before: float) -> None:
        last: Row = ("", 0)
        while self._hourly.running:
            rows = await self._database.read(queries.expunged.mailboxes_with, role, last)
            for account, mailbox in rows:
                while self._hourly.running and await self._some(account, mailbox, before):
                    pass
            if not rows:
                return
            last = rows[-1]

    async def _some(self, account: AccountId, mailbox: int, before: float) -> bool:
        """Expunge some of what has grown old in a mailbox; return whether there was any."""
        uids = await self._database.read(
            queries.expunged.grown_old, account, mailbox, before, AT_ONCE
        )
        if not uids:
            return False
        keep, now = self._store.keeps_expunged, self._store.now()
        await self._store.commit(queries.expunged.expire, account, mailbox, uids, now, keep)
        self._store.sweeper.sweep(account)
        return True

    async def _forget(self) -> None:
        before = self._store.now() - self._retention.keep_expunged
        if not self._store.keeps_expunged:
            before = float("inf")
        at: Row | None = ("", 0, 0, 0)
        while self._hourly.running and at:
            at, accounts = await self._database.write(
                queries.expunged.forget_expunged, at, before
            )
            for account in sorted(accounts):
                self._store.sweeper.sweep(account)

    def _leave(self, failure: Failure) -> None:
        if not isinstance(failure.value, ShuttingDown):
            self.log.failure("what has been kept for its time is kept a little longer", failure)
