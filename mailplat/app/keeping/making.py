"""Makes a generation of a backup while the house goes on working."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

import mailplat
from mailplat.app.config import Configuration, folder_of
from mailplat.app.foundation import Foundation
from mailplat.app.keeping.chunks import CHUNK, held
from mailplat.app.keeping.manifest import (
    CONFIGURATION,
    OUTSIDE,
    STATE,
    Backup,
    KeptFile,
    Manifest,
)
from mailplat.app.keeping.tables import kept_tables
from mailplat.app.tables import CONTENTS
from mailplat.interfaces import IViewedContents
from mailplat.mail.errors import NotPermitted, StoreFailed
from mailplat.portals.tls import TlsSettings
from mailplat.sql import SqliteDatabase

T = TypeVar("T")

PASSING = ("lock", "control.sock", "reserve", "spool")  # of the state folder
BESIDE = (".py", ".toml", ".pem")  # what stands beside the configuration and belongs to it
AT_ONCE = 8  # pieces on their way to the disk
LISTED = 200  # files that are looked for in one step


@attrs.define
class Counts:
    """What one run has done."""

    files: int = 0  # that are in the backup by now
    octets: int = 0  # of these, and of the one that is being kept
    copied: int = 0  # octets that were new to the backup


@attrs.frozen
class Maker:
    """Makes one generation.

    Databases are read as they are at one moment, page by page (`Frozen`) or table by
    table (`Moment`), everything else file by file.  A file that has its size and time of
    before is taken to be what it was, so contents that lie in files, which never change,
    are read once.  Contents are listed after the database was frozen, and whoever asks
    for a backup holds them meanwhile (`IHeldContents`), so all that it names are still
    there.  What is only shown of them is of no one moment, and is left out.

    ``pause`` is awaited after some pieces with the seconds that they took, so that a
    server has the disk for itself as long again.
    """

    configuration: Configuration
    foundation: Foundation
    backup: Backup
    pause: Callable[[float], Any] | None = None
    places: Sequence[IViewedContents] = ()  # those that show what they keep
    counts: Counts = attrs.field(factory=Counts)

    async def make(self, keep: int = 0, journal: bool = True) -> dict[str, Any]:
        """Make a generation and forget all but the newest ``keep`` (0: none).

        Names the places of contents that it can't have, since they may lie anywhere.

        Raises `InUse` and whatever a disk raises; then there is no new
        generation, and the next run finds what this one has kept already.
        """
        ask = self.foundation.workers.files.ask
        if self.backup.folder.is_relative_to(self.foundation.state):
            raise NotPermitted("a backup of the state folder can't lie in it")
        with held(self.backup.folder):
            await ask(self.backup.disk.make_folder, self.backup.chunks.folder)
            manifest = await self._generation(journal)
            await ask(self.backup.add, manifest)
            gone = await ask(self.backup.keep_only, keep) if keep else []
        return {
            "generation": manifest.generation,
            "files": len(manifest.files),
            "size": manifest.size,
            "copied": self.counts.copied,
            "damaged": list(manifest.damaged),
            "left_out": self._left_out(),
            "forgotten": gone,
        }

    async def _generation(self, journal: bool) -> Manifest:
        ask = self.foundation.workers.files.ask
        there, before = await ask(self._before)
        damaged: list[str] = []
        files: list[KeptFile] = []
        if self.foundation.database.dialect == "postgres":
            server: Any = self.foundation.database
            files += await kept_tables(server, self._kept)
        for database in self._databases(journal):
            file, changed = await self._database(database)
            files.append(file)
            damaged += [f"{file.name}: page {n} has changed unseen" for n in changed]
        listed = self._files()
        while some := await ask(list, islice(listed, LISTED)):
            for name, path in some:
                if found := await self._file(name, path, before.get(name)):
                    files.append(found)
        return Manifest(
            _new_name(there),
            mailplat.__version__,
            self.configuration.house.hostname,
            tuple(files),
            tuple(damaged),
        )

    def _left_out(self) -> list[str]:
        """Return the places of contents of which nobody knows where they lie."""
        return [
            f"{CONTENTS.table}.{entry.name}"
            for entry in self.configuration.entries_of(CONTENTS)
            if folder_of(entry, self.foundation.state) is None
        ]

    def _before(self) -> tuple[list[str], Mapping[str, KeptFile]]:
        """Return all generations, and the files of the newest by their names; blocks."""
        there = self.backup.generations()
        return there, self.backup.manifest(there[-1]).named if there else {}

    # Databases

    def _databases(self, journal: bool) -> Iterator[SqliteDatabase]:
        if isinstance(self.foundation.database, SqliteDatabase):
            yield self.foundation.database
        if journal and self.foundation.journal.path.exists():
            yield self.foundation.journal

    async def _database(self, database: SqliteDatabase) -> tuple[KeptFile, tuple[int, ...]]:
        changed: list[int] = []
        frozen = await database.frozen()
        try:
            count = CHUNK // frozen.page_size

            async def pieces() -> AsyncIterator[bytes]:
                for first in range(1, frozen.pages + 1, count):
                    found = await frozen.read(first, count)
                    changed.extend(found.changed)
                    yield found.octets

            file = await self._kept(f"{STATE}/{self._in_state(database.path)}", pieces())
        finally:
            await frozen.close()
        return file, tuple(changed)

    def _in_state(self, path: Path) -> str:
        state = self.foundation.state
        return str(path.relative_to(state)) if path.is_relative_to(state) else path.name

    # Files

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Return the names and places of what is kept beside the databases; blocks."""
        for name, path in self._all_files():
            if not any(place.is_view(path) for place in self.places):
                yield name, path

    def _all_files(self) -> Iterator[tuple[str, Path]]:
        state = self.foundation.state
        both = (self.foundation.database, self.foundation.journal)
        databases = [one.path for one in both if isinstance(one, SqliteDatabase)]
        databases.append(self.foundation.search.path)  # which is made anew of the mail
        passing = {path.with_name(path.name + end) for path in databases for end in _ENDS}
        passing |= {state / name for name in PASSING}
        passing |= set(state.glob(".*"))
        yield from _below(state, STATE, passing)
        for entry in self.configuration.entries_of(CONTENTS):
            folder = folder_of(entry, state)
            if folder and not folder.is_relative_to(state):
                yield from _below(folder, f"{OUTSIDE}/{entry.name}", set())
        source = self.configuration.source.file
        for path in sorted(source.parent.iterdir()):
            if path == source or path.suffix in BESIDE:
                yield f"{CONFIGURATION}/{path.name}", path
        certificates = self.configuration.table(TlsSettings).certificates
        if certificates and not certificates.is_relative_to(state):
            yield from _below(certificates, f"{CONFIGURATION}/{certificates.name}", set())

    async def _file(self, name: str, path: Path, before: KeptFile | None) -> KeptFile | None:
        """Keep a file; None if it has gone, or is none to be kept."""
        ask = self.foundation.workers.files.ask
        try:
            found, is_there = await ask(self._look, path, before)
            if not S_ISREG(found.st_mode):
                return None
            if before and is_there:
                self.counts.files += 1
                self.counts.octets += before.size
                return attrs.evolve(before, mode=found.st_mode & 0o777)

            async def pieces() -> AsyncIterator[bytes]:
                file = await ask(path.open, "rb")
                try:
                    while octets := await ask(file.read, CHUNK):
                        yield octets
                finally:
                    file.close()

            return await self._kept(name, pieces(), found)
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise StoreFailed(f"{path} can't be kept: {problem.strerror}") from problem

    def _look(self, path: Path, before: KeptFile | None) -> tuple[os.stat_result, bool]:
        """Say also whether a file is what it was, with its pieces in the backup; blocks."""
        found = path.stat()
        if not before or (before.size, before.modified) != (found.st_size, found.st_mtime_ns):
            return found, False
        return found, self.backup.chunks.make(before.chunks, before.size)

    # Both

    async def _kept(
        self, name: str, pieces: AsyncIterator[bytes], found: os.stat_result | None = None
    ) -> KeptFile:
        """Keep a file piece by piece, some at a time."""
        ask = self.foundation.workers.files.ask
        whole, size, names = sha256(), 0, list[str]()
        async for some in _together(pieces):
            began = time.monotonic()
            await ask(_add, whole, some)
            work = [ask(self.backup.chunks.keep, octets) for octets in some]
            for octets, (chunk, is_new) in zip(some, await _all(work), strict=True):
                names.append(chunk)
                size += len(octets)
                self.counts.octets += len(octets)
                self.counts.copied += len(octets) * is_new
            if self.pause:
                await self.pause(time.monotonic() - began)
        self.counts.files += 1
        modified, mode = (found.st_mtime_ns, found.st_mode & 0o777) if found else (0, 0o600)
        return KeptFile(name, size, whole.hexdigest(), mode, modified, tuple(names))


async def _together(pieces: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    some: list[bytes] = []
    async for octets in pieces:
        some.append(octets)
        if len(some) == AT_ONCE:
            yield some
            some = []
    yield some


async def _all(work: list[Deferred[T]]) -> list[T]:
    """Return what all come to; raises what the first one raised, when none is at work."""
    done = await DeferredList(work, consumeErrors=True)
    for _, outcome in done:
        if isinstance(outcome, Failure):
            outcome.raiseException()
    return [outcome for _, outcome in done]


def _add(whole: Any, some: list[bytes]) -> None:
    for octets in some:
        whole.update(octets)


_ENDS = ("", "-wal", "-shm", "-journal")


def _below(folder: Path, name: str, passing: set[Path]) -> Iterator[tuple[str, Path]]:
    """Return the files in a folder and below; those that begin with a dot are passing."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        path, is_folder = folder / entry.name, entry.is_dir(follow_symlinks=False)
        if path in passing or (entry.name.startswith(".") and not is_folder):
            continue
        if is_folder:
            yield from _below(path, f"{name}/{entry.name}", passing)
        else:
            yield f"{name}/{entry.name}", path


def _new_name(there: list[str]) -> str:
    """Return a name for a generation that comes after all others, in UTC."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    newest = there[-1] if there else ""
    if now > newest:
        return now
    stem, _, number = newest.partition("Z")
    return f"{stem}Z-{int(number[1:] or 1) + 1:03}"


def taking_turns(foundation: Foundation) -> Callable[[float], Any]:
    """Return a pause that is as long as what came before it."""

    def pause(seconds: float) -> Deferred[None]:
        return deferLater(foundation.reactor, seconds, lambda: None)

    return pause
