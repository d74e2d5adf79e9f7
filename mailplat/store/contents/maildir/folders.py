"""One folder of a maildir: which files it has, whose they are, and every change of them.

All of this blocks, and one thread works at a folder at a time.  Other programs work there
too: a file may get other flags, or go, between any two steps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import attrs

from mailplat.files import Disk
from mailplat.mail.errors import AlreadyExists, StoreFailed
from mailplat.mail.mailbox import SYSTEM_FLAGS
from mailplat.moving.maildir import (
    FORWARDED,
    KEYWORDS_FILE,
    LONGEST_KEYWORDS_FILE,
    read_keywords,
    written_keywords,
)
from mailplat.store.contents.maildir.names import Lexicon, Namer, joined, size_in, split
from mailplat.store.contents.maildir.queries import Brought
from mailplat.store.contents.maildir.strange import is_folder, open_folder, read_strange

NEW, CUR, TMP = "new", "cur", "tmp"
MARKER = "mailplat"  # the file that says which mailbox a folder is
OUR_LOCK = ".mailplat.lock"
OURS = b"mailplat\n"  # what such a lock says
TICK = 0.02  # seconds within which two changes may leave a folder with the same time
OLD_LOCK = 120.0  # seconds after which a lock is taken for left behind, as Dovecot does
PATIENCE = 40  # times that a lock is looked at
ALWAYS = frozenset(
    flag.lower() for flag in (*SYSTEM_FLAGS, FORWARDED)
)  # those that have letters everywhere, in small letters

Stamp = tuple[int, ...]


@attrs.define
class Folder:
    """A folder as it was when it was looked at, or changed by us, last."""

    path: Path
    tag: str
    files: dict[str, str] = attrs.field(factory=dict)  # by their bases: "cur/name"
    uids: dict[str, int] = attrs.field(factory=dict)  # by bases; 0 is nobody's
    bases: dict[int, str] = attrs.field(factory=dict)  # by UIDs
    lexicon: Lexicon = Lexicon()
    listed: bool = False
    agreed: Stamp | None = None  # the times at which the index knew all there was
    touched: set[str] = attrs.field(factory=set)  # what is to be synced
    growth: tuple[int, int] = (0, 0)  # octets and messages more than the last `grown` said

    # Looking.

    @property
    def is_there(self) -> bool:
        """Whether it is a whole maildir."""
        return all(is_folder(self.path / part) for part in (CUR, NEW, TMP))

    def stamp(self) -> Stamp | None:
        """Return the times of the last changes, or None where they may not be the last."""
        times = [_changed(self.path / name) for name in (NEW, CUR, KEYWORDS_FILE)]
        if time.time_ns() - max(times) < TICK * 1e9:
            return None
        return tuple(times)

    @property
    def is_as_agreed(self) -> bool:
        """Whether nobody has done anything here since the index knew all there was."""
        return self.agreed is not None and self.agreed == self.stamp()

    def look(self, namer: Namer, brought: Mapping[str, Brought]) -> None:
        """See which files there are.

        One that gets another name just then may be missed: so where anything was done
        meanwhile, all are looked for a second time.  At the first time nobody knows whether
        what is there would survive a crash, so it is to be synced.
        """
        if not self.listed:
            self.touched.update((NEW, CUR))
        stamp = self.stamp()
        found = self._list()
        if stamp is None or stamp != self.stamp():
            time.sleep(TICK)
            found = {**found, **self._list()}
        self.files = found
        self.uids = {base: self._uid(base, namer, brought) for base in found}
        self.bases = {uid: base for base, uid in self.uids.items() if uid}
        self.lexicon = self._read_lexicon()
        self.listed = True

    def letters(self, base: str) -> str:
        """Return the letters that a file's name had last."""
        return split(self.files[base])[1]

    @property
    def words(self) -> frozenset[str]:
        """The flags that names show here, in small letters."""
        return ALWAYS | {name.lower() for name in self.lexicon.keywords if name}

    def _list(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for part in (NEW, CUR):  # in this order, in which files go
            handle = open_folder(self.path / part)
            try:
                with os.scandir(handle) as entries:
                    for entry in entries:
                        if entry.name[0] != "." and entry.is_file(follow_symlinks=False):
                            found[split(entry.name)[0]] = f"{part}/{entry.name}"
            finally:
                os.close(handle)
        return found

    def _uid(self, base: str, namer: Namer, brought: Mapping[str, Brought]) -> int:
        if one := brought.get(base):
            return one.uid
        owner = namer.owner(base, self.tag)
        return owner.uid if owner else 0

    def _read_lexicon(self) -> Lexicon:
        octets = read_strange(self.path / KEYWORDS_FILE, LONGEST_KEYWORDS_FILE)
        return Lexicon() if octets is None else Lexicon.of(read_keywords(octets))

    # Changing.

    def add(self, disk: Disk, source: Path, base: str, uid: int, flags: frozenset[str]) -> None:
        """Give a content a name here."""
        self._learn(disk, flags)
        name = f"{CUR}/{joined(base, self.lexicon.letters(flags))}"
        self._has(base, name, uid)  # first, so that `Watch` hears of nothing new
        try:
            disk.link(source, f"{self.path}/{name}")
            self._grow(base, 1)
        except AlreadyExists:  # it has been told before
            pass

    def take_in(self, disk: Disk, namer: Namer, other: Folder, base: str) -> None:
        """Give a file of another folder a name here with its flags; may be done again.

        It is the one that it has, or where another file has that, a new one.
        """
        source = other.path / other.files[base]
        flags = other.lexicon.flags(other.letters(base))
        self._learn(disk, flags)
        letters = self.lexicon.letters(flags)
        found = source.stat()
        for name in chain([base], namer.strange(int(found.st_mtime), found.st_ino)):
            there = self.files.get(name)
            if there is None:
                part = f"{CUR}/{joined(name, letters)}" if letters else f"{NEW}/{name}"
                disk.link(source, self.path / part)
                self.files[name] = part
                return
            if source.samefile(self.path / there):
                return

    def belongs(self, base: str, uid: int) -> None:
        """Note whose message a file is."""
        self.uids[base] = uid
        self.bases[uid] = base

    def flag(self, disk: Disk, base: str, flags: frozenset[str]) -> bool:
        """Show a message's flags in its name; return whether that was still there."""
        self._learn(disk, flags)
        name = self.files[base]
        before = split(name)[1]
        letters = self.lexicon.letters(flags, before)
        if letters == before or (name.startswith(NEW) and not letters):
            return True
        new = self.files[base] = f"{CUR}/{joined(base, letters)}"  # before `Watch` hears of it
        self.touched.update((name[:3], CUR))
        if _rename(disk, f"{self.path}/{name}", f"{self.path}/{new}"):
            return True
        self.files[base] = name
        return self._flag_again(disk, base, flags)

    def remove(self, disk: Disk, base: str) -> None:
        """Take a file away, whatever it is called by now."""
        name = self.files[base]
        self.touched.add(name[:3])
        self._grow(base, -1)
        self._lacks(base)
        if not _unlink(disk, self.path / name):
            found = self._list().get(base)
            if found:
                _unlink(disk, self.path / found)
                self.touched.add(found[:3])

    def grown(self) -> tuple[int, int]:
        """Return by how many octets and messages we have made it grow since we were asked."""
        growth, self.growth = self.growth, (0, 0)
        return growth

    def all_gone(self) -> tuple[int, int]:
        """Return the same for when all messages have gone."""
        for base, uid in self.uids.items():
            if uid:
                self._grow(base, -1)
        return self.grown()

    def _grow(self, base: str, messages: int) -> None:
        octets = size_in(base)
        if octets is None:
            octets = _size(self.path / self.files[base])
        self.growth = (self.growth[0] + messages * octets, self.growth[1] + messages)

    def sync(self, disk: Disk) -> None:
        """Make durable what was changed."""
        for part in sorted(self.touched):
            disk.sync_folder(self.path / part)
        self.touched.clear()

    def _flag_again(self, disk: Disk, base: str, flags: frozenset[str]) -> bool:
        """Show flags in a name that another program has changed, and keep what it changed."""
        found = self._list().get(base)
        if found is None:
            self._lacks(base)
            return False
        before, now = (self.lexicon.flags(split(name)[1]) for name in (self.files[base], found))
        letters = self.lexicon.letters((flags | (now - before)) - (before - now))
        new = f"{CUR}/{joined(base, letters)}"
        if not _rename(disk, self.path / found, self.path / new):
            raise StoreFailed(f"{self.path / found} is changed by another program too often")
        self._has(base, new, self.uids[base])
        self.touched.add(found[:3])
        return True

    def _has(self, base: str, name: str, uid: int) -> None:
        self.files[base] = name
        self.touched.add(CUR)
        self.belongs(base, uid)

    def _lacks(self, base: str) -> None:
        del self.files[base]
        uid = self.uids.pop(base, 0)
        if self.bases.get(uid) == base:
            del self.bases[uid]

    # Keywords.

    def _learn(self, disk: Disk, flags: frozenset[str]) -> None:
        """Give letters to keywords that have none, as far as there are any."""
        if self.lexicon.with_room_for(flags) != self.lexicon:
            self._write_lexicon(disk, flags)

    def _write_lexicon(self, disk: Disk, flags: frozenset[str]) -> None:
        """Write the file anew, under the lock by which Dovecot writes it."""
        lock = self.path / f"{KEYWORDS_FILE}.lock"
        _lock(disk, lock)
        try:
            self.lexicon = self._read_lexicon().with_room_for(flags)
            disk.replace(self.path / KEYWORDS_FILE, _written(self.lexicon))
        finally:
            disk.unlink(lock)


def _lock(disk: Disk, lock: Path) -> None:
    """Make a lock that says that it is ours, so that one which a crash left is known."""
    ours = lock.with_name(OUR_LOCK)
    disk.unlink(ours)
    try:
        with disk.create(ours) as file:
            disk.write(file, OURS)
            disk.sync(file)
        for _ in range(PATIENCE):
            try:
                disk.link(ours, lock)
            except AlreadyExists:
                if _said(lock) == OURS:
                    return
                if time.time() - _changed(lock) / 1e9 > OLD_LOCK:
                    disk.unlink(lock)
                time.sleep(TICK)
            else:
                return
        raise StoreFailed(f"{lock} is held by another program")
    finally:
        disk.unlink(ours)


def _said(lock: Path) -> bytes:
    return read_strange(lock, 100) or b""


def _written(lexicon: Lexicon) -> bytes:
    lines = written_keywords(lexicon.keywords).splitlines(keepends=True)
    return b"".join(line for line in lines if line.partition(b" ")[2].strip())


def _changed(path: Path) -> int:
    """Return the nanoseconds since 1970 of a change; 0 where there is nothing."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def is_linked(path: Path) -> bool:
    """Say whether a file has other names too; so it is said of one that has gone."""
    try:
        return path.stat(follow_symlinks=False).st_nlink > 1
    except FileNotFoundError:
        return True


def _size(path: Path) -> int:
    """Return the octets of a file; 0 where there is none any more."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _rename(disk: Disk, source: Path | str, target: Path | str) -> bool:
    """Rename a file, and say whether it was there."""
    try:
        disk.rename(source, target)
    except StoreFailed as problem:
        if isinstance(problem.__cause__, FileNotFoundError):
            return False
        raise
    return True


def _unlink(disk: Disk, path: Path) -> bool:
    """Take a name away, and say whether it was there."""
    was_there = path.exists()
    disk.unlink(path)
    return was_there
