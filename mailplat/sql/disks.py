"""On which disks an SQLite file may lie, and on which it would be lost sooner or later."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

from mailplat.sql.database import UnusableDatabase

NETWORK = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB",
    0x01021997: "9P",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x564C: "NCP",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x19830326: "BeeGFS",
}
"""File systems that other hosts share, by what `statfs` calls them (linux/magic.h)."""

FUSE = 0x65735546
LOCAL_BY_FUSE = ("fuseblk", "fuse.fuse-overlayfs", "virtiofs")
"""What FUSE serves from a disk of this machine alone."""

MOUNTS = Path("/proc/self/mountinfo")


def magic_of(folder: Path) -> int:
    """Return the number of the folder's file system; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    found = ctypes.create_string_buffer(512)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(folder), found):
        raise OSError(ctypes.get_errno(), "statfs", str(folder))
    return ctypes.c_ulong.from_buffer(found).value & 0xFFFFFFFF


def refuse_foreign_disk(
    path: Path, magic: Callable[[Path], int] = magic_of, mounts: Path = MOUNTS
) -> None:
    """Raise `UnusableDatabase` when the path lies on a file system of the network.

    SQLite's locks and its shared memory can't be trusted there; mail would be lost.
    What FUSE serves may be anything: only what is known to be local is let pass.
    No setting lifts this.
    """
    number = magic(path.parent)
    kind = NETWORK.get(number, "")
    if number == FUSE:
        served = _kind_by_mounts(path.parent, mounts) or "an unknown file system by FUSE"
        kind = "" if served in LOCAL_BY_FUSE else served
    if kind:
        raise UnusableDatabase(
            f"{path} lies on {kind}, where SQLite can't keep mail safe:"
            " put the state folder on a local disk, or use PostgreSQL"
        )


def _kind_by_mounts(folder: Path, mounts: Path) -> str:
    """Return what the table of mounts calls the folder's file system, if it knows."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    if not mounts.exists():
        return ""
    for line in mounts.read_text("utf-8", "surrogateescape").splitlines():
        place, _, kind = line.partition(" - ")
        if place.split()[2] == wanted:
            return kind.split()[0]
    return ""
