"""A disk that remembers what was done to it, and fails when it is told to.

`FakeDisk` stands behind `mailplat.files`, `FakeVfs` behind SQLite; given one
`Tape` both write on it in the order in which things happened.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, TypeVar

import apsw
import attrs

from mailplat.files import Disk

T = TypeVar("T")

JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL


@contextmanager
def quick_folder() -> Iterator[Path]:
    """Make a folder, in memory where there is such a place, and remove it at the end."""
    memory = Path("/dev/shm")  # noqa: S108 - only a new folder in it is used
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@attrs.frozen
class Write:
    """Octets were put into a file, which is known by its number on the tape."""

    file: int
    offset: int
    octets: bytes = attrs.field(repr=lambda octets: f"{len(octets)} octets")


@attrs.frozen
class Truncate:
    """A file was cut."""

    file: int
    size: int


@attrs.frozen
class Sync:
    """A file's octets were made durable."""

    file: int


@attrs.frozen
class Name:
    """A name was given to a file."""

    path: Path
    file: int


@attrs.frozen
class MakeFolder:
    """A folder was made."""

    path: Path


@attrs.frozen
class Rename:
    """A file's name became another, which is that of no other file any more."""

    source: Path
    target: Path


@attrs.frozen
class Unlink:
    """A name was taken away."""

    path: Path


@attrs.frozen
class SyncFolder:
    """The names in a folder were made durable."""

    path: Path


@attrs.frozen
class Acknowledge:
    """Somebody was told that this is true; from here on it has to stay so."""

    fact: Hashable


Operation = (
    Write | Truncate | Sync | Name | MakeFolder | Rename | Unlink | SyncFolder | Acknowledge
)


class Tape:
    """Everything that was done in one folder, in its order; paths are relative to it."""

    def __init__(self, root: Path) -> None:
        self.operations: list[Operation] = []
        self._root = root
        self._files: dict[Path, int] = {}
        self._made = 0
        self._lock = threading.Lock()

    def acknowledge(self, fact: Hashable) -> None:
        """Say that somebody was told of ``fact``."""
        self.add(Acknowledge(fact))

    def add(self, operation: Operation) -> None:
        """Remember one operation that has succeeded."""
        with self._lock:
            self.operations.append(operation)

    def inside(self, path: Path | str) -> Path:
        """Return a path as it stands on the tape."""
        return Path(path).relative_to(self._root)

    def make(self, path: Path | str) -> None:
        """Remember a new file."""
        with self._lock:
            self._made += 1
            self._files[Path(path)] = self._made
            self.operations.append(Name(self.inside(path), self._made))

    def rename(self, source: Path | str, target: Path | str) -> None:
        """Remember that a file has another name now."""
        source, target = Path(source), Path(target)
        with self._lock:
            if number := self._files.pop(source, None):
                self._files[target] = number
            self.operations.append(Rename(self.inside(source), self.inside(target)))

    def number(self, path: Path | str) -> int | None:
        """Return the number of the file that was given this name, if any was."""
        return self._files.get(Path(path))


@attrs.define
class Trouble:
    """Which step fails: the ``at``-th, counted from 1, and with ``for_good`` all after it.

    With ``kind`` (``"sync"``, ``"write"`` …) only steps of that kind count.
    """

    at: int = 0
    error: int = errno.EIO
    for_good: bool = False
    kind: str = ""
    steps: int = 0

    def meet(self, kind: str) -> bool:
        """Count a step, and say whether it fails."""
        if self.kind not in ("", kind):
            return False
        self.steps += 1
        return bool(self.at) and (
            self.steps == self.at or (self.for_good and self.steps > self.at)
        )

    @property
    def was_met(self) -> bool:
        """Whether anything has failed."""
        return 0 < self.at <= self.steps


class FakeDisk(Disk):
    """Does what `Disk` does, unless it meets trouble, and keeps it on the tape."""

    def __init__(
        self,
        tape: Tape,
        trouble: Trouble | None = None,
        on_bad: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        super().__init__(on_bad)
        self._tape = tape
        self.trouble = trouble or Trouble()

    def perform(self, step: str, path: Path | str, call: Callable[..., T], *args: Any) -> T:
        if self.trouble.meet(step):
            raise OSError(self.trouble.error, os.strerror(self.trouble.error))
        outcome = call(*args)
        self._record(step, path, args, outcome)
        return outcome

    def _record(self, step: str, path: Path | str, args: tuple[Any, ...], outcome: Any) -> None:
        tape, number = self._tape, self._tape.number(path)
        match step:
            case "create" if args[0] == path:
                tape.make(path)
            case "write" if number:
                handle, octets = args
                end = os.lseek(handle, 0, os.SEEK_CUR)
                tape.add(Write(number, end - outcome, bytes(octets[:outcome])))
            case "sync" if number:
                tape.add(Sync(number))
            case "link":
                linked = tape.number(args[0])
                assert linked, f"{args[0]} was not made here"
                tape.add(Name(tape.inside(path), linked))
            case "rename":
                tape.rename(args[0], path)
            case "make_folder":
                tape.add(MakeFolder(tape.inside(path)))
            case "unlink":
                tape.add(Unlink(tape.inside(path)))
            case "sync_folder":
                tape.add(SyncFolder(tape.inside(path)))


class FakeVfs(apsw.VFS):
    """SQLite's own way to the disk, recorded, and failing where it meets trouble.

    In a ``with`` statement databases reach it by ``vfs=vfs.name``.
    """

    def __init__(self, tape: Tape, trouble: Trouble | None = None) -> None:
        self.name = f"fake-{id(self)}"
        self.tape = tape
        self.trouble = trouble or Trouble()
        super().__init__(self.name, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.unregister()

    def xOpen(  # noqa: N802 - SQLite calls us
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        self.meet("open", apsw.SQLITE_CANTOPEN)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        is_new = path is not None and not Path(path).exists()
        file = _FakeFile(self, name, flags)
        if path:
            if is_new:
                self.tape.make(path)
            file.number = self.tape.number(path)
            if flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & JOURNALS:
                file.folder = self.tape.inside(Path(path).parent)
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.meet("unlink", apsw.SQLITE_IOERR_DELETE)
        super().xDelete(filename, syncdir)
        self.tape.add(Unlink(self.tape.inside(filename)))
        if syncdir:
            self.tape.add(SyncFolder(self.tape.inside(Path(filename).parent)))

    def meet(self, kind: str, code: int) -> None:
        """Fail with SQLite's ``code``, or for want of room, if this step is to fail."""
        if self.trouble.meet(kind):
            is_full = self.trouble.error == errno.ENOSPC and kind == "write"
            raise apsw.exception_for(apsw.SQLITE_FULL if is_full else code)


class _FakeFile(apsw.VFSFile):
    """One open file of a `FakeVfs`."""

    number: int | None = None  # on the tape
    folder: Path | None = None  # which SQLite syncs together with this new file

    def __init__(
        self, vfs: FakeVfs, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._vfs = vfs
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self._vfs.meet("write", apsw.SQLITE_IOERR_WRITE)
        super().xWrite(data, offset)
        if self.number:
            self._vfs.tape.add(Write(self.number, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._vfs.meet("truncate", apsw.SQLITE_IOERR_TRUNCATE)
        super().xTruncate(newsize)
        if self.number:
            self._vfs.tape.add(Truncate(self.number, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._vfs.meet("sync", apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)
        if self.number:
            self._vfs.tape.add(Sync(self.number))
        if self.folder:
            self._vfs.tape.add(SyncFolder(self.folder))
            self.folder = None
