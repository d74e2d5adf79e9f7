"""Contents while they arrive."""

from __future__ import annotations

import errno
import gc
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from mailplat.files import Disk, Spool
from mailplat.mail.content import Excerpt, Octets, join
from mailplat.mail.errors import DiskFull, StoreFailed
from mailplat.testing.disk import FakeDisk, Tape, Trouble
from mailplat.testing.workers import at_once


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool", at_once, Disk(), in_memory=10)
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


@pytest.fixture
def no_garbage_collected() -> Iterator[None]:
    """Let nothing be closed by luck."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collected")
async def test_what_is_closed_unfinished_leaves_nothing(spool: Spool, tmp_path: Path) -> None:
    before = open_files()
    incoming = spool.begin()
    await incoming.add(b"x" * 11)
    assert open_files() == before + 1
    assert list((tmp_path / "spool").iterdir()) == []
    incoming.close()
    assert open_files() == before


@pytest.mark.usefixtures("no_garbage_collected")
async def test_a_finished_content_is_there_until_it_is_closed(spool: Spool) -> None:
    before = open_files()
    incoming = spool.begin()
    await incoming.add(b"x" * 11)
    content = await incoming.finish()
    incoming.close()
    assert await content.read(0, 11) == b"x" * 11
    around = join(Octets(b"trace"), Excerpt(content, 1, 11))
    around.close()
    assert open_files() == before
    with pytest.raises(StoreFailed):
        await around.read(0, 15)
    content.close()


@pytest.mark.usefixtures("no_garbage_collected")
@pytest.mark.parametrize("at", [2, 3, 4])
async def test_what_can_not_be_written_leaves_nothing(tmp_path: Path, at: int) -> None:
    before = open_files()
    disk = FakeDisk(Tape(tmp_path), Trouble(at, errno.ENOSPC))
    incoming = Spool(tmp_path, at_once, disk, in_memory=10).begin()
    for _ in range(at - 2):
        await incoming.add(b"x" * 11)
    with pytest.raises(DiskFull):
        await incoming.add(b"x" * 11)
    assert open_files() == before


def test_a_file_at_work_is_closed_behind_it(tmp_path: Path) -> None:
    file = Disk().create(tmp_path / "one")
    before = open_files()
    with file.in_use() as handle:
        file.close()
        os.write(handle, b"still ours")
        assert open_files() == before
    assert open_files() == before - 1
    with pytest.raises(StoreFailed), file.in_use():
        pass


async def test_small_pieces_take_no_more_room_than_their_octets(tmp_path: Path) -> None:
    spool = Spool(tmp_path, at_once, Disk())
    pieces = [bytes([at % 256] * 3) for at in range(20_000)]
    incoming = spool.begin()
    tracemalloc.start()
    try:
        for piece in pieces:
            await incoming.add(bytes(piece))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2 * incoming.size
    assert await incoming.finish() == Octets(b"".join(pieces))


async def test_what_a_crash_left_goes_at_the_next_start(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "spool" / "unnamed.1").touch()
    spool.prepare()
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_disk_that_is_nearly_full_is_told_before_anything_comes(spool: Spool) -> None:
    spool.insist_on_room(1)
    with pytest.raises(DiskFull):
        spool.insist_on_room(1 << 62)


@pytest.mark.parametrize(
    ("devices", "room", "wanted", "said"),
    [
        ({"a": 1, "b": 1}, {"a": 20}, 10, None),
        ({"a": 1, "b": 1}, {"a": 19}, 10, "19 octets are free in .*/a, 20 are wanted"),
        ({"a": 1, "b": 2}, {"a": 10, "b": 10}, 10, None),
        ({"a": 1, "b": 2}, {"a": 9, "b": 10}, 10, "9 octets are free in .*/a, 10 are wanted"),
        ({"a": 1, "b": 2}, {"a": 10, "b": 9}, 10, "9 octets are free in .*/b, 10 are wanted"),
    ],
)
def test_each_file_system_that_is_written_must_have_room(
    tmp_path: Path, devices: dict[str, int], room: dict[str, int], wanted: int, said: str | None
) -> None:
    asked: list[str] = []

    class Two(Disk):
        def device(self, folder: Path) -> int:
            return devices[folder.name]

        def room(self, folder: Path) -> int:
            asked.append(folder.name)
            return room[folder.name]

    unmet: list[int] = []
    (tmp_path / "b").mkdir()
    later = tmp_path / "b/to be made" if room.get("b") else tmp_path / "b"
    spool = Spool(tmp_path / "a", at_once, Two(), then=[later], on_full=unmet.append)
    spool.prepare()
    with pytest.raises(DiskFull, match=said) if said else nullcontext():
        spool.insist_on_room(wanted)
    assert said or asked == list(room)
    assert unmet == ([1] if said else [])


async def test_the_room_on_a_disk_is_what_there_is_now(tmp_path: Path) -> None:
    looks = [50, 49]

    class Filling(Disk):
        def room(self, folder: Path) -> int:
            return looks.pop(0)

    spool = Spool(tmp_path, at_once, Filling())
    spool.insist_on_room(50)
    with pytest.raises(DiskFull):
        spool.insist_on_room(50)
