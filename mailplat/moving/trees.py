"""Files in a folder, a zip or a tar: the same tree, whatever holds it."""

from __future__ import annotations

import os
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


UNREADABLE = (OSError, EOFError, zlib.error, LZMAError, zipfile.BadZipFile, tarfile.TarError)
"""What reading a file of a tree may raise."""


class Unreadable(Exception):
    """What an operator named can't be read; the text says why."""


@attrs.frozen
class Leaf:
    """A file of a tree: its folders and name, size in octets, age in seconds since 1970.

    ``open`` gives its octets from the first to the last; `Leaf.seekable` also in
    whatever order.  A leaf with a ``problem`` stands for what can't be looked at, a file
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
    def seekable(self) -> Iterator[BinaryIO]:
        """Open it for reading here and there."""
        with self.open() as file:
            if not self.packed:
                yield file
                return
            with tempfile.SpooledTemporaryFile(IN_MEMORY) as copy:
                for piece in pieces_of(file):
                    copy.write(piece)
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
                yield Tree(path, lambda: _in_tar(tape), packed=True)
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
            yield Leaf(parts, info.file_size, changed, partial(_zipped, packed, info), True)


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


def _in_tar(tape: tarfile.TarFile) -> Iterator[Leaf]:
    for info in tape.getmembers():
        parts = _safe(info.name)
        if parts and info.isreg():
            yield Leaf(parts, info.size, float(info.mtime), partial(_taped, tape, info), True)


def _taped(tape: tarfile.TarFile, info: tarfile.TarInfo) -> BinaryIO:
    return cast("BinaryIO", tape.extractfile(info))


def _safe(name: str) -> tuple[str, ...]:
    """Return the parts of a member's name; nothing of it is ever written by that name."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
