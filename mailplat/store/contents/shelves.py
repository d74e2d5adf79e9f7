"""Files of contents in a folder: where each lies, and every step by which it comes and goes.

Contents are put on shelves, which are folders of a thousand files, one shelf after
the other.  What comes together lies together, so that one sync of the folder makes
many names durable, and a shelf of old mail is left alone.

A file is named for the SHA-256 of its content, and has some octets of chance in its
name, so that no name is ever given twice.  All of this blocks.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from mailplat.files import Disk, File, FolderSyncs
from mailplat.mail.content import CHUNK
from mailplat.mail.errors import DiskFull, InUse, MailError, NoSuchMessage, StoreFailed
from mailplat.store.contents.packing import BY_SUFFIX, Codec, Packer, pack, unpacked

if TYPE_CHECKING:
    from hashlib import _Hash

ON_A_SHELF = 1024  # files
SHELVES = 256  # in each folder of shelves
SCANNED = 1000  # keys at once

_NAME = re.compile(r"(?:[0-9a-f]{64}|new)-[0-9a-f]{12}(?:\.zst|\.gz)?", re.ASCII)
_FILE = re.compile(rf"[0-9a-f]{{4}}/[0-9a-f]{{2}}/{_NAME.pattern}", re.ASCII)
_KEY = re.compile(r"[0-9a-f]{4}/[0-9a-f]{2}/([0-9a-f]{64})-[0-9a-f]{12}(\.zst|\.gz)?", re.ASCII)
_FOLDER = re.compile(r"[0-9a-f]{4}", re.ASCII)
_SHELF = re.compile(r"[0-9a-f]{2}", re.ASCII)

LOCK = ".lock"
TO_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
UNFINISHED: Final = "new"  # stands for the digest in the name of what is being written


def digest_in(key: str) -> bytes | None:
    """Return the SHA-256 that a key names, or None if it's no key of ours."""
    found = _KEY.fullmatch(key)
    return bytes.fromhex(found[1]) if found else None


@attrs.define
class Writing:
    """A content that is being written, piece by piece."""

    shelf: Path
    file: File
    digest: _Hash = attrs.field(factory=sha256)
    packer: Packer | None = None
    suffix: str = ""
    begun: bool = False


@attrs.define
class Draft:
    """A content that is written at once, and what kept it from being durable."""

    octets: bytes
    name: str
    file: File | None = None
    problem: MailError | None = None

    def take(self, step: Callable[[Draft], None]) -> None:
        """Take the next step, unless an earlier one went wrong."""
        try:
            if not self.problem:
                step(self)
        except MailError as problem:
            self.problem = problem


class Shelves:
    """The shelves in one folder; used by many threads at once.

    Raises as `Disk` does, which see for what follows a failed sync.
    """

    def __init__(self, disk: Disk, root: Path, codec: Codec | None = None) -> None:
        self._disk = disk
        self._root = root
        self._codec = codec
        self._syncs = FolderSyncs(disk)
        self._lock = threading.Lock()
        self._held: File | None = None  # keeps other processes out
        self._shelf = 0  # the number of that which takes what is new
        self._first = 0  # of those that this process has put anything on
        self._free = 0  # places on it

    def prepare(self) -> None:
        """Make the folder, lock it, and find the shelf that what is new goes to.

        Raises `InUse` where another house has it.
        """
        self._disk.make_folder(self._root)
        self._held = _locked(self._root / LOCK)
        last = max(
            (shelf for folder in self._folders() for shelf in self._in(folder)), default=""
        )
        if last:
            self._shelf = _number(last)
            self._make(self._root / last)  # a crash may have come before its name was durable
            self._free = max(0, ON_A_SHELF - len(_names_in(self._root / last)))
        self._first = self._shelf

    def close(self) -> None:
        """Let another have the folder."""
        if self._held:
            self._held.close()

    # Adding.

    def keep_each(self, contents: Sequence[bytes]) -> list[str | Exception]:
        """Keep contents durably, each for itself; return their keys, or what went wrong."""
        drafts = [self._drafted(octets) for octets in contents]
        steps = [self._write, self._hasten, self._sync]
        if len(drafts) == 1:
            steps.remove(self._hasten)
        for step in steps:
            for draft in drafts:
                draft.take(step)
        for shelf in sorted({draft.file.path.parent for draft in drafts if draft.file}):
            try:
                self._syncs.sync(shelf)
            except MailError as problem:
                for draft in drafts:
                    draft.problem = draft.problem or problem
        return [self._kept(draft) for draft in drafts]

    def _drafted(self, octets: bytes) -> Draft:
        digest = sha256(octets).hexdigest()
        suffix = ""
        if self._codec:
            packed = pack(self._codec, octets)
            if len(packed) < len(octets):
                octets, suffix = packed, self._codec.suffix
        return Draft(octets, f"{digest}-{_chance()}{suffix}")

    def _write(self, draft: Draft) -> None:
        self._insist_on_room(len(draft.octets))
        draft.file = self._disk.create(self._shelf_for_one() / draft.name)
        self._disk.write(draft.file, draft.octets)

    def _hasten(self, draft: Draft) -> None:
        assert draft.file
        self._disk.hasten(draft.file)

    def _sync(self, draft: Draft) -> None:
        assert draft.file
        self._disk.sync(draft.file)

    def _kept(self, draft: Draft) -> str | Exception:
        if draft.file:
            draft.file.close()
            if not draft.problem:
                return self._key(draft.file.path)
            self._disk.unlink(draft.file.path)
        assert draft.problem
        return draft.problem

    def begin(self, size: int) -> Writing:
        """Begin a content that comes in pieces of `FRAME` octets; a name says that it does."""
        self._insist_on_room(size)
        shelf = self._shelf_for_one()
        return Writing(shelf, self._disk.create(shelf / f"{UNFINISHED}-{_chance()}"))

    def add(self, writing: Writing, octets: bytes) -> None:
        """Take the next piece."""
        writing.digest.update(octets)
        if self._codec and not writing.begun:
            packer = Packer(self._codec)
            if len(frame := packer.add(octets)) < len(octets):
                writing.packer, writing.suffix = packer, self._codec.suffix
                octets = frame
        elif writing.packer:
            octets = writing.packer.add(octets)
        writing.begun = True
        self._disk.write(writing.file, octets)

    def finish(self, writing: Writing) -> str:
        """Make a content durable, and return its key."""
        if writing.packer:
            self._disk.write(writing.file, writing.packer.finish())
        self._disk.sync(writing.file)
        writing.file.close()
        unfinished = writing.file.path
        chance = unfinished.name.removeprefix(UNFINISHED)
        path = writing.shelf / f"{writing.digest.hexdigest()}{chance}{writing.suffix}"
        self._disk.rename(unfinished, path)
        try:
            self._syncs.sync(writing.shelf)
        except BaseException:
            self._disk.unlink(path)
            raise
        return self._key(path)

    def give_up(self, writing: Writing) -> None:
        """Leave nothing of a content that could not be finished."""
        writing.file.close()
        self._disk.unlink(writing.file.path)

    # Reading.

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Return octets of a content (see `IContentStore.read`)."""
        file, codec = self._open(key)
        with file:
            return self._read(file, codec, max(start, 0), stop)

    def read_each(self, keys: list[str]) -> list[bytes | None]:
        """Return the whole of each content, and None where there is none, or it is damaged."""
        found: list[bytes | None] = []
        for key in keys:
            try:
                found.append(self._read_whole(key))
            except (NoSuchMessage, StoreFailed):
                found.append(None)
        return found

    def is_sound(self, key: str) -> bool:
        """Read a content, and say whether it is what its name says."""
        file, codec = self._open(key)
        digest, at = sha256(), 0
        with file:
            try:
                while octets := self._read(file, codec, at, at + CHUNK):
                    digest.update(octets)
                    at += len(octets)
            except StoreFailed:
                return False
        return digest.digest() == digest_in(key)

    def _read_whole(self, key: str) -> bytes:
        file, codec = self._open(key)
        with file, file.in_use() as handle:
            size = os.fstat(handle).st_size
            octets = self._disk.read(file, 0, size)
        if codec is None:
            return octets
        return unpacked(codec, lambda start, stop: octets[start:stop], size, 0, 1 << 40)

    def _open(self, key: str) -> tuple[File, Codec | None]:
        found = _KEY.fullmatch(key)
        file = self._disk.open(self._root / key) if found else None
        if not found or not file:
            raise NoSuchMessage(f"there is no content {key!r}")
        suffix = found[2]
        if suffix and suffix not in BY_SUFFIX:
            file.close()
            raise StoreFailed(f"{key} can't be unpacked: the library for {suffix} is missing")
        return file, BY_SUFFIX[suffix] if suffix else None

    def _read(self, file: File, codec: Codec | None, start: int, stop: int) -> bytes:
        if codec is None:
            return self._disk.read(file, start, stop)
        with file.in_use() as handle:
            size = os.fstat(handle).st_size
        return unpacked(
            codec, lambda at, end: self._disk.read(file, at, end), size, start, stop
        )

    # Forgetting.

    def remove(self, keys: list[str]) -> None:
        """Forget contents; what a crash brings back of them is found by `scan`."""
        for key in keys:
            if _FILE.fullmatch(key):
                self._disk.unlink(self._root / key)

    def scan(self, after: str) -> list[str]:
        """Return some keys behind ``after``, those of unfinished contents too.

        Earlier shelves on which nothing is left are taken away by the way.
        """
        for folder in self._folders():
            if folder < after[:4]:
                continue
            for shelf in self._in(folder):
                names = self._names(shelf) if shelf >= after[:7] else []
                keys = [key for name in sorted(names) if (key := f"{shelf}/{name}") > after]
                if keys:
                    return keys[:SCANNED]
        return []

    def used(self) -> tuple[int, int]:
        """Return how many contents there are, and how many octets they take on the disk."""
        count = octets = 0
        for folder in self._folders():
            for shelf in self._in(folder):
                for name in filter(_NAME.fullmatch, _names_in(self._root / shelf)):
                    with suppress(FileNotFoundError):  # it has just been removed
                        octets += (self._root / shelf / name).lstat().st_size
                        count += 1
        return count, octets

    def _folders(self) -> list[str]:
        return sorted(name for name in _names_in(self._root) if _FOLDER.fullmatch(name))

    def _in(self, folder: str) -> Iterator[str]:
        names = sorted(n for n in _names_in(self._root / folder) if _SHELF.fullmatch(n))
        return (f"{folder}/{name}" for name in names)

    def _names(self, shelf: str) -> list[str]:
        names = _names_in(self._root / shelf)
        if not names and _number(shelf) < self._first:
            (self._root / shelf).rmdir()
        return [name for name in names if _NAME.fullmatch(name)]

    # Room.

    def _insist_on_room(self, octets: int) -> None:
        """Raise `DiskFull` where fewer are free, what others have reserved not counted."""
        if (room := self._disk.room(self._root)) < octets:
            raise DiskFull(f"{room} octets are free in {self._root}, {octets} are wanted")

    def _shelf_for_one(self) -> Path:
        """Return the shelf that one more content goes to."""
        with self._lock:
            if not self._free:
                following = self._shelf + 1
                self._make(self._path(following))
                self._shelf, self._free = following, ON_A_SHELF
            self._free -= 1
            return self._path(self._shelf)

    def _make(self, shelf: Path) -> None:
        self._disk.make_folder(shelf.parent)
        self._disk.make_folder(shelf)

    def _path(self, shelf: int) -> Path:
        return self._root / f"{shelf // SHELVES:04x}" / f"{shelf % SHELVES:02x}"

    def _key(self, path: Path) -> str:
        return str(path.relative_to(self._root))


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is wanted
    except OSError as error:
        raise StoreFailed(f"{folder} can't be read: {error.strerror}") from error


def _locked(path: Path) -> File:
    """Return a file that is locked until it is closed, or the process ends."""
    try:
        file = File(path, os.open(path, TO_LOCK, 0o600))
        with file.in_use() as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUse(f"another house has {path.parent}") from None
    except OSError as error:
        raise StoreFailed(f"{path} can't be locked: {error.strerror}") from error
    return file


def _number(shelf: str) -> int:
    folder, _, name = shelf.partition("/")
    return int(folder, 16) * SHELVES + int(name, 16)


def _chance() -> str:
    return os.urandom(6).hex()
