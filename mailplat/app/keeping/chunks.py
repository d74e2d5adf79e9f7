"""A folder of octets, each file of which is called what its octets hash to."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import takewhile
from pathlib import Path

import attrs

from mailplat.files import Disk
from mailplat.mail.errors import AlreadyExists, InUse, StoreFailed

CHUNK = 1 << 17  # octets; 32 pages of a database


class Damaged(StoreFailed):
    """What lies in a backup is not what was put there."""


@attrs.frozen
class Chunks:
    """The octets of all generations of a backup, each piece kept once.

    A piece lies under its SHA-256, in a folder named by the first two digits.  It gets
    that name when its octets are durable, so whatever has its name is whole.  All of
    this blocks.
    """

    folder: Path
    disk: Disk = attrs.field(factory=Disk)

    def keep(self, octets: bytes) -> tuple[str, bool]:
        """Keep a piece; return its name, and whether it is new."""
        name = sha256(octets).hexdigest()
        path = self.path(name)
        with suppress(OSError):
            if path.stat().st_size == len(octets):
                return name, False
        self.disk.make_folder(path.parent)
        new = path.with_name(f".{name}.{os.urandom(4).hex()}")
        with self.disk.create(new) as file:
            self.disk.write(file, octets)
            self.disk.sync(file)
        self.disk.rename(new, path)
        return name, True

    def read(self, name: str) -> bytes:
        """Return a piece; raises `Damaged` if it isn't there, or isn't what it was."""
        try:
            octets = self.path(name).read_bytes()
        except OSError as problem:
            raise Damaged(f"{self.path(name)} can't be read: {problem.strerror}") from problem
        if sha256(octets).hexdigest() != name:
            raise Damaged(f"{self.path(name)} is not what it was when it was written")
        return octets

    def make(self, names: Collection[str], size: int) -> bool:
        """Say whether pieces are there that together have so many octets; none is read."""
        try:
            return sum(self.path(name).stat().st_size for name in names) == size
        except OSError:
            return False

    def set_aside(self, name: str) -> None:
        """Give a piece that is damaged another name, so that the next run writes it anew."""
        path = self.path(name)
        if path.exists():
            self.disk.rename(path, path.with_name(f"{name}.damaged"))
            self.disk.sync_folder(path.parent)

    def path(self, name: str) -> Path:
        """Return where a piece lies."""
        return self.folder / name[:2] / name

    def sync(self) -> None:
        """Make the names durable."""
        for folder in [*self._folders(), self.folder]:
            self.disk.sync_folder(folder)

    def prune(self, kept: Collection[str]) -> int:
        """Forget all pieces but these, and what an earlier run left half written."""
        gone = 0
        for folder in self._folders():
            for path in list(folder.iterdir()):
                if path.name not in kept:
                    self.disk.unlink(path)
                    gone += not path.name.startswith(".")
        return gone

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_dir())


def make_folders(disk: Disk, folder: Path) -> None:
    """Make a folder, and those around it, whose names are durable then.

    Raises `DiskFull`, and `StoreFailed` where it can't be used.
    """
    missing = takewhile(lambda path: not path.is_dir(), [folder, *folder.parents])
    for path in reversed(list(missing)):
        try:
            disk.make_folder(path)
        except StoreFailed as problem:
            raise StoreFailed(f"{folder} can't be used: {problem}") from problem


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a backup's folder, making it if need be; raises `InUse` if another process does."""
    try:
        make_folders(Disk(), folder)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except NotADirectoryError:
        raise AlreadyExists(f"{folder} is no folder") from None
    except OSError as problem:
        raise StoreFailed(f"{folder} can't be used: {problem.strerror}") from problem
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(f"another backup to {folder} is under way") from None
        yield
    finally:
        os.close(handle)
