"""What a crash could leave on the disk, at every step, and whether we recover from it.

`explore` takes a tape on which a flow was recorded, makes the folder that the
machine would find after a crash behind each operation, lets the house recover
there, and asks whether everything is true that anybody had been told.
"""

from __future__ import annotations

import random
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Hashable,
    Iterator,
    Mapping,
    Sequence,
)
from hashlib import blake2b
from pathlib import Path

import attrs

from mailplat.testing.disk import (
    Acknowledge,
    MakeFolder,
    Name,
    Operation,
    Rename,
    Sync,
    SyncFolder,
    Tape,
    Truncate,
    Unlink,
    Write,
    quick_folder,
)

PAGE = 4096  # octets of a database's page
SECTOR = 512  # octets that a disk writes whole or not at all

Folder = Mapping[Path, bytes | None]  # files, and None for folders that were made
Recover = Callable[[Path], Awaitable[Collection[Hashable]]]


class Lost(AssertionError):
    """Something that was acknowledged is not there after a crash."""


@attrs.frozen
class Crash:
    """One way in which a flow may have been cut short."""

    after: int  # operations that had been done
    how: str
    done: Sequence[Operation] = attrs.field(repr=False)
    missing: frozenset[int] = frozenset()  # which of these never reached the disk
    is_plain: bool = False  # whether all of what wasn't synced was written, or nothing

    def folder(self) -> Folder:
        """Return the files that the machine would find."""
        return _folder(self.done, self.missing)


@attrs.frozen
class Explored:
    """How much was tried."""

    crashes: int
    folders: int  # different ones, each recovered once


async def explore(
    tape: Tape, recover: Recover, *, since: int = 0, at_most: int | None = None
) -> Explored:
    """Try every crash of the flow on the tape.

    ``recover`` is given a folder as a crash left it, does what a start does,
    and returns every fact it finds true there.  Raises `Lost` if something
    acknowledged is missing from them, and whatever ``recover`` raises.

    The first ``since`` operations are taken as done.  ``at_most`` bounds how
    many crashes are tried, always the same ones.
    """
    known: dict[bytes, Collection[Hashable]] = {}
    chosen = _chosen([c for c in crashes(tape.operations) if c.after >= since], at_most)
    for crash in chosen:
        folder = crash.folder()
        key = _digest(folder)
        if key not in known:
            known[key] = await _recovered(crash, folder, recover)
        told = _acknowledged(tape.operations[: crash.after])
        missing = [fact for fact in told if fact not in known[key]]
        if missing:
            last = tape.operations[crash.after - 1]
            raise Lost(f"crash after {crash.after} ({last}), {crash.how}: {missing} is lost")
    return Explored(len(chosen), len(known))


def crashes(operations: Sequence[Operation]) -> Iterator[Crash]:
    """Return every crash to be tried.

    Behind each operation: everything that had been done was written; nothing
    that wasn't synced was; any one of these operations is missing; the last
    write was torn between two sectors.
    """
    for after in range(len(operations) + 1):
        done = operations[:after]
        open_ends = _unsynced(done)
        yield Crash(after, "all written", done, is_plain=True)
        if not open_ends:
            continue
        yield Crash(after, "only what was synced", done, frozenset(open_ends), is_plain=True)
        if len(open_ends) > 1:
            for index in open_ends:
                yield Crash(after, f"without operation {index + 1}", done, frozenset([index]))
        last = done[-1]
        if isinstance(last, Write):
            for size in range(SECTOR, len(last.octets), SECTOR):
                torn = attrs.evolve(last, octets=last.octets[:size])
                yield Crash(after, f"torn after {size}", [*done[:-1], torn])


def _chosen(found: Sequence[Crash], at_most: int | None) -> Sequence[Crash]:
    """Choose crashes, half of them such that lose or tear a single operation."""
    if at_most is None or len(found) <= at_most:
        return found
    plain = [crash for crash in found if crash.is_plain]
    others = [crash for crash in found if not crash.is_plain]
    chance = random.Random(0)  # noqa: S311 - no secret
    some = chance.sample(others, min(len(others), at_most // 2))
    return some + chance.sample(plain, min(len(plain), at_most - len(some)))


def _digest(folder: Folder) -> bytes:
    digest = blake2b()
    for path, octets in sorted(folder.items()):
        size = -1 if octets is None else len(octets)
        digest.update(b"%d %d " % (len(bytes(path)), size) + bytes(path))
        digest.update(octets or b"")
    return digest.digest()


def _unsynced(done: Sequence[Operation]) -> list[int]:
    """Return the operations, by index, that a crash now may undo."""
    files: set[int] = set()
    folders: set[Path] = set()
    found = []
    for index in range(len(done) - 1, -1, -1):
        match done[index]:
            case Sync(file):
                files.add(file)
            case SyncFolder(path):
                folders.add(path)
            case Write(file) | Truncate(file) if file not in files:
                found.append(index)
            case Name(path) | MakeFolder(path) | Unlink(path) if path.parent not in folders:
                found.append(index)
            case Rename(source, target) if not {source.parent, target.parent} <= folders:
                found.append(index)
    return found[::-1]


def _folder(done: Sequence[Operation], missing: frozenset[int] = frozenset()) -> Folder:
    """Return the files of a folder in which all but the missing operations were done."""
    files: dict[int, bytearray] = {}
    names: dict[Path, int] = {}
    made: list[Path] = []  # folders
    lost: set[Path] = set()  # those that were not
    for index, operation in enumerate(done):
        if index in missing:
            lost |= {operation.path} if isinstance(operation, MakeFolder) else set()
            continue
        match operation:
            case Write(file, offset, octets):
                content = files.setdefault(file, bytearray())
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(octets)] = octets
            case Truncate(file, size):
                content = files.setdefault(file, bytearray())
                content.extend(bytes(max(0, size - len(content))))
                del content[size:]
            case Name(path, file):
                names[path] = file
            case Rename(source, target) if source in names:
                names[target] = names.pop(source)
            case Rename(source, target):
                names = {_moved(path, source, target): file for path, file in names.items()}
                made = [_moved(path, source, target) for path in made]
            case Unlink(path):
                names.pop(path, None)
            case MakeFolder(path):
                made.append(path)
    found = dict.fromkeys(made) | {
        path: bytes(files.get(file, b"")) for path, file in names.items()
    }
    return {path: found[path] for path in found if lost.isdisjoint([path, *path.parents])}


def _moved(path: Path, source: Path, target: Path) -> Path:
    """Return where a file lies, after a folder around it was renamed."""
    return target / path.relative_to(source) if path.is_relative_to(source) else path


def _acknowledged(done: Sequence[Operation]) -> list[Hashable]:
    return [operation.fact for operation in done if isinstance(operation, Acknowledge)]


def _named(folder: Folder) -> Folder:
    """Leave out databases that were being made: a house names them when they are made.

    SQLite by itself, which a `FakeVfs` is used by, names them first.
    """
    unmade = [
        path.name
        for path, octets in folder.items()
        if path.suffix == ".db" and octets is not None and len(octets) < PAGE
    ]
    return {
        path: octets
        for path, octets in folder.items()
        if not any(path.name.startswith(name) for name in unmade)
    }


async def _recovered(crash: Crash, folder: Folder, recover: Recover) -> Collection[Hashable]:
    """Lay the folder out, and return the facts that a start finds in it."""
    with quick_folder() as root:
        for path, octets in _named(folder).items():
            folders = root / path if octets is None else (root / path).parent
            folders.mkdir(parents=True, exist_ok=True)
            if octets is not None:
                (root / path).write_bytes(octets)
        try:
            return await recover(root)
        except Exception as error:
            error.add_note(f"crash after {crash.after}, {crash.how}")
            raise
