"""The store whose index is in the house's database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal
from weakref import WeakSet

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces import IBus, IMailStore
from mailplat.mail.content import Content, whole
from mailplat.mail.errors import ShuttingDown
from mailplat.mail.events import AccountChanged
from mailplat.mail.mailbox import Delivery, ModSeq, NewMessage, Outcome
from mailplat.mail.people import AccountId
from mailplat.mail.status import DELIVERED
from mailplat.plugin import Settings
from mailplat.sql import Database, steps_of
from mailplat.store.indexed import queries
from mailplat.store.indexed.account import IndexedAccount
from mailplat.store.indexed.contents import SMALL, split
from mailplat.store.indexed.queries.changes import Done
from mailplat.store.indexed.queries.messages import Stored


class IndexedStoreSettings(Settings):
    """Keys of ``[store.NAME] use = "indexed"``."""

    contents: Literal["database"] = Field(
        "database", description="Where the octets of messages lie."
    )


@implementer(IMailStore)
class IndexedStore:
    """Every account's mail, indexed and kept in one database.

    What has been expunged stays readable for the account objects that were
    open before, and is swept away when the last of them has gone.
    """

    log = Logger()

    def __init__(
        self,
        settings: IndexedStoreSettings,
        database: Database,
        bus: IBus,
        clock: IReactorTime,
    ) -> None:
        self.database = database
        self._bus = bus
        self._clock = clock
        self._open: dict[AccountId, WeakSet[IndexedAccount]] = {}
        self._sweeping: set[AccountId] = set()

    async def prepare(self) -> None:
        """Bring the tables up to date, and end what a crash left half done."""
        await self.database.migrate("store", steps_of("mailplat.store.indexed"))
        while await self.database.write(queries.contents.sweep_all):
            pass
        for account in await self.database.read(queries.contents.removals):
            await self._finish_removal(account)
        await self.database.write(queries.contents.forget_keys, self.now())
        await self.database.write(queries.changes.forget_changes)

    async def open(self, account: AccountId) -> IndexedAccount:
        modseq = await self.database.read(queries.changes.account_modseq, account)
        if modseq is None:
            modseq = await self.database.write(
                queries.mailboxes.ensure_account, account, self.now()
            )
        opened = IndexedAccount(self, account, modseq)
        self._open.setdefault(account, WeakSet()).add(opened)
        return opened

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        if len(deliveries) == 1:
            return [await self._outcome(deliveries[0])]
        under_way = [Deferred.fromCoroutine(self._outcome(one)) for one in deliveries]
        return [await outcome for outcome in under_way]

    async def remove(self, account: AccountId) -> None:
        await self.database.write(queries.contents.begin_removal, account)
        await self._finish_removal(account)

    def now(self) -> float:
        """Return the time that what happens now is kept under, in seconds since 1970."""
        return self._clock.seconds()

    def commit(self, unit: Callable[..., Done], account: AccountId, *args: object) -> Any:
        """Run a change that nothing calls back once it is asked for, and tell the bus of it.

        Whoever waits for the answer may be cancelled: then only the answer is lost.
        """
        answer: Deferred[object] = Deferred()
        work: Deferred[Done] = self.database.write(unit, account, *args)
        work.addCallback(self._tell, account).chainDeferred(answer)
        return answer

    async def keep(self, account: AccountId, message: NewMessage) -> Stored:
        """Make a message ready for the index; a large content is durable afterwards."""
        content = message.content
        octets, email = None, 0
        if content.size <= SMALL:
            octets = await whole(content)
        else:
            email = await self._keep_pieces(account, content)
        return Stored(
            content.size,
            message.summary.octets,
            message.summary.references,
            message.flags,
            message.received.timestamp() if message.received else None,
            octets,
            email,
        )

    async def drop(self, account: AccountId, stored: Sequence[Stored]) -> None:
        """Forget what `keep` made ready and nobody will name; never raises."""
        for email in (one.email for one in stored if one.email):
            await self._forget(account, email)

    def sweep(self, account: AccountId) -> None:
        """Begin to forget contents of an account that nobody can name any more."""
        if account not in self._sweeping:
            self._sweeping.add(account)
            work = Deferred.fromCoroutine(self._sweep(account))
            work.addErrback(self._leave_to_next_start)

    async def _outcome(self, delivery: Delivery) -> Outcome:
        try:
            stored = await self.keep(delivery.account, delivery.message)
        except Exception as error:  # noqa: BLE001 - the other deliveries stand alone
            return Outcome.failed(error)
        try:
            detail = await self.commit(
                queries.messages.deliver,
                delivery.account,
                delivery.key,
                stored,
                delivery.placements,
                self.now(),
            )
        except Exception as error:  # noqa: BLE001 - likewise
            await self.drop(delivery.account, [stored])
            return Outcome.failed(error)
        return Outcome(DELIVERED, detail)

    def _tell(self, done: Done, account: AccountId) -> object:
        if done.mailboxes:
            self._bus.publish([AccountChanged(account, done.modseq, done.mailboxes)])
        return done.answer

    async def _keep_pieces(self, account: AccountId, content: Content) -> int:
        email = await self.database.write(queries.contents.begin_content, account, self.now())
        try:
            async for first, pieces in split(content):
                await self.database.write(
                    queries.contents.add_pieces, account, email, first, pieces
                )
        except BaseException:
            self._forget(account, email)
            raise
        return email

    def _forget(self, account: AccountId, email: int) -> Deferred[None]:
        forgotten = self.database.write(queries.contents.drop_content, account, email)
        return forgotten.addErrback(self._leave_to_next_start)

    async def _sweep(self, account: AccountId) -> None:
        try:
            while await self.database.write(
                queries.contents.sweep, account, self._oldest(account)
            ):
                pass
        finally:
            self._sweeping.discard(account)

    def _leave_to_next_start(self, failure: Failure) -> None:
        if not isinstance(failure.value, ShuttingDown):
            self.log.failure("contents are left for the next start to sweep away", failure)

    def _oldest(self, account: AccountId) -> ModSeq | None:
        """Return what the oldest open object of an account saw, if there is one."""
        oldest = min((one.opened_at for one in self._open.get(account, ())), default=None)
        if oldest is None:
            self._open.pop(account, None)
        return oldest

    async def _finish_removal(self, account: AccountId) -> None:
        while await self.database.write(queries.contents.go_on_removing, account):
            pass
