"""Contents in a place of their own, beside the index that names them.

A content is durable before the commit that names its key, and is removed behind the
commit that forgets it.  What a crash leaves between the two, and what could not be
removed, is looked for once after the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

import attrs
from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces import (
    IAddressedContents,
    IBatchedContents,
    IContent,
    IContentStore,
    IExaminedContents,
)
from mailplat.mail.content import Content, Octets, chunks
from mailplat.mail.errors import NoSuchMessage, ShuttingDown, StoreFailed
from mailplat.mail.people import AccountId
from mailplat.plugin import ConfigError
from mailplat.sql import Database
from mailplat.store.indexed import queries
from mailplat.store.indexed.contents import LARGE_AT_ONCE, SMALL, DatabaseContent
from mailplat.store.indexed.queries.keys import Kept

LONGEST_KEY = 200  # characters
FINDER = 8  # octets in the hash of a key
NOBODY = AccountId("mailplat")  # whose account that is, the mark lies in
MARK = b"Subject: mail lies here\r\n\r\nThis is how a mailplat house knows it again.\r\n"


class Elsewhere:
    """A place of contents, and the order in which it and the index are changed.

    An addition is under way until it is known whether the index names it.  What is
    removed was named by no email when everything that had been under way was over;
    and since no key is given twice, nothing that has begun since can have it.
    """

    log = Logger()

    def __init__(self, database: Database, place: IContentStore, name: str) -> None:
        self._database = database
        self._place = place
        self._name = name
        self._copying = DeferredSemaphore(LARGE_AT_ONCE)
        self._under_way: set[Deferred[None]] = set()
        self._added: dict[str, Deferred[None]] = {}  # those for which no commit is asked yet
        self._unsure: dict[str, tuple[Kept, Deferred[None]]] = {}
        self._stopping = False
        self._holders = 0
        self._held: list[str] = []  # what is to be removed when nobody holds it any more
        self._mark = ""  # the key of what says whose place it is

    async def prepare(self) -> None:
        """See whether this is where the contents lie; raises `ConfigError`.

        The index leaves a mark in its place.  A place that has none, or anything else
        that it knows nothing of, is left alone: it may be all the mail of another.
        """
        name, self._mark, has_keys = await self._database.read(queries.keys.place)
        if name == self._name:
            await self._insist_on_mark()
        elif name and has_keys:
            raise ConfigError(wrong_place(name))
        elif others := await self._place.scan(""):
            await self._insist_on_remains(others)
        if name != self._name:
            self._mark = await self._place.add(NOBODY, Octets(MARK))
            await self._database.write(queries.keys.set_place, self._name, self._mark)

    def stop(self) -> None:
        """Look for nothing more of one's own accord."""
        self._stopping = True

    # Adding.

    async def add(self, account: AccountId, content: Content) -> Kept:
        """Keep a content durably; then `commit` or `drop` it.

        Once it has begun it is carried out, and dropped if nobody waits any more.
        """
        is_large = content.size > SMALL
        if is_large:
            await self._copying.acquire()
        over: Deferred[None] = Deferred()
        self._under_way.add(over)
        work = Deferred.fromCoroutine(self._add(account, content))
        if is_large:
            work.addBoth(self._release)
        answer: Deferred[Kept] = Deferred()
        work.addCallbacks(
            self._hand_out, self._take_back, (answer, over), {}, (answer, over), {}
        )
        return await answer

    def commit(self, contents: Iterable[Kept], work: Deferred[queries.changes.Done]) -> None:
        """Wait for the commit that names these contents, and remove what it doesn't name."""
        handed = [(kept, self._added.pop(kept.key)) for kept in contents]
        if handed:
            work.addCallbacks(self._settle, self._doubt, (handed,), {}, (handed,), {})

    def drop(self, contents: Iterable[Kept]) -> None:
        """Remove contents for which no commit has been asked; the others are passed over."""
        handed = [
            (kept.key, self._added.pop(kept.key))
            for kept in contents
            if kept.key in self._added
        ]
        self._remove_behind([key for key, _ in handed])
        for _, over in handed:
            self._end(over)

    # Reading.

    def content(self, account: AccountId, email: int, size: int) -> Content:
        """Return an email's octets, which may lie in the database from an earlier time."""
        return ElsewhereContent(self._database, self._place, account, email, size)

    async def is_sound(self, account: AccountId, email: int, size: int) -> bool:
        """Read an email's octets, and say whether they are what they were.

        Where the place can't tell, they are if they can be read.  Raises what reading does.
        """
        key = await self._database.read(queries.keys.key_of, account, email)
        if key is not None and IExaminedContents.providedBy(self._place):
            examined: IExaminedContents = self._place
            return await examined.is_sound(key)
        async for _octets in chunks(self.content(account, email, size)):
            pass
        return True

    async def is_named(self, account: AccountId, email: int) -> bool:
        """Say whether an email still has octets in this place."""
        return await self._database.read(queries.keys.key_of, account, email) is not None

    async def read_each(
        self, wanted: Sequence[tuple[str | None, int]]
    ) -> Sequence[bytes | None]:
        """Return contents by their keys and sizes.

        None where there is no key, no content, or one that can't be read.
        """
        there = [(key, size) for key, size in wanted if key is not None]
        if IBatchedContents.providedBy(self._place):
            batched: IBatchedContents = self._place
            found = await batched.read_each([key for key, _ in there]) if there else []
        else:
            work = [Deferred.fromCoroutine(self._read(key, size)) for key, size in there]
            found = [await one for one in work]
        octets = iter(
            one if one is not None and len(one) == size else None
            for one, (_, size) in zip(found, there, strict=True)
        )
        return [None if key is None else next(octets) for key, _ in wanted]

    # Forgetting.

    async def remove(self, keys: Sequence[str]) -> None:
        """Remove contents that no email has any more; never fails."""
        if self._holders:
            self._held += keys
            return
        try:
            if keys:
                await self._place.remove(keys)
        except Exception as error:  # noqa: BLE001 - it is found after the next start
            if not isinstance(error, ShuttingDown):
                self.log.failure("{count} contents are left to the next start", count=len(keys))

    def hold(self) -> Callable[[], None]:
        """Remove nothing until what is returned is called, and then what has come together."""
        self._holders += 1

        def let_go() -> None:
            self._holders -= 1
            if not self._holders:
                held, self._held = self._held, []
                self._remove_behind(held)

        return let_go

    async def sweep(self) -> None:
        """Remove what no email has, some at a time."""
        self._stopping = False
        after, count = "", 0
        while not self._stopping and (keys := await self._place.scan(after)):
            after = keys[-1]
            await self.settled()
            contents = [self._kept(key) for key in keys if key != self._mark]
            unnamed = await self._database.read(queries.keys.without_email, contents)
            await self.remove(unnamed)
            count += len(unnamed)
        if count:
            self.log.info("{count} contents that no message had are removed", count=count)

    async def settled(self) -> None:
        """Wait until it is known of all that is being added whether the index names it."""
        await DeferredList(list(self._under_way))

    async def _add(self, account: AccountId, content: Content) -> Kept:
        key = await self._place.add(account, content)
        if not key or len(key) > LONGEST_KEY or not key.isprintable():
            raise StoreFailed(f"[contents.{self._name}] gave {key!r} as a key")
        return self._kept(key)

    def _kept(self, key: str) -> Kept:
        if IAddressedContents.providedBy(self._place):
            addressed: IAddressedContents = self._place
            return Kept(key, addressed.address(key), addressed=True)
        finder = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=FINDER).digest()
        return Kept(key, finder, addressed=False)

    def _release(self, outcome: Kept | Failure) -> Kept | Failure:
        self._copying.release()
        return outcome

    def _hand_out(self, kept: Kept, answer: Deferred[Kept], over: Deferred[None]) -> None:
        if kept.key in self._added:
            twice = StoreFailed(f"[contents.{self._name}] gave a key twice")
            self._take_back(twice, answer, over)
            return
        self._added[kept.key] = over
        if answer.called:
            self.drop([kept])
        else:
            answer.callback(kept)

    def _take_back(
        self, failure: Failure | StoreFailed, answer: Deferred[Kept], over: Deferred[None]
    ) -> None:
        self._end(over)
        if not answer.called:
            answer.errback(failure)

    def _settle(
        self, done: queries.changes.Done, handed: Sequence[tuple[Kept, Deferred[None]]]
    ) -> queries.changes.Done:
        left: list[tuple[Kept, Deferred[None]]] = []
        for kept, over in handed:
            if kept.key in done.left:
                left.append((kept, over))
            else:
                self._end(over)
        if left:
            Deferred.fromCoroutine(self._sort_out(left)).addErrback(self._leave)
        return done

    async def _sort_out(self, left: Sequence[tuple[Kept, Deferred[None]]]) -> None:
        """Remove contents whose equals a commit has named, or those where they are damaged."""
        unneeded: list[str] = []
        for kept, over in left:
            try:
                unneeded += await self._unneeded(kept)
            except Exception:  # noqa: BLE001 - who has which content is asked once more
                self._ask_again([(kept, over)])
            else:
                self._end(over)
        await self.remove(unneeded)

    async def _unneeded(self, kept: Kept) -> list[str]:
        """Return the keys of those contents that emails need not have, beside equal ones."""
        damaged: list[str] = []
        if kept.addressed and IExaminedContents.providedBy(self._place):
            examined: IExaminedContents = self._place
            for key in await self._database.read(queries.keys.keys_with, kept.finder):
                if not await _is_sound(examined, key) and await self._database.write(
                    queries.keys.exchange, kept.finder, key, kept.key
                ):
                    damaged.append(key)
                    self.log.warn("{key} was damaged, and is replaced", key=key)
        return damaged or [kept.key]

    def _doubt(
        self, failure: Failure, handed: Sequence[tuple[Kept, Deferred[None]]]
    ) -> Failure:
        self._ask_again(handed)
        return failure

    def _ask_again(self, handed: Sequence[tuple[Kept, Deferred[None]]]) -> None:
        """Ask what became of contents whose commit failed: it may have been kept after all."""
        self._unsure.update({kept.key: (kept, over) for kept, over in handed})
        Deferred.fromCoroutine(self.clear_up()).addErrback(self._leave)

    async def clear_up(self) -> None:
        """Remove contents that were added for commits that failed.

        The writer says so: as long as it is bad nobody knows what a start will find.
        """
        unsure = list(self._unsure.values())
        unnamed = await self._database.write(
            queries.keys.without_email, [kept for kept, _ in unsure]
        )
        await self.remove(unnamed)
        for kept, over in unsure:
            if self._unsure.pop(kept.key, None):
                self._end(over)

    def _end(self, over: Deferred[None]) -> None:
        self._under_way.discard(over)
        over.callback(None)

    def _remove_behind(self, keys: Sequence[str]) -> None:
        if keys:
            Deferred.fromCoroutine(self.remove(keys)).addErrback(self._leave)

    def _leave(self, failure: Failure) -> None:
        if not isinstance(failure.value, ShuttingDown):
            self.log.info("left for later: {why}", why=failure.getErrorMessage())

    async def _insist_on_mark(self) -> None:
        if await self._start_of(self._mark) != MARK:
            raise ConfigError(
                f"[contents.{self._name}] has not the mark that this database has left there:"
                " is it another folder than before, or a disk that isn't there?"
            )

    async def _insist_on_remains(self, keys: Sequence[str]) -> None:
        """See that there is nothing but marks, such as a crash before this can leave."""
        if any([await self._start_of(key) not in (MARK, None) for key in keys]):
            raise ConfigError(
                f"[contents.{self._name}] is not empty, and the database knows nothing of"
                " what lies there: give it a place of its own, or bring back the database"
            )

    async def _start_of(self, key: str) -> bytes | None:
        try:
            return await self._place.read(key, 0, len(MARK))
        except NoSuchMessage:
            return None

    async def _read(self, key: str, size: int) -> bytes | None:
        try:
            return await self._place.read(key, 0, size)
        except (NoSuchMessage, StoreFailed):
            return None


async def _is_sound(place: IExaminedContents, key: str) -> bool:
    try:
        return await place.is_sound(key)
    except (NoSuchMessage, StoreFailed):
        return False


def wrong_place(name: str) -> str:
    """Return what to do where the contents lie in another place than is configured."""
    return (
        f"the contents of its messages lie in [contents.{name}]: `contents` has to be"
        f' "{name}" as long as there are any'
    )


@implementer(IContent)
@attrs.define
class ElsewhereContent:
    """One message's octets, read from their place as they are asked for."""

    _database: Database
    _place: IContentStore
    _account: AccountId
    _email: int
    size: int
    _key: str = ""
    _here: DatabaseContent | None = None

    async def read(self, start: int, stop: int) -> bytes:
        start, stop = max(start, 0), min(stop, self.size)
        if start >= stop:
            return b""
        if not self._key and self._here is None:
            await self._find()
        if self._here:
            return await self._here.read(start, stop)
        octets = await self._place.read(self._key, start, stop)
        if len(octets) != stop - start:
            raise StoreFailed(f"{self._key} has not its {self.size} octets")
        return octets

    def close(self) -> None:
        """Nothing to let go of: each read stands alone."""

    async def _find(self) -> None:
        key = await self._database.read(queries.keys.key_of, self._account, self._email)
        if key is None:
            self._here = DatabaseContent(self._database, self._account, self._email, self.size)
        else:
            self._key = key
