"""Contents while they arrive."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from mailplat.files import Disk, Spool
from mailplat.mail.content import Octets
from mailplat.mail.errors import DiskFull
from mailplat.testing.workers import at_once


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool", at_once, Disk(), Clock().seconds, in_memory=10)
    spool.prepare()
    return spool


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_small_content_stays_in_memory(spool: Spool) -> None:
    incoming = spool.begin()
    await incoming.add(b"01234")
    await incoming.add(b"56789")
    assert await incoming.finish() == Octets(b"0123456789")


async def test_a_large_content_is_read_back_piece_by_piece(spool: Spool) -> None:
    incoming = spool.begin()
    for digit in range(100):
        await incoming.add(b"%02d" % digit)
    content = await incoming.finish()
    assert not isinstance(content, Octets)
    assert content.size == incoming.size == 200
    assert await content.read(0, 4) == b"0001"
    assert await content.read(196, 1000) == b"9899"
    assert await content.read(200, 1000) == b""


async def test_what_is_dropped_leaves_nothing(spool: Spool, tmp_path: Path) -> None:
    before = open_files()
    incoming = spool.begin()
    await incoming.add(b"x" * 11)
    assert open_files() == before + 1
    assert list((tmp_path / "spool").iterdir()) == []
    del incoming
    assert open_files() == before


async def test_what_a_crash_left_goes_at_the_next_start(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "spool" / "unnamed.1").touch()
    spool.prepare()
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_disk_that_is_nearly_full_is_told_before_anything_comes(spool: Spool) -> None:
    spool.insist_on_room(1)
    with pytest.raises(DiskFull):
        spool.insist_on_room(1 << 62)


async def test_the_room_on_a_disk_is_looked_at_once_a_second(tmp_path: Path) -> None:
    clock, looks = Clock(), [50, 10]

    class Filling(Disk):
        def room(self, folder: Path) -> int:
            return looks.pop(0)

    spool = Spool(tmp_path, at_once, Filling(), clock.seconds)
    for _ in range(2):
        spool.insist_on_room(50)
        clock.advance(0.9)
    with pytest.raises(DiskFull):
        spool.insist_on_room(50)
