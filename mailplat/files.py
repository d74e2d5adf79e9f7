"""The only place that makes a file durable: write, sync, link, rename, unlink, sync the folder.

Everything in `Disk` blocks and is called in a worker thread.  `Spool` is for
the reactor: it keeps a message while it arrives, in memory as long as it is
small and then in a file without a name.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from twisted.logger import Logger
from zope.interface import implementer

from mailplat.interfaces import IContent
from mailplat.mail.content import Content, Octets
from mailplat.mail.errors import AlreadyExists, DiskFull, StoreFailed
from mailplat.mail.limits import KIB

P = ParamSpec("P")
T = TypeVar("T")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNNAMED_REFUSED = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT)
TO_READ = os.O_RDONLY | os.O_CLOEXEC
TO_READ_STRANGE = TO_READ | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe isn't waited for
TO_ALLOCATE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
TO_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class File:
    """An open file of ours, closed when it is told to, or else when nobody holds it any more.

    Whoever closes it waits for nobody: where a thread is at work on it, the
    descriptor goes when that is done, so that its number can't come to mean
    another file meanwhile.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        self._users = 0
        self._closing = False
        self._lock = threading.Lock()

    @contextmanager
    def in_use(self) -> Iterator[int]:
        """Lend the descriptor; raises `StoreFailed` if the file has been closed."""
        with self._lock:
            if self._closing:
                raise StoreFailed(f"{self.path} has been closed")
            self._users += 1
        try:
            yield self._handle
        finally:
            with self._lock:
                self._users -= 1
            self._close_if_unused()

    def close(self) -> None:
        with self._lock:
            self._closing = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        with self._lock:
            if not self._closing or self._users:
                return
            handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class Disk:
    """Each durable step by its name, so that a test can record it or make it fail.

    Raises `DiskFull` where there is no room, `AlreadyExists` where a name is
    taken, and `StoreFailed` for all else.  A failed sync leaves unknown what
    the disk holds: nothing is synced a second time, every further step but
    `unlink` is refused, and ``on_bad`` is told once, in the thread that met it.
    """

    def __init__(self, on_bad: Callable[[Exception], None] = lambda _error: None) -> None:
        self._on_bad = on_bad
        self._bad: Exception | None = None
        self._folders: set[Path] = set()  # that this has made, and whose names are durable
        self._lock = threading.Lock()
        self.owed = 0  # octets that are to be taken for a `Reserve` before there is room

    def make_folder(self, path: Path) -> None:
        """Make a folder that only we may read, if it isn't there, and make its name durable."""
        self._refuse_if_bad()
        with self._lock:
            try:
                self._do("make_folder", path, os.mkdir, path, 0o700)
                self._folders.discard(path)
            except AlreadyExists:
                if path in self._folders:
                    return
        self.sync_folder(path.parent)
        self._folders.add(path)  # and not before, since whoever makes it may die before this

    def open(self, path: Path) -> File | None:
        """Open a file to be read, and never what a link leads to; None if there is none."""
        try:
            return File(path, self.perform("open", path, os.open, path, TO_READ_STRANGE))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _translated("open", path, error) from error

    def create(self, path: Path) -> File:
        """Make a new file that only we may read."""
        self._refuse_if_bad()
        return File(path, self._do("create", path, os.open, path, TO_MAKE, 0o600))

    def create_unnamed(self, folder: Path) -> File:
        """Make a file that is gone when it is closed, or we are."""
        self._refuse_if_bad()
        flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
        path = folder / f"unnamed.{os.urandom(8).hex()}"
        try:
            return File(path, self.perform("create", path, os.open, folder, flags, 0o600))
        except OSError as error:
            if error.errno not in UNNAMED_REFUSED:
                raise _translated("create", folder, error) from error
        file = self.create(path)
        self.unlink(path)
        return file

    def write(self, file: File, octets: bytes | bytearray) -> None:
        """Put octets behind those that are there."""
        self._refuse_if_bad()
        rest = memoryview(octets)
        with file.in_use() as handle:
            while rest:
                rest = rest[self._do("write", file.path, os.write, handle, rest) :]

    def read(self, file: File, start: int, stop: int) -> bytes:
        """Return the octets from ``start`` up to, not including, ``stop``."""
        with file.in_use() as handle:
            return self._do("read", file.path, os.pread, handle, max(0, stop - start), start)

    def sync(self, file: File) -> None:
        """Make the file's octets durable; its name is made so by `sync_folder`."""
        with file.in_use() as handle:
            self._sync("sync", file.path, os.fdatasync, handle)

    def hasten(self, file: File) -> None:
        """Have the file's octets on their way to the disk, so that `sync` has less to wait for.

        Promises nothing: of many files that are to be synced one after the other, the
        first then waits for all.  Source: Linux, fadvise(2) begins to write what is dirty.
        """
        if hasattr(os, "posix_fadvise"):
            with file.in_use() as handle:
                advice = os.POSIX_FADV_DONTNEED
                self._do("hasten", file.path, os.posix_fadvise, handle, 0, 0, advice)

    def link(self, source: Path, target: Path | str) -> None:
        """Give a file a second name; never replaces another file."""
        self._refuse_if_bad()
        self._do("link", target, os.link, source, target)

    def rename(self, source: Path | str, target: Path | str) -> None:
        """Give a file another name, and take that name from whatever had it."""
        self._refuse_if_bad()
        self._do("rename", target, os.rename, source, target)

    def date(self, path: Path, seconds: float) -> None:
        """Say when a file was changed last, in seconds since 1970; a crash may undo it."""
        self._refuse_if_bad()
        self._do("date", path, os.utime, path, (seconds, seconds))

    def unlink(self, path: Path) -> None:
        """Take a name away; it may be gone already."""
        self._do("unlink", path, Path.unlink, path, True)

    def sync_folder(self, folder: Path) -> None:
        """Make durable which names the folder holds."""
        self._refuse_if_bad()
        handle = self._do("open", folder, os.open, folder, TO_READ | os.O_DIRECTORY)
        try:
            self._sync("sync_folder", folder, os.fsync, handle)
        finally:
            os.close(handle)

    def allocate(self, path: Path, octets: int) -> None:
        """Make a file that takes so much room, or leave it if it does so already."""
        self._refuse_if_bad()
        handle = self._do("allocate", path, os.open, path, TO_ALLOCATE, 0o600)
        with File(path, handle):
            self._do("allocate", path, os.posix_fallocate, handle, 0, octets)

    def room(self, folder: Path) -> int:
        """Return how many octets we may still write there; below zero where some are owed."""
        found = self._do("room", folder, os.statvfs, folder)
        return found.f_bavail * found.f_frsize - self.owed

    def device(self, folder: Path) -> int:
        """Return what is the same for all folders of one file system."""
        return self._do("room", folder, os.stat, folder).st_dev

    def replace(self, path: Path, octets: bytes) -> None:
        """Make the file hold ``octets``, durably; a crash leaves it as it was or shall be."""
        new = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
        file = self.create(new)
        try:
            with file:
                self.write(file, octets)
                self.sync(file)
            self.rename(new, path)
        except BaseException:
            self.unlink(new)
            raise
        self.sync_folder(path.parent)

    def _refuse_if_bad(self) -> None:
        if self._bad:
            raise StoreFailed(f"nothing is written since the disk failed: {self._bad}")

    def _sync(self, step: str, path: Path, call: Callable[[int], None], handle: int) -> None:
        self._refuse_if_bad()
        try:
            self._do(step, path, call, handle)
        except (StoreFailed, DiskFull) as error:
            self._bad = error
            self._on_bad(error)
            raise

    def _do(self, step: str, path: Path | str, call: Callable[..., T], *args: Any) -> T:
        try:
            return self.perform(step, path, call, *args)
        except OSError as error:
            raise _translated(step, path, error) from error

    def perform(self, step: str, path: Path | str, call: Callable[..., T], *args: Any) -> T:
        """Make one system call; all of them come through here, and tests replace it.

        Raises `OSError`.
        """
        return call(*args)


def _translated(step: str, path: Path | str, error: OSError) -> Exception:
    detail = f"{step} {path}: {error.strerror}"
    if error.errno in FULL:
        return DiskFull(detail)
    if error.errno == errno.EEXIST:
        return AlreadyExists(detail)
    return StoreFailed(detail)


class FolderSyncs:
    """Syncs folders for many threads: one sync serves all who asked before it began."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._changed = threading.Condition()
        self._waiting: dict[Path, _Turn] = {}
        self._running: set[Path] = set()

    def sync(self, folder: Path) -> None:
        """Return when the names that the folder holds now are durable; as `sync_folder`."""
        with self._changed:
            if turn := self._waiting.get(folder):
                turn.asked += 1
                self._changed.wait_for(turn.is_over)
            else:
                turn = self._waiting[folder] = _Turn()
                self._changed.wait_for(lambda: folder not in self._running)
                del self._waiting[folder]
                self._running.add(folder)
        if not turn.done:
            self._take(turn, folder)
        if turn.error:
            raise StoreFailed(f"{folder} was not synced: {turn.error}") from turn.error

    def waiting(self, folder: Path) -> int:
        """Return how many wait for a sync that has not begun."""
        with self._changed:
            turn = self._waiting.get(folder)
            return turn.asked if turn else 0

    def _take(self, turn: _Turn, folder: Path) -> None:
        try:
            self._disk.sync_folder(folder)
        except BaseException as error:
            turn.error = error
            raise
        finally:
            with self._changed:
                turn.done = True
                self._running.remove(folder)
                self._changed.notify_all()


class _Turn:
    """One sync that several wait for, and what came of it."""

    asked = 1  # how many do
    done = False
    error: BaseException | None = None

    def is_over(self) -> bool:
        return self.done


class Reserve:
    """Room that is kept on a disk for what makes room, since removing needs some too.

    It is a file that is given up when the disk is full, and made again when there
    is twice as much room; until then the disk owes it.  Used by one thread, blocks.
    """

    log = Logger()

    def __init__(self, disk: Disk, path: Path, octets: int) -> None:
        self._disk = disk
        self._path = path
        self._octets = octets
        disk.owed = octets

    @property
    def is_missing(self) -> bool:
        """Whether there is nothing to be given up."""
        return self._disk.owed > 0

    def take(self) -> None:
        """Take the room, if it is to be had; an earlier process may have taken it already."""
        try:
            if self._path.exists() or self._disk.room(self._path.parent) >= self._octets:
                self._disk.allocate(self._path, self._octets)
                self._disk.owed = 0
        except (DiskFull, StoreFailed) as error:
            self._give_up()
            self.log.warn("no room is kept for removing mail: {error}", error=str(error))

    def take_again(self) -> None:
        """Take the room, if it was given up and is to be had again."""
        self.take()
        if not self.is_missing:
            self.log.info("room for removing mail is kept again")

    def give_up(self) -> bool:
        """Let what makes room have the room; return whether there was any."""
        if self.is_missing:
            return False
        self.log.warn("the disk is full: only what makes room is written now")
        return self._give_up()

    def _give_up(self) -> bool:
        self._disk.owed = self._octets
        try:
            self._disk.unlink(self._path)
        except StoreFailed:
            return False
        return True


class Ask(Protocol):
    """Calls a function in a worker thread (`mailplat.workers.Crew.ask`)."""

    def __call__(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]: ...


@implementer(IContent)
class Spooled:
    """Content in a file without a name; the file goes when this is closed, or goes itself."""

    def __init__(self, disk: Disk, file: File, size: int, ask: Ask) -> None:
        self._disk = disk
        self._file = file
        self._ask = ask
        self.size = size

    def read(self, start: int, stop: int) -> Awaitable[bytes]:
        return self._ask(self._disk.read, self._file, start, min(stop, self.size))

    def close(self) -> None:
        self._file.close()


class Spool:
    """Keeps contents while they arrive; a crash forgets them, as nobody was told of them yet.

    Contents up to ``in_memory`` octets never touch the disk.  They will be kept in
    the folders ``then``, which may be in other file systems, and of which some may have
    to be made yet.  ``on_full`` is told how many octets there was no room for.
    """

    def __init__(
        self,
        folder: Path,
        ask: Ask,
        disk: Disk,
        *,
        in_memory: int = 64 * KIB,
        then: Sequence[Path] = (),
        on_full: Callable[[int], None] = lambda _octets: None,
    ) -> None:
        self._folder = folder
        self._written = (folder, *then)
        self._on_full = on_full
        self._file_systems = [(folder, len(self._written))]  # before `prepare` has looked
        self._ask = ask
        self._disk = disk
        self.in_memory = in_memory

    def prepare(self) -> None:
        """Make the folder, and remove what a crash may have left in it; blocks."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._folder.glob("unnamed.*"):
            self._disk.unlink(left)
        self._file_systems = self._look_around()

    def insist_on_room(self, octets: int) -> None:
        """Raise `DiskFull` unless a content of so many octets can lie in each folder now.

        Each file system is looked at once, for all folders that it has.  These are
        system calls of some microseconds, so the reactor may ask.
        """
        for folder, count in self._file_systems:
            if (room := self._disk.room(folder)) < (wanted := octets * count):
                self._on_full(wanted - room)
                raise DiskFull(f"{room} octets are free in {folder}, {wanted} are wanted")

    def _look_around(self) -> list[tuple[Path, int]]:
        """Return a folder of each file system written to, and how many of ours are there."""
        found: dict[int, list[Path]] = {}
        for wanted in self._written:
            folder = next(path for path in (wanted, *wanted.parents) if path.exists())
            found.setdefault(self._disk.device(folder), []).append(folder)
        return [(folders[0], len(folders)) for folders in found.values()]

    def begin(self) -> Incoming:
        """Return an empty content, to be added to."""
        return Incoming(self)

    async def write(self, file: File | None, octets: bytes | bytearray) -> File:
        """Put octets into a content's file, which is made if there is none yet.

        A file that can't be written to is closed.
        """
        return await self._ask(self._write, file, octets)

    def content(self, file: File, size: int) -> Content:
        """Return what has been written as a content."""
        return Spooled(self._disk, file, size, self._ask)

    def _write(self, file: File | None, octets: bytes | bytearray) -> File:
        file = file or self._disk.create_unnamed(self._folder)
        try:
            self._disk.write(file, octets)
        except BaseException:
            file.close()
            raise
        return file


class Incoming:
    """A content that is still arriving; whoever began it ends it by `finish` or `close`.

    What is in memory takes no more room than it has octets, in however small
    pieces they come.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._held: bytes | bytearray = b""  # as it came, where it came in one piece
        self._file: File | None = None
        self.size = 0  # octets, in memory and in the file

    async def add(self, octets: bytes) -> None:
        """Take more octets.  One call at a time; raises `DiskFull` and `Overloaded`."""
        if not self._held:
            self._held = octets
        else:
            if isinstance(self._held, bytes):
                self._held = bytearray(self._held)
            self._held += octets
        self.size += len(octets)
        if len(self._held) > self._spool.in_memory:
            await self._write_out()

    async def finish(self) -> Content:
        """Return the whole, which is to be closed; nothing may be added any more."""
        if self._file is None:
            return Octets(bytes(self._held))
        file = await self._write_out()
        self._file = None
        return self._spool.content(file, self.size)

    def close(self) -> None:
        """Leave nothing of what has come; a content that is finished stays."""
        self._held = b""
        if self._file:
            self._file.close()

    async def _write_out(self) -> File:
        octets, self._held = self._held, b""
        self._file = await self._spool.write(self._file, octets)
        return self._file
