"""A database in one SQLite file: one thread writes, several read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import apsw
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from mailplat.files import Reserve
from mailplat.mail.errors import StoreFailed
from mailplat.sql.checksums import is_changed_page, words_of
from mailplat.sql.connection import SqliteConnection, open_reader, open_writer
from mailplat.sql.crews import CrewedDatabase
from mailplat.sql.database import Connection, UnusableDatabase, damage_of
from mailplat.sql.examining import changed_pages, in_use
from mailplat.sql.frozen import Frozen, freeze
from mailplat.sql.group import Alone, Reader, Writer, is_full
from mailplat.workers import Crew

KEPT_FREE = 16384  # pages, which is 64 MiB; and never less than a quarter of the file
GIVEN_BACK = 512  # pages in one unit of work
PATIENCE = 500  # moments to wait for those who read something older
EXAMINED = 1 << 30  # octets; a snapshot held longer would let the log grow without end


class SqliteDatabase(CrewedDatabase):
    """One file, opened by `open` and by nobody else in this process.

    ``durable=False`` is for what may be forgotten: its commits sync nothing.
    ``on_bad`` is called on the reactor, once, when the disk has failed and
    nothing will be written any more; the process should answer who waits, and
    end.  ``reserve`` is room for the units that `makes_room` marks.  ``vfs`` names
    another way to the disk, for tests of faults and crashes.
    """

    log = Logger()

    def __init__(
        self,
        path: Path,
        reactor: IReactorFromThreads,
        *,
        durable: bool = True,
        on_bad: Callable[[Exception], None] = lambda _error: None,
        reserve: Reserve | None = None,
        readers: int = 3,
        waiting: int = 4096,
        group: int = 256,
        vfs: str | None = None,
        crew: type[Crew] = Crew,
    ) -> None:
        self.folder = path.parent
        self.path = path
        self._crew = crew
        self._reactor = reactor
        self._durable = durable
        self._tell_bad = on_bad
        self._reserve = reserve
        self._vfs = vfs
        self._writer = crew(
            reactor,
            f"write {path.name}",
            threads=1,
            waiting=waiting,
            group=group,
            bench=self._make_writer,
        )
        self._readers = crew(
            reactor,
            f"read {path.name}",
            threads=readers,
            waiting=waiting,
            group=16,
            bench=lambda: Reader(open_reader(path, vfs=vfs)),
        )

    async def open(self) -> None:
        """Open the file, or make it; what a crash left in its log is taken over.

        Raises `UnusableDatabase` when it can't be used by this program, here, now.
        After an unclean stop a file that is not too large is examined while work
        goes on; damage that is found stops all writing.
        """
        log = self.path.with_name(self.path.name + "-wal")
        unclean = log.exists() and log.stat().st_size > 0
        await super().open()
        if unclean and self.path.stat().st_size < EXAMINED:
            examined = Deferred.fromCoroutine(self._examine())
            examined.addErrback(lambda failure: self.log.failure("not examined", failure))

    async def examine(self) -> Sequence[str]:
        """Look at all pages, and at what they make; return what is wrong, in words."""
        found: list[str] = []
        empty: list[int] = []
        first = 1
        while first:
            changed, more, first = await self.read(changed_pages, first)  # type: ignore[arg-type]
            found += [f"page {number} has changed since it was written" for number in changed]
            empty += more
        try:
            lost = await self.read(in_use, empty) if empty else []  # type: ignore[arg-type]
            found += [f"page {number} is empty" for number in lost]
            found += await self.read(damage_of)
        except StoreFailed as problem:
            found.append(str(problem))
        return found

    def at(self, path: Path) -> SqliteDatabase:
        """Return another file, still to be opened, by the same kind of threads.

        Nothing in it is durable: it is for looking into a copy.
        """
        return SqliteDatabase(path, self._reactor, durable=False, readers=1, crew=self._crew)

    def hear(self, heard: Callable[[str | None], None]) -> None:
        """Hear nothing: nobody else has the file."""

    async def shrink(self) -> None:
        while await self.write(_shrink):
            pass

    async def extent(self) -> dict[str, int]:
        return await self.read(_extent)

    async def overwrite_deleted(self) -> None:
        await self.write(_overwrite_deleted)

    async def frozen(self) -> Frozen:
        """Return the file as it is now; whoever asks closes it.

        Raises `StoreFailed` where others read without a pause.
        """
        crew = self._crew(self._reactor, f"frozen {self.path.name}", threads=1, waiting=64)
        try:
            reader = await crew.ask(open_reader, self.path, vfs=self._vfs)
            for _ in range(PATIENCE):
                if await self._writer.ask(Alone(freeze), reader):
                    return Frozen(reader, crew)
                await self.read(_wait_a_moment)
            reader.close()
            raise StoreFailed(f"{self.path} is read without a pause")
        except BaseException:
            await crew.stop()
            raise

    def _make_writer(self) -> Writer:
        if self._reserve:
            self._reserve.take()
        return Writer(self._open_writer(), self._turn_bad, self._reserve)

    def _open_writer(self) -> SqliteConnection:
        """Open the file, on a full disk with the help of the reserve."""
        try:
            return open_writer(self.path, durable=self._durable, vfs=self._vfs)
        except UnusableDatabase as problem:
            needs_room = problem.__cause__ is not None and is_full(problem.__cause__)
            if not (needs_room and self._reserve and self._reserve.give_up()):
                raise
        return open_writer(self.path, durable=self._durable, vfs=self._vfs)

    def _turn_bad(self, error: Exception) -> None:
        self.log.critical(
            "{path} has failed, nothing more is written: {error}", path=self.path, error=error
        )
        self._reactor.callFromThread(self._tell_bad, error)

    async def _examine(self) -> None:
        damage, is_only_pages = await self.read(_damage)
        if is_only_pages:
            self.log.critical("{path}: {damage}", path=self.path, damage=damage)
        elif damage:
            with suppress(StoreFailed):
                await self.write(_condemn, damage)


def _wait_a_moment(_db: Connection) -> None:
    """Let those who read something older come to their end."""
    time.sleep(0.01)


def _shrink(db: Connection) -> bool:
    """Give some free pages back, if there are more than new mail will soon need."""
    [[free]] = db.all("PRAGMA freelist_count")
    [[pages]] = db.all("PRAGMA page_count")
    if free <= max(KEPT_FREE, pages // 4):
        return False
    db.all(f"PRAGMA incremental_vacuum({GIVEN_BACK})")
    return True


def _extent(db: Connection) -> dict[str, int]:
    [[octets]] = db.all("PRAGMA page_size")
    [[pages]] = db.all("PRAGMA page_count")
    [[free]] = db.all("PRAGMA freelist_count")
    return {"size": pages * octets, "free": free * octets}


def _overwrite_deleted(db: Connection) -> None:
    db.all("PRAGMA secure_delete = ON")


def _damage(db: Connection) -> tuple[str, bool]:
    """Return what is wrong with the file, if anything, and if that is only changed pages."""
    try:
        rows = db.all("PRAGMA quick_check(3)")
    except apsw.CorruptError as error:
        return str(error), False
    except apsw.IOError as error:
        if not is_changed_page(error):
            raise
        return words_of(error), True
    return "" if rows == [("ok",)] else "; ".join(str(words) for [words] in rows), False


def _condemn(_db: Connection, damage: str) -> None:
    """Make the writer stop for good: nothing more goes into a damaged file."""
    raise apsw.CorruptError(damage)
