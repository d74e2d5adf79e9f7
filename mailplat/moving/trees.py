"""Files in a folder, a zip or a tar: the same tree, whatever holds it."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO, cast

import attrs

from mailplat.moving.letters import CHUNK, pieces_of

IN_MEMORY = 4 << 20  # octets of an archive's member that are held before a file is made
ALWAYS_UNPACKED = 64 << 20  # octets; a larger member must not be packed too well
MOST_UNPACKED = 100  # octets that one octet of an archive may become
LEFT_FREE = 64 << 20  # octets of a disk that a copy of a member leaves free


UNREADABLE = (OSError, EOFError, zlib.error, LZMAError, zipfile.BadZipFile, tarfile.TarError)
"""What reading a file of a tree may raise."""


class Unreadable(Exception):
    """What an operator named can't be read; the text says why."""


@attrs.frozen
class Leaf:
    """A file of a tree: its folders and name, size in octets, age in seconds since 1970.

    ``open`` gives its octets from the first to the last; `Leaf.seekable` lets them be
    read in whatever order.  A leaf with a ``problem`` stands for what can't be looked at, a file
    or a folder with all that is in it.
    """

    parts: tuple[str, ...]
    size: int
    changed: float
    open: Callable[[], BinaryIO]
    packed: bool = False  # in an archive, where going back may mean to begin anew
    problem: OSError | None = None

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.parts[-1]

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that lead to it."""
        return self.parts[:-1]

    def head(self, size: int) -> bytes:
        """Return the first octets."""
        with self.open() as file:
            return file.read(size)

    @contextmanager
    def seekable(self, file: BinaryIO, front: bytes) -> Iterator[BinaryIO]:
        """Make what `open` gave readable here and there; its ``front`` has been read.

        Raises `OSError` if there is no room for a copy.
        """
        if not self.packed:
            yield file
            return
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if self.size > IN_MEMORY and self.size > free - LEFT_FREE:
            why = f"no room for a copy of {self.size} octets in {tempfile.gettempdir()}"
            raise OSError(errno.ENOSPC, why)
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as copy:
            copy.write(front)
            for piece in pieces_of(file):
                copy.write(piece)
                if copy.tell() > self.size:
                    raise OSError(f"it has more than the {self.size} octets it is said to have")
            yield cast("BinaryIO", copy)


@attrs.frozen
class Tree:
    """All files there are; those of a folder by name, those of an archive as they lie there."""

    place: Path
    leaves: Callable[[], Iterator[Leaf]]
    packed: bool = False
    single: bool = False  # one file by itself


@contextmanager
def opened(path: Path) -> Iterator[Tree]:
    """Open a folder, an archive or a file; raises `Unreadable`."""
    try:
        if path.is_dir():
            yield Tree(path, lambda: _on_disk(path))
        elif not path.is_file():
            raise Unreadable(f"{path} is neither a file nor a folder")
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                yield Tree(path, lambda: _in_zip(packed), packed=True)
        elif _is_tar(path):
            with tarfile.open(path) as tape:
                size = path.stat().st_size
                yield Tree(path, lambda: _in_tar(tape, size), packed=True)
        else:
            yield Tree(path, lambda: iter([_leaf(path, (path.name,))]), single=True)
    except UNREADABLE as problem:
        raise Unreadable(f"{path} can't be read: {problem}") from problem


def _is_tar(path: Path) -> bool:
    """Say whether it is a tar: mail may look like an empty one."""
    with path.open("rb") as file:
        front = file.read(512)
    return not front.startswith(b"From ") and tarfile.is_tarfile(path)


def _leaf(path: Path, parts: tuple[str, ...]) -> Leaf:
    found = path.stat()
    return Leaf(parts, found.st_size, found.st_mtime_ns / 1e9, lambda: _open(path))


def _open(path: Path) -> BinaryIO:
    return path.open("rb", buffering=CHUNK)


def _on_disk(root: Path) -> Iterator[Leaf]:
    """Yield the files of a folder; links are followed to files, and to no folder.

    Raises `OSError` if not even the folder itself can be read.
    """
    failed: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=failed.append):
        yield from _unread(root, failed)
        folders.sort()
        above = Path(folder).relative_to(root).parts
        for name in sorted(names):
            path = Path(folder, name)
            try:
                if path.is_file():
                    yield _leaf(path, (*above, name))
            except FileNotFoundError:  # another program has just taken it away
                continue
            except OSError as problem:
                yield _closed((*above, name), problem)
    yield from _unread(root, failed)


def _unread(root: Path, failed: list[OSError]) -> Iterator[Leaf]:
    """Yield a leaf for each folder that could not be read, and forget them."""
    while failed:
        problem = failed.pop(0)
        parts = Path(problem.filename).relative_to(root).parts
        if not parts:
            raise problem
        if not isinstance(problem, FileNotFoundError):
            yield _closed(parts, problem)


def _closed(parts: tuple[str, ...], problem: OSError) -> Leaf:
    def refuse() -> BinaryIO:
        raise problem

    return Leaf(parts, 0, 0.0, refuse, problem=problem)


def _in_zip(packed: zipfile.ZipFile) -> Iterator[Leaf]:
    for info in packed.infolist():
        parts = _safe(info.filename)
        if parts and not info.is_dir():
            changed = _zip_time(info.date_time)
            problem = _swollen(info.file_size, info.compress_size)
            read = partial(_zipped, packed, info)
            yield Leaf(parts, info.file_size, changed, read, True, problem)


def _swollen(size: int, packed: int) -> OSError | None:
    """Return why a member is not read that so few octets claim to hold; None if it is."""
    if size <= max(ALWAYS_UNPACKED, packed * MOST_UNPACKED):
        return None
    return OSError(f"{size} octets out of {packed} are more than mail is ever packed to")


def _zipped(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    try:
        return cast("BinaryIO", packed.open(info))
    except RuntimeError as problem:  # it needs a password, or a method that is not there
        raise OSError(str(problem)) from problem


def _zip_time(moment: tuple[int, int, int, int, int, int]) -> float:
    try:
        return time.mktime((*moment, 0, 0, -1))
    except (OverflowError, ValueError):
        return 0.0


def _in_tar(tape: tarfile.TarFile, packed: int) -> Iterator[Leaf]:
    """Yield the files of a tar of so many octets, as it is read from its front to its end.

    Going back in a packed one means to unpack it from its front again.
    """
    for info in tape:
        parts = _safe(info.name)
        if parts and info.isreg():
            problem = _swollen(info.size, packed)
            if info.issparse():
                problem = OSError("it has holes (a sparse member), which no mail has")
            read = partial(_taped, tape, info)
            yield Leaf(parts, info.size, float(info.mtime), read, True, problem)


def _taped(tape: tarfile.TarFile, info: tarfile.TarInfo) -> BinaryIO:
    return cast("BinaryIO", tape.extractfile(info))


def _safe(name: str) -> tuple[str, ...]:
    """Return the parts of a member's name; nothing of it is ever written by that name."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
