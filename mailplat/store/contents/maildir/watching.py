"""Hears from the kernel when a name comes or goes in a folder (inotify(7), Linux).

Twisted's own `INotify` closes the whole queue when one folder is removed, so the three
calls are made here.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Collection
from pathlib import Path

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger

MOVED_FROM, MOVED_TO, CREATED, DELETED = 0x40, 0x80, 0x100, 0x200
OVERFLOW, IGNORED = 0x4000, 0x8000
ONLY_FOLDERS = 0x01000000
EVENTS = MOVED_FROM | MOVED_TO | CREATED | DELETED | ONLY_FOLDERS
NO_WAITING = os.O_NONBLOCK | os.O_CLOEXEC
AT_ONCE = 65536  # octets of events that are read at once
_HEAD = struct.Struct("iIII")

Hear = Callable[[str, bool], None]
"""Is told the name that has come (True) or gone; an empty one where that isn't known."""


class Watch(FileDescriptor):
    """One queue of events, for many folders; where there are too many, some are not watched."""

    log = Logger()

    def __init__(self, reactor: IReactorFDSet) -> None:
        super().__init__(reactor)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle = self._libc.inotify_init1(NO_WAITING)
        if self._handle < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._hearers: dict[int, Hear] = {}
        self._numbers: dict[Path, int] = {}
        self.is_full = False
        self.connected = 1
        reactor.addReader(self)

    def watch(self, folder: Path, hear: Hear) -> None:
        """Call ``hear`` in the reactor when a name comes to a folder, or goes from it."""
        number = self._libc.inotify_add_watch(self._handle, os.fsencode(folder), EVENTS)
        if number < 0:
            self._refused(folder)
            return
        self._hearers[number] = hear
        self._numbers[folder] = number

    def ignore(self, folders: Collection[Path]) -> None:
        """Watch folders no more."""
        for folder in folders:
            number = self._numbers.pop(folder, 0)
            if self._hearers.pop(number, None):
                self._libc.inotify_rm_watch(self._handle, number)
                self.is_full = False

    def stop(self) -> None:
        """Hear nothing more."""
        self.reactor.removeReader(self)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def fileno(self) -> int:
        return int(self._handle)

    def doRead(self) -> None:  # noqa: N802 - the reactor calls us
        try:
            octets = os.read(self._handle, AT_ONCE)
        except BlockingIOError:
            return
        at = 0
        while at < len(octets):
            number, mask, _, size = _HEAD.unpack_from(octets, at)
            name = octets[at + _HEAD.size : at + _HEAD.size + size].rstrip(b"\0")
            at += _HEAD.size + size
            self._tell(number, mask, os.fsdecode(name))

    def _tell(self, number: int, mask: int, name: str) -> None:
        if mask & OVERFLOW:
            for hear in list(self._hearers.values()):
                hear("", True)
        elif mask & IGNORED:
            self._hearers.pop(number, None)
        elif hear_one := self._hearers.get(number):
            hear_one(name, bool(mask & (MOVED_TO | CREATED)))

    def _refused(self, folder: Path) -> None:
        if not self.is_full and folder.exists():
            self.is_full = True
            self.log.warn(
                "not all maildirs can be watched; what other programs do there is seen when"
                " somebody logs in (raise fs.inotify.max_user_watches)"
            )
