"""The store whose index is in the house's database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Annotated, Any, Literal

from pydantic import Field
from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces import (
    House,
    IAllowances,
    IBus,
    IContentStore,
    IDeliveryKeys,
    IHeldContents,
    IMailStore,
    IPlacedContents,
    IQuotaStore,
    ISharedContents,
    ISharedStore,
    ITextReader,
    IUsage,
    IVerified,
    WallClock,
)
from mailplat.mail.content import Content, whole
from mailplat.mail.errors import DiskFull, MailError, OverQuota, StoreFailed
from mailplat.mail.events import AccountChanged, RoomWanted
from mailplat.mail.finding import Finding
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import Appended, Delivery, MailboxId, NewMessage, Outcome
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Usage
from mailplat.mail.retention import NOTHING_KEPT, Retention
from mailplat.mail.searching import Column, Found
from mailplat.mail.sharing import Shared
from mailplat.mail.status import DELIVERED
from mailplat.plugin import ConfigError, Instance, Settings
from mailplat.sql import Database, steps_of
from mailplat.store.indexed import queries
from mailplat.store.indexed.account import IndexedAccount
from mailplat.store.indexed.auditor import Auditor
from mailplat.store.indexed.contents import LARGE_AT_ONCE, SMALL, DatabaseContent, split
from mailplat.store.indexed.elsewhere import Elsewhere, wrong_place
from mailplat.store.indexed.looking import Looking
from mailplat.store.indexed.neighbours import Neighbours
from mailplat.store.indexed.queries.appending import Addition
from mailplat.store.indexed.queries.arrivals import Order, Stored
from mailplat.store.indexed.queries.changes import Done
from mailplat.store.indexed.queries.keys import Kept
from mailplat.store.indexed.retainer import Retainer
from mailplat.store.indexed.rooms import Rooms
from mailplat.store.indexed.showing import Showing
from mailplat.store.indexed.sweeper import Sweeper
from mailplat.store.search.indexer import Indexer, SearchFile, clear

AT_ONCE = 32  # messages of one call that are made ready together


class IndexedStoreSettings(Settings):
    """Keys of ``[store.NAME] use = "indexed"``."""

    contents: Annotated[
        Literal["database"] | Instance[IContentStore], Field(union_mode="left_to_right")
    ] = Field(
        "database",
        description=(
            "Where the octets of messages lie: `database`, `files`, `maildir`, or what"
            " `[contents.NAME]` names.  It stays as it is as long as there are messages elsewhere."
        ),
    )
    index: bool = Field(
        True,
        description="Whether texts are indexed, in `search.db`, so that searching is fast.",
    )
    private: bool = Field(
        False,
        description="Whether what has been deleted is gone at once: then nothing expunged is"
        " kept, whatever `[retention]` says, no text is indexed, and its pages in the database"
        " are overwritten.",
    )


@implementer(
    IMailStore,
    IQuotaStore,
    IUsage,
    ISharedStore,
    IVerified,
    IDeliveryKeys,
    IHeldContents,
)
class IndexedStore:
    """Every account's mail, indexed in a database; octets lie there too, or elsewhere.

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
        wall: WallClock,
        contents: IContentStore | None = None,
        *,
        allowances: IAllowances | None = None,
        retention: Retention = NOTHING_KEPT,
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
        file: SearchFile | None = None,
        reader: ITextReader | None = None,
        house: House | None = None,
    ) -> None:
        self.database = database
        self._bus = bus
        self._wall = wall
        name = str(settings.contents)
        self.elsewhere = Elsewhere(database, contents, name) if contents else None
        self.sweeper = Sweeper(database, clock, wall, self.elsewhere)
        self.showing: Showing | None = None
        self.looking: Looking | None = None
        place: Any = contents
        self._is_of_then = house is not None and house.is_of_then
        if IPlacedContents.providedBy(place) and not self._is_of_then:
            self.showing = Showing(database, place)
            if ISharedContents.providedBy(place):
                self.looking = Looking(self, place, self.showing)
        self._neighbours = Neighbours(database, bus, self.sweeper.open_here)
        self.limits = limits
        self._private = settings.private
        self._file = None if self._is_of_then else file
        self._indexer: Indexer | None = None
        if self._file and reader and settings.index and not settings.private:
            self._indexer = Indexer(database, self._file, reader, bus, clock, self.content)
        self.keeps_expunged = retention.keep_expunged > 0 and not settings.private
        self._retainer = Retainer(database, clock, retention, self)
        self.rooms = Rooms(database, wall, allowances, self.commit)
        self._copying = DeferredSemaphore(LARGE_AT_ONCE)
        self._hears_no_more: Callable[[], None] = lambda: None

    async def prepare(self) -> None:
        """Bring the tables up to date, and end what a crash left half done.

        Raises `ConfigError` where the contents lie in another place.
        """
        steps = steps_of("mailplat.store.indexed", self.database.dialect)
        await self.database.migrate("store", steps)
        if self.elsewhere:
            await self.elsewhere.prepare()
        else:
            await self._insist_on_database()
        if self._private:
            await self.database.overwrite_deleted()
        await self.sweeper.start()
        if self.showing:
            await self.showing.start()
        if self.looking:
            self.looking.start()
        self.database.hear(self._neighbours.hear)
        if not self._is_of_then:
            self._retainer.start()
        self._hears_no_more = self._bus.subscribe(
            RoomWanted, lambda wanted: self._retainer.make_room(wanted.octets)
        )
        if self._indexer:
            await self._indexer.start()
        elif self._file:
            await clear(self._file)

    async def _insist_on_database(self) -> None:
        place, _mark, has_keys = await self.database.read(queries.keys.place)
        if place and has_keys:
            raise ConfigError(wrong_place(place))

    def finish(self) -> None:
        """Begin nothing more of one's own accord."""
        self._hears_no_more()
        self._hears_no_more = lambda: None
        self._retainer.stop()
        if self._indexer:
            self._indexer.stop()
        self.sweeper.stop()

    async def open(self, account: AccountId) -> IndexedAccount:
        if self.looking:
            await self.looking.begin(account)  # or nobody sees it: its numbers are to come
            await self.looking.look(account)
        modseq = await self.database.read(queries.changes.account_modseq, account)
        if modseq is None:
            modseq = await self.database.write(
                queries.mailboxes.ensure_account, account, self.now()
            )
            self._show(account)
        opened = IndexedAccount(self, account, modseq)
        self.sweeper.catch_up()
        self.sweeper.spare(opened)
        return opened

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        if len(deliveries) == 1:
            return [await self._outcome(deliveries[0])]
        under_way = [Deferred.fromCoroutine(self._outcome(one)) for one in deliveries]
        return [await outcome for outcome in under_way]

    async def why_full(self, account: AccountId, size: int) -> OverQuota | None:
        return await self.rooms.why_full(account, size)

    async def usage(self) -> Mapping[AccountId, Usage]:
        return await self.database.read(queries.room.usage)

    async def extent(self) -> Mapping[str, int]:
        return await self.database.extent()

    async def shared_with(self, account: AccountId) -> Sequence[Shared]:
        return await self.database.read(queries.sharing.shared_with, account)

    async def remove(self, account: AccountId) -> None:
        await self.sweeper.remove(account)
        if self.looking:
            self.looking.forget(account)
        if self.showing:
            await self.showing.removed(account)

    async def search(
        self,
        account: AccountId,
        mailbox: MailboxId,
        words: Sequence[str],
        columns: Collection[Column],
    ) -> Found:
        """Look words up (see `ISearchable`); without an index nothing is sure."""
        if self._indexer:
            return await self._indexer.look(account, mailbox, words, columns)
        _, unsure = await self.database.read(
            queries.texts.places_among, account, mailbox, (), (), 0
        )
        return Found(unsure=unsure)

    def content(self, account: AccountId, email: int, size: int) -> Content:
        """Return an email's octets, to be read piece by piece."""
        if self.elsewhere:
            return self.elsewhere.content(account, email, size)
        return DatabaseContent(self.database, account, email, size)

    async def verify(
        self, mend: bool, accounts: Collection[AccountId] | None = None
    ) -> Sequence[Finding]:
        auditor = Auditor(self.database, self.now(), self.elsewhere)
        await auditor.look(mend, accounts)
        for account in auditor.touched:
            try:
                modseq, boxes = await self.database.read(queries.examining.state_of, account)
            except StoreFailed:
                continue  # which is among the findings
            self._bus.publish([AccountChanged(account, modseq, boxes)])
        return auditor.findings

    async def known(self, account: AccountId, keys: Sequence[str]) -> Collection[str]:
        return await self.database.read(queries.arrivals.known_keys, account, keys)

    def hold(self) -> Callable[[], None]:
        return self.elsewhere.hold() if self.elsewhere else lambda: None

    def now(self) -> float:
        """Return the time that what happens now is kept under, in seconds since 1970."""
        return self._wall.seconds()

    def commit(
        self,
        unit: Callable[..., Done],
        account: AccountId,
        *args: object,
        stored: Sequence[Stored] = (),
    ) -> Any:
        """Run a change that nothing calls back once it is asked for, and tell the bus of it.

        ``stored`` is what it is to name.  Whoever waits for the answer may be
        cancelled: then only the answer is lost.
        """
        return self._announced(self.database.write(unit, account, *args), account, stored)

    def commit_each(
        self,
        unit: Callable[..., Sequence[Done]],
        account: AccountId,
        item: object,
        stored: Sequence[Stored],
    ) -> Any:
        """Do as `commit`; items that different accounts bring are done by one call."""
        return self._announced(self.database.write_each(unit, item), account, stored)

    async def append(self, addition: Addition) -> Sequence[Appended]:
        """Append together with others that come just then; raises what refuses it."""
        answer = await self.commit_each(
            queries.appending.append, addition.account, addition, addition.messages
        )
        if isinstance(answer, MailError):
            raise answer
        appended: Sequence[Appended] = answer
        return appended

    async def restore(
        self,
        unit: Callable[..., Done],
        account: AccountId,
        *args: object,
        stored: Sequence[Stored] = (),
    ) -> Any:
        """Do as `commit`, while a place that shows mailboxes is neither told nor asked.

        What it changes has mod-sequences by which nobody could tell that it is new.
        """
        answer: Deferred[object] = Deferred()
        work = Deferred.fromCoroutine(self._restore(unit, account, *args, stored=stored))
        work.chainDeferred(answer)  # whoever is cancelled ends no pause too soon
        return await answer

    async def _restore(
        self,
        unit: Callable[..., Done],
        account: AccountId,
        *args: object,
        stored: Sequence[Stored],
    ) -> Any:
        pauses = self.looking.apart if self.looking else self.showing and self.showing.paused
        async with pauses(account) if pauses else nullcontext():
            return await self.commit(unit, account, *args, stored=stored)

    def _announced(
        self, work: Deferred[Done], account: AccountId, stored: Sequence[Stored]
    ) -> Any:
        self.sweeper.catch_up()
        if self.elsewhere:
            self.elsewhere.commit(_kept(stored), work)
        answer: Deferred[object] = Deferred()
        work.addCallbacks(self._tell, self._note_full, (account,)).chainDeferred(answer)
        return answer

    async def keep_all(
        self, account: AccountId, messages: Sequence[NewMessage]
    ) -> list[Stored]:
        """Make messages ready for the index, all or none; see `keep`."""
        if len(messages) == 1:
            return [await self.keep(account, messages[0])]
        stored: list[Stored] = []
        for at in range(0, len(messages), AT_ONCE):
            some = messages[at : at + AT_ONCE]
            work = [Deferred.fromCoroutine(self.keep(account, message)) for message in some]
            outcomes: list[tuple[bool, Any]] = await DeferredList(work, consumeErrors=True)
            stored += [one for is_done, one in outcomes if is_done]
            if failures := [failure for is_done, failure in outcomes if not is_done]:
                await self.drop(account, stored)
                raise failures[0].value
        return stored

    async def keep(self, account: AccountId, message: NewMessage) -> Stored:
        """Make a message ready for the index.

        A content that is large, or lies elsewhere, is durable afterwards.
        """
        content = message.content
        octets, email, kept = None, 0, None
        if self.elsewhere:
            try:
                kept = await self.elsewhere.add(account, content)
            except DiskFull:
                self._retainer.make_room(content.size)
                raise
        elif content.size <= SMALL:
            octets = await whole(content)
        else:
            await self._copying.acquire()
            try:
                email = await self._keep_pieces(account, content)
            finally:
                self._copying.release()
        return Stored(
            content.size,
            message.summary.octets,
            message.summary.references,
            message.flags,
            message.received.timestamp() if message.received else None,
            octets,
            email,
            kept,
        )

    async def drop(self, account: AccountId, stored: Sequence[Stored]) -> None:
        """Forget what `keep` made ready and nobody will name; never raises."""
        if self.elsewhere:
            self.elsewhere.drop(_kept(stored))
        for email in (one.email for one in stored if one.email):
            await self.sweeper.forget(account, email)

    async def _outcome(self, delivery: Delivery) -> Outcome:
        try:
            if self.looking:
                await self.looking.begin(delivery.account)
            stored = await self.keep(delivery.account, delivery.message)
        except Exception as error:  # noqa: BLE001 - the other deliveries stand alone
            return Outcome.failed(error)
        try:
            order = Order(
                delivery.account,
                delivery.key,
                stored,
                delivery.placements,
                self.now(),
                delivery.lasting,
                await self.rooms.allowance(delivery.account),
                delivery.beyond_quota,
            )
            detail = await self.commit_each(
                queries.arrivals.deliver, delivery.account, order, [stored]
            )
        except Exception as error:  # noqa: BLE001 - likewise
            await self.drop(delivery.account, [stored])
            return Outcome.failed(error)
        if stored.email:
            self.sweeper.forget(
                delivery.account, stored.email
            )  # if it was refused, or a repeat
        return (
            Outcome.failed(detail)
            if isinstance(detail, OverQuota)
            else Outcome(DELIVERED, detail)
        )

    def _tell(self, done: Done, account: AccountId) -> object:
        if done.mailboxes:
            self._bus.publish([AccountChanged(account, done.modseq, done.mailboxes)])
            if not done.unfinished:
                self._show(account)
        self._bus.publish(done.news)
        return done.answer

    def _note_full(self, failure: Failure) -> Failure:
        if isinstance(failure.value, DiskFull):
            self._retainer.make_room(0)
        return failure

    def _show(self, account: AccountId) -> None:
        if self.showing:
            self.showing.changed(account)

    async def _keep_pieces(self, account: AccountId, content: Content) -> int:
        email = await self.database.write(queries.contents.begin_content, account, self.now())
        try:
            async for first, pieces in split(content):
                await self.database.write(
                    queries.contents.add_pieces, account, email, first, pieces
                )
        except BaseException:
            self.sweeper.forget(account, email)
            raise
        return email


def _kept(stored: Sequence[Stored]) -> list[Kept]:
    """Return those contents that lie elsewhere."""
    return [one.kept for one in stored if one.kept]
