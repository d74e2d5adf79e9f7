"""One process at a time for a state folder: a lock that ends with whoever holds it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from pathlib import Path

import attrs


class Locked(Exception):
    """Another process holds the state folder; the text says which."""


class NoStateFolder(Exception):
    """The state folder is not there: a mistyped path, or a disk that is not mounted."""

    def __init__(self, state: Path) -> None:
        super().__init__(
            f"the state folder {state} is not there; is its disk mounted?  A new house is "
            "made by `mailplat init`, or in a new and empty folder that you make"
        )


@attrs.frozen
class Lock:
    """Holds ``state/lock``; the kernel lets go of it when the process ends, however it ends.

    ``boot`` is a random name of this run, so that what an earlier run left half done
    can be told from what this one does.
    """

    path: Path
    boot: str
    _descriptor: int

    @classmethod
    def take(cls, state: Path) -> Lock:
        """Take the lock of a state folder.

        Raises `Locked` if another process has it, and `NoStateFolder`: to make it here
        would be to serve an empty house where the old one can't be seen.
        """
        if not state.is_dir():
            raise NoStateFolder(state)
        path = state / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200)
            os.close(descriptor)
            raise Locked(f"{state} is held by another process{_named(holder)}") from None
        if os.geteuid() == 0:  # a server that drops its privileges later must still own it
            owner = state.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        boot = secrets.token_hex(8)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "boot": boot}).encode(), 0)
        return cls(path, boot, descriptor)

    def release(self) -> None:
        """Let the next one in; the file stays, since removing it could let in two."""
        os.close(self._descriptor)


def _named(holder: bytes) -> str:
    """Return words for the process that wrote this into its lock, if it was so quick."""
    try:
        return f", whose id is {int(json.loads(holder)['pid'])}"
    except (ValueError, TypeError, LookupError):
        return ""
