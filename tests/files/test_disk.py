"""Durable steps, and what follows when one of them fails."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mailplat.files import Disk, FolderSyncs, Reserve, Spool
from mailplat.mail.errors import AlreadyExists, DiskFull, MailError, StoreFailed
from mailplat.testing.disk import (
    FakeDisk,
    MakeFolder,
    Name,
    Rename,
    Sync,
    SyncFolder,
    Tape,
    Trouble,
    Write,
)
from mailplat.testing.workers import at_once

ERRORS = [errno.ENOSPC, errno.EIO, errno.EMFILE]


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_a_file_is_ours_alone(disk: Disk, tmp_path: Path) -> None:
    with disk.create(tmp_path / "new") as file:
        disk.write(file, b"one")
        disk.write(file, b"two")
        disk.sync(file)
        assert disk.read(file, 2, 4) == b"et"
    assert (tmp_path / "new").read_bytes() == b"onetwo"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_taken_name_stays_with_its_file(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"old")
    (tmp_path / "other").write_bytes(b"new")
    with pytest.raises(AlreadyExists):
        disk.create(tmp_path / "taken")
    with pytest.raises(AlreadyExists):
        disk.link(tmp_path / "other", tmp_path / "taken")
    assert (tmp_path / "taken").read_bytes() == b"old"


def test_a_link_in_the_way_is_not_followed(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AlreadyExists):
        disk.create(tmp_path / "way")


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    disk = FakeDisk(tape)
    for _ in range(2):
        disk.make_folder(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert [type(operation) for operation in tape.operations] == [MakeFolder, SyncFolder]
    with pytest.raises(StoreFailed):
        disk.make_folder(tmp_path / "no" / "such")


def test_who_finds_a_folder_makes_its_name_durable_as_well(tmp_path: Path) -> None:
    """Another thread has just made it, or a process that died before it came to that."""
    (tmp_path / "new").mkdir()
    tape = Tape(tmp_path)
    disk = FakeDisk(tape)
    for _ in range(2):
        disk.make_folder(tmp_path / "new")
    assert tape.operations == [SyncFolder(Path())]


def test_a_folder_that_is_made_anew_is_made_durable_anew(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    disk = FakeDisk(tape)
    for _ in range(2):
        disk.make_folder(tmp_path / "new")
        (tmp_path / "new").rmdir()
    made = MakeFolder(Path("new"))
    assert tape.operations == [made, SyncFolder(Path()), made, SyncFolder(Path())]


def test_a_file_is_opened_and_never_what_a_link_leads_to(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"octets")
    (tmp_path / "way").symlink_to(tmp_path / "there")
    file = disk.open(tmp_path / "there")
    assert file
    with file:
        assert disk.read(file, 1, 3) == b"ct"
    assert disk.open(tmp_path / "nothing") is None
    with pytest.raises(StoreFailed):
        disk.open(tmp_path / "way")


def test_one_sync_of_a_folder_serves_all_who_asked_before_it_began(tmp_path: Path) -> None:
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)
    synced: list[Path] = []

    class Slow(Disk):
        def sync_folder(self, folder: Path) -> None:
            begun.release()
            go_on.acquire()
            synced.append(folder)

    syncs = FolderSyncs(Slow())
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(syncs.sync, tmp_path)
        begun.acquire()
        others = [threads.submit(syncs.sync, tmp_path) for _ in range(7)]
        while syncs.waiting(tmp_path) < 7:
            pass
        go_on.release()
        first.result()
        begun.acquire()
        assert not any(other.done() for other in others)
        go_on.release()
        for other in others:
            other.result()
    assert synced == [tmp_path] * 2


def test_what_is_gone_may_be_unlinked_again(disk: Disk, tmp_path: Path) -> None:
    disk.unlink(tmp_path / "nothing")


def test_what_is_not_there_cannot_be_renamed(disk: Disk, tmp_path: Path) -> None:
    with pytest.raises(StoreFailed):
        disk.rename(tmp_path / "nothing", tmp_path / "something")


def test_replace_syncs_before_it_renames(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    FakeDisk(tape).replace(tmp_path / "settings", b"new")
    kinds = [type(operation) for operation in tape.operations]
    assert kinds == [Name, Write, Sync, Rename, SyncFolder]
    assert [path.name for path in tmp_path.iterdir()] == ["settings"]


def test_a_failed_sync_is_never_tried_again(tmp_path: Path) -> None:
    told: list[Exception] = []
    trouble = Trouble(at=1, kind="sync")
    disk = FakeDisk(Tape(tmp_path), trouble, told.append)
    file, other = disk.create(tmp_path / "one"), disk.create(tmp_path / "two")
    disk.write(file, b"octets")
    with pytest.raises(StoreFailed):
        disk.sync(file)
    trouble.kind, trouble.steps = "", 0
    refused: list[Callable[[], object]] = [
        lambda: disk.sync(file),
        lambda: disk.sync(other),
        lambda: disk.write(other, b"octets"),
        lambda: disk.create(tmp_path / "three"),
        lambda: disk.create_unnamed(tmp_path),
        lambda: disk.link(tmp_path / "one", tmp_path / "three"),
        lambda: disk.rename(tmp_path / "one", tmp_path / "three"),
        lambda: disk.sync_folder(tmp_path),
    ]
    for step in refused:
        with pytest.raises(StoreFailed):
            step()
    assert trouble.steps == 0
    assert len(told) == 1
    trouble.at = 0
    disk.unlink(tmp_path / "one")
    assert disk.read(file, 0, 6) == b"octets"


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("for_good", [False, True])
def test_whatever_step_fails_a_replaced_file_is_whole(
    tmp_path: Path, error: int, for_good: bool
) -> None:
    target = tmp_path / "settings"
    expected = DiskFull if error == errno.ENOSPC else StoreFailed
    for at in range(1, 100):
        target.write_bytes(b"old")
        trouble = Trouble(at, error, for_good)
        try:
            FakeDisk(Tape(tmp_path), trouble).replace(target, b"new")
        except expected:
            assert target.read_bytes() in (b"old", b"new")
            left = [path for path in tmp_path.iterdir() if path != target]
            assert not left or for_good
            for path in left:
                path.unlink()
        else:
            assert not trouble.was_met
            assert target.read_bytes() == b"new"
            return
    raise AssertionError("it never succeeded")


@pytest.mark.parametrize("error", ERRORS)
async def test_whatever_step_fails_a_spooled_content_is_whole_or_refused(
    tmp_path: Path, error: int
) -> None:
    for at in range(1, 100):
        trouble = Trouble(at, error)
        disk = FakeDisk(Tape(tmp_path), trouble)
        spool = Spool(tmp_path, at_once, disk, in_memory=10)
        incoming = spool.begin()
        try:
            for number in range(20):
                await incoming.add(b"%05d" % number)
            content = await incoming.finish()
            octets = await content.read(0, content.size)
        except MailError:
            assert list(tmp_path.iterdir()) == []
        else:
            assert not trouble.was_met
            assert octets == b"".join(b"%05d" % number for number in range(20))
            return
    raise AssertionError("it never succeeded")


# The reserve.


class Narrow(FakeDisk):
    """A disk on which so many octets are free."""

    free = 0

    def perform(self, step: str, path: Path, call: Callable[..., Any], *args: Any) -> Any:
        if step == "room":
            return SimpleNamespace(f_bavail=self.free, f_frsize=1)
        return super().perform(step, path, call, *args)


RESERVED = 100_000


def reserve_on(disk: Narrow, folder: Path, free: int) -> Reserve:
    disk.free = free
    return Reserve(disk, folder / "reserve", RESERVED)


def test_a_reserve_takes_room_that_it_gives_up_once(tmp_path: Path) -> None:
    disk = Narrow(Tape(tmp_path))
    reserve = reserve_on(disk, tmp_path, 2 * RESERVED)
    reserve.take()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVED
    assert disk.room(tmp_path) == disk.free
    assert reserve.give_up()
    assert not (tmp_path / "reserve").exists()
    assert not reserve.give_up()
    assert disk.room(tmp_path) == disk.free - RESERVED


def test_a_reserve_is_taken_again_when_there_is_twice_the_room(tmp_path: Path) -> None:
    disk = Narrow(Tape(tmp_path))
    reserve = reserve_on(disk, tmp_path, 2 * RESERVED)
    reserve.take()
    reserve.give_up()
    disk.free = 2 * RESERVED - 1
    reserve.take_again()
    assert reserve.is_missing
    disk.free += 1
    reserve.take_again()
    assert not reserve.is_missing
    assert reserve.give_up()


def test_a_reserve_of_an_earlier_process_is_kept_on_a_full_disk(tmp_path: Path) -> None:
    reserve_on(Narrow(Tape(tmp_path)), tmp_path, 2 * RESERVED).take()
    reserve = reserve_on(Narrow(Tape(tmp_path)), tmp_path, 0)
    reserve.take()
    assert not reserve.is_missing


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_disk_that_has_no_room_for_a_reserve_is_no_obstacle(tmp_path: Path, at: int) -> None:
    disk = Narrow(Tape(tmp_path), Trouble(at, errno.ENOSPC, for_good=True, kind="allocate"))
    reserve = reserve_on(disk, tmp_path, 2 * RESERVED)
    reserve.take()
    assert reserve.is_missing is (at < 3)
    assert (tmp_path / "reserve").exists() is (at == 3)
