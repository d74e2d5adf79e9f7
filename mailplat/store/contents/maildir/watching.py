"""Hears from the kernel when a name comes or goes in a folder (inotify(7), Linux).

Twisted's own `INotify` closes the whole queue when one folder is removed, so the three
calls are made here.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet
from twisted.logger import Logger

MOVED_FROM, MOVED_TO, CREATED, DELETED = 0x40, 0x80, 0x100, 0x200
OVERFLOW, IGNORED = 0x4000, 0x8000
ONLY_FOLDERS = 0x01000000
EVENTS = MOVED_FROM | MOVED_TO | CREATED | DELETED | ONLY_FOLDERS
NO_WAITING = os.O_NONBLOCK | os.O_CLOEXEC
AT_ONCE = 65536  # octets of events that are read at once
_HEAD = struct.Struct("iIII")

PAUSE = 0.01  # seconds between two looks, so that many events cost few of them

Hear = Callable[[Sequence[tuple[str, bool]]], None]
"""Is told the names that have come (True) or gone; an empty one where that isn't known."""


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
        self._later: IDelayedCall | None = None
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
        if self._later and self._later.active():
            self._later.cancel()
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
        self._pause()
        heard: dict[int, list[tuple[str, bool]]] = {}
        at = 0
        while at < len(octets):
            number, mask, _, size = _HEAD.unpack_from(octets, at)
            at += _HEAD.size + size
            if mask & OVERFLOW:
                heard = {number: [("", True)] for number in self._hearers}
            elif mask & IGNORED:
                self._hearers.pop(number, None)
            else:
                name = os.fsdecode(octets[at - size : at].rstrip(b"\0"))
                has_come = bool(mask & (MOVED_TO | CREATED))
                heard.setdefault(number, []).append((name, has_come))
        for number, names in heard.items():
            if hear := self._hearers.get(number):
                hear(names)

    def _pause(self) -> None:
        reactor: Any = self.reactor
        reactor.removeReader(self)
        self._later = reactor.callLater(PAUSE, reactor.addReader, self)

    def _refused(self, folder: Path) -> None:
        if not self.is_full and folder.exists():
            self.is_full = True
            self.log.warn(
                "not all maildirs can be watched; what other programs do there is seen when"
                " somebody logs in (raise fs.inotify.max_user_watches)"
            )
