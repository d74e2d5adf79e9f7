"""On which disks a database may lie: what `statfs` and the table of mounts say of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mailplat.sql import UnusableDatabase, connection
from mailplat.sql.disks import FUSE, magic_of, refuse_foreign_disk
from mailplat.testing.workers import database_at_once

EXT4, TMPFS, OVERLAY = 0xEF53, 0x01021994, 0x794C7630

MOUNTS = """\
22 1 0:20 / / rw - ext4 /dev/root rw
23 22 {device} / /var rw,relatime shared:1 - {kind} host:/export rw,vers=4.2
"""


@pytest.mark.parametrize(
    ("magic", "name"),
    [(0x6969, "NFS"), (0xFF534D42, "CIFS"), (0xFE534D42, "SMB"), (0x01021997, "9P")],
)
def test_network_disks_are_refused(tmp_path: Path, magic: int, name: str) -> None:
    with pytest.raises(
        UnusableDatabase, match=rf"mail.db lies on {name}.*a local disk, or use"
    ):
        refuse_foreign_disk(tmp_path / "mail.db", lambda _folder: magic)


@pytest.mark.parametrize("magic", [EXT4, TMPFS, OVERLAY, 0])
def test_local_disks_are_not(tmp_path: Path, magic: int) -> None:
    refuse_foreign_disk(tmp_path / "mail.db", lambda _folder: magic)


@pytest.mark.parametrize(
    ("kind", "is_refused"),
    [("fuse.sshfs", True), ("fuse.s3fs", True), ("fuse", True), ("fuseblk", False)],
)
def test_what_fuse_serves_is_told_apart(tmp_path: Path, kind: str, is_refused: bool) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    where = f"{os.major(device)}:{os.minor(device)}"
    mounts.write_text(MOUNTS.format(device=where, kind=kind))
    if is_refused:
        with pytest.raises(UnusableDatabase, match=f"lies on {kind}"):
            refuse_foreign_disk(tmp_path / "mail.db", lambda _folder: FUSE, mounts)
    else:
        refuse_foreign_disk(tmp_path / "mail.db", lambda _folder: FUSE, mounts)


@pytest.mark.parametrize("mounts", ["", "22 1 0:20 / / rw - ext4 /dev/root rw\n", None])
def test_what_nobody_knows_is_refused(tmp_path: Path, mounts: str | None) -> None:
    file = tmp_path / "mountinfo"
    if mounts is not None:
        file.write_text(mounts)
    with pytest.raises(UnusableDatabase, match="an unknown file system by FUSE"):
        refuse_foreign_disk(tmp_path / "mail.db", lambda _folder: FUSE, file)


async def test_no_file_is_made_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        refuse_foreign_disk(path, lambda _folder: 0x6969)

    monkeypatch.setattr(connection, "refuse_foreign_disk", refuse)
    database = database_at_once(tmp_path / "mail.db")
    with pytest.raises(UnusableDatabase, match="lies on NFS"):
        await database.open()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="statfs tells the kind on Linux only")
def test_the_kernel_is_asked(tmp_path: Path) -> None:
    assert magic_of(Path("/proc")) == 0x9FA0
    with pytest.raises(OSError, match="statfs"):
        magic_of(tmp_path / "nowhere")
