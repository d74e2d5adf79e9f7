"""Reading in a maildir, where anybody may have put links, pipes or endless files."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

TO_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


def read_strange(path: Path, most: int) -> bytes | None:
    """Return the first ``most`` octets of a file; None for what is none.

    A link isn't followed, and a pipe not waited for.  Raises `OSError` where a file
    can't be read.
    """
    try:
        handle = os.open(path, TO_READ)
    except OSError as error:
        if error.errno in NO_FILE:
            return None
        raise
    try:
        return os.read(handle, most) if stat.S_ISREG(os.fstat(handle).st_mode) else None
    finally:
        os.close(handle)


def is_folder(path: Path) -> bool:
    """Say whether there is a folder, and no link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def open_folder(path: Path) -> int:
    """Open a folder to list it; raises `OSError` for a link to one."""
    return os.open(path, TO_READ | os.O_DIRECTORY)
