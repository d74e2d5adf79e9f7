"""Fills the index of texts behind the mail, a little at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NewType

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.interfaces import IBus, ITextReader
from mailplat.mail.content import Content
from mailplat.mail.errors import MailError, NoSuchMessage, ShuttingDown
from mailplat.mail.events import AccountChanged
from mailplat.mail.mailbox import MailboxId
from mailplat.mail.people import AccountId
from mailplat.mail.search import case_folded
from mailplat.mail.searching import Column, Found
from mailplat.sql import Database, SqliteDatabase, UnusableDatabase, steps_of
from mailplat.store.indexed.contents import SMALL
from mailplat.store.indexed.queries import texts
from mailplat.store.indexed.queries.texts import Arrived
from mailplat.store.search import queries
from mailplat.store.search.queries import Document, Looked

SearchFile = NewType("SearchFile", SqliteDatabase)
"""The index's own file, opened by the index and closed by its owner."""

PATIENCE = 1.0  # seconds for which what has come waits for more
AN_HOUR = 3600.0
EMAILS_AT_ONCE = 64
OCTETS_AT_ONCE = 1 << 20
DOCUMENTS_AT_ONCE = 500

ContentOf = Callable[[AccountId, int, int], Content]
"""Gives an email's octets, by its account, number and size."""


class Indexer:
    """Reads what has come, has its text made, and keeps that in a file of its own.

    Nobody waits for it: what isn't indexed yet is said to be unsure, and a delivery
    writes nothing for it, since emails have numbers in the order of their coming.
    Between two steps it rests as long as the last one took, so that it never takes
    more than half of a busy machine.  Losing the file loses no mail: it is filled
    anew, as it is when a new version makes other texts.
    """

    log = Logger()

    def __init__(
        self,
        mail: Database,
        file: SearchFile,
        reader: ITextReader,
        bus: IBus,
        clock: IReactorTime,
        content_of: ContentOf,
    ) -> None:
        self._mail = mail
        self._file = file
        self._reader = reader
        self._bus = bus
        self._clock = clock
        self._content_of = content_of
        self._running = False
        self._indexed = 0
        self._behind = False  # whether something came that was not looked at
        self._work: Deferred[Any] = succeed(None)
        self._next: IDelayedCall | None = None
        self._next_cleaning = 0.0
        self._deaf: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Open the file, and begin; without it all answers are unsure."""
        await self._work
        try:
            await self._file.open()
            await self._file.migrate("search", steps_of("mailplat.store.search"))
            newest = await self._mail.read(texts.newest_email)
            self._indexed = await self._file.write(queries.begin, newest)
        except (UnusableDatabase, MailError) as error:
            self.log.error("there will be no index for search: {error}", error=error)
            return
        self._running = True
        self._next_cleaning = self._clock.seconds()
        self._deaf = self._bus.subscribe(AccountChanged, lambda _event: self._wake())
        self._behind = True
        self._go_on()

    def stop(self) -> None:
        """Index no more; what is under way ends with its step."""
        self._running = False
        self._deaf()
        if self._next and self._next.active():
            self._next.cancel()

    async def look(
        self,
        account: AccountId,
        mailbox: MailboxId,
        words: Sequence[str],
        columns: Collection[Column],
    ) -> Found:
        """Return what is known of the messages of a mailbox (see `ISearchable`).

        The index is asked first and the mail behind it, so that what comes in
        between is unsure.
        """
        looked = Looked(frozenset(), frozenset(), 0)
        wanted = [word for word in map(case_folded, words) if word]
        if self._running:
            looked = await self._file.read(queries.look, account, wanted, columns)
        beyond = 0 if looked.everything else looked.indexed
        sure, unsure = await self._mail.read(
            texts.places_among, account, mailbox, looked.sure, looked.unsure, beyond
        )
        return Found(sure, unsure)

    # Filling.

    def _wake(self) -> None:
        if not self._behind and self._next and self._next.active():
            self._next.reset(PATIENCE)
        self._behind = True

    def _go_on(self) -> None:
        if self._running:
            self._work = Deferred.fromCoroutine(self._catch_up())
            self._work.addErrback(self._leave).addCallback(lambda _nothing: self._rest())

    def _rest(self) -> None:
        if self._running:
            patience = PATIENCE if self._behind else AN_HOUR
            self._next = self._clock.callLater(patience, self._go_on)

    async def _catch_up(self) -> None:
        """Index all there is, and forget what has gone when that is due."""
        self._behind = False
        await self._index_late()
        while self._running:
            began = self._clock.seconds()
            if not await self._index_some():
                break
            await deferLater(self._clock, self._clock.seconds() - began)
        if self._running and self._clock.seconds() >= self._next_cleaning:
            self._next_cleaning = self._clock.seconds() + AN_HOUR
            await self._forget_gone()

    async def _index_some(self) -> bool:
        """Index the next emails; return whether there were any."""
        found = await self._mail.read(
            texts.arrived, self._indexed, EMAILS_AT_ONCE, SMALL, OCTETS_AT_ONCE
        )
        if not found:
            return False
        late = [one.email for one in found if not one.ready]
        documents = await self._documents([one for one in found if one.ready])
        indexed = found[-1].email
        await self._file.write(queries.add, documents, late, indexed)
        self._indexed = indexed
        return True

    async def _index_late(self) -> None:
        """Look again at emails that were still arriving."""
        late = await self._file.read(queries.late)
        for at in range(0, len(late), EMAILS_AT_ONCE):
            some = late[at : at + EMAILS_AT_ONCE]
            found = await self._mail.read(texts.arrived_late, some, SMALL, 1 << 62)
            there = {one.email for one in found}
            await self._file.write(queries.forget_late, [e for e in some if e not in there])
            ready = [one for one in found if one.ready]
            if ready:
                await self._file.write(queries.add, await self._documents(ready), (), 0)

    async def _documents(self, found: Sequence[Arrived]) -> list[Document]:
        small = [one for one in found if one.octets is not None]
        made = await self._reader.texts_of([one.octets or b"" for one in small])
        documents = [
            Document(one.account, one.email, text)
            for one, text in zip(small, made, strict=True)
        ]
        for one in found:
            if one.octets is None:
                documents += await self._large(one)
        return documents

    async def _large(self, one: Arrived) -> list[Document]:
        """Return the document of an email whose octets are many; none if it has gone."""
        content = self._content_of(one.account, one.email, one.size)
        try:
            text = await self._reader.text_of(content, f"email {one.email}")
        except NoSuchMessage:
            return []
        except MailError as error:
            if isinstance(error, ShuttingDown):
                raise
            self.log.warn("email {email} is not indexed: {why}", email=one.email, why=error)
            return [Document(one.account, one.email, None)]
        return [Document(one.account, one.email, text)]

    # Forgetting.

    async def _forget_gone(self) -> None:
        """Forget the texts of emails that are not there any more."""
        last = 0
        while self._running:
            some = await self._file.read(queries.documents, last, DOCUMENTS_AT_ONCE)
            if not some:
                return
            gone = await self._mail.read(
                texts.gone, [(account, email) for _, account, email in some]
            )
            if gone:
                numbers = [number for number, _, email in some if email in gone]
                await self._file.write(queries.remove, numbers)
            last = some[-1][0]

    def _leave(self, failure: Failure) -> None:
        if not failure.check(ShuttingDown):  # type: ignore[no-untyped-call]
            self.log.failure("mail is indexed later", failure)
            self._behind = True


async def clear(file: SearchFile) -> None:
    """Forget all texts that an earlier configuration had indexed, if there are any."""
    await file.open()
    await file.overwrite_deleted()
    await file.migrate("search", steps_of("mailplat.store.search"))
    await file.write(queries.clear)
