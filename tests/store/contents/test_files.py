"""Contents as files, held to the contract, and what is true of the files."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred

from mailplat.files import Disk, Reserve
from mailplat.interfaces import House, IContentStore
from mailplat.mail.errors import DiskFull, NoSuchMessage, StoreFailed
from mailplat.plugin import ConfigError
from mailplat.store.contents import packing, shelves
from mailplat.store.contents.files import ContentFiles, ContentFilesSettings
from mailplat.testing.contracts.accounts import ALICE
from mailplat.testing.contracts.contents import ContentsContract, add, octets_of, scanned
from mailplat.testing.disk import (
    FakeDisk,
    MakeFolder,
    Name,
    Sync,
    SyncFolder,
    Tape,
    Trouble,
    Write,
)
from mailplat.testing.fakes import FakeContent, FakeContents
from mailplat.testing.fixtures import async_fixture, async_yield_fixture
from mailplat.testing.workers import ChildrenAtOnce, CrewAtOnce
from mailplat.workers import Rounds, Workers


def house(folder: Path) -> House:
    return House("mail.example.org", folder)


def workers_at_once(reactor: Any) -> Workers:
    return Workers(reactor, crew=CrewAtOnce, children=ChildrenAtOnce)


async def opened(state: Path, workers: Workers, disk: Disk, **settings: Any) -> ContentFiles:
    contents = ContentFiles(ContentFilesSettings(**settings), house(state), workers, disk)
    await contents.prepare()
    return contents


class TestMemory(ContentsContract):
    @pytest.fixture
    def contents(self) -> IContentStore:
        return FakeContents()


class TestFiles(ContentsContract):
    compression = "off"

    @async_yield_fixture
    async def workers(self, reactor: Any) -> AsyncIterator[Workers]:
        workers = Workers(reactor)
        yield workers
        await workers.stop()

    @async_fixture
    async def contents(self, tmp_path: Path, workers: Workers) -> ContentFiles:
        return await self.reopened_at(tmp_path, workers)

    async def reopened_at(self, folder: Path, workers: Workers) -> ContentFiles:
        return await opened(folder, workers, Disk(), compression=self.compression)

    async def reopened(self, contents: Any) -> ContentFiles:
        shelves_of = contents._shelves
        contents.finish()
        other = ContentFiles.__new__(ContentFiles)
        other.__dict__.update(contents.__dict__)
        other._shelves = shelves.Shelves(Disk(), contents.folder, shelves_of._codec)
        other._keeping = Rounds(other._keep_each)
        await other.prepare()
        return other

    async def test_every_content_is_sound(self, contents: ContentFiles) -> None:
        for size in (0, 10, 700_000):
            key = await add(contents, octets_of(size))
            assert await contents.is_sound(key)
            path = contents.folder / key
            octets = path.read_bytes()
            for at in {0, len(octets) // 2, len(octets) - 1} if octets else set():
                damaged = bytearray(octets)
                damaged[at] ^= 1
                path.write_bytes(damaged)
                assert not await contents.is_sound(key) or self.compression == "gzip"
            path.write_bytes(octets + b"x" if size else b"x")
            assert not await contents.is_sound(key)


class TestZstandard(TestFiles):
    compression = "zstd"


class TestGzip(TestFiles):
    compression = "gzip"


# Files.


@async_fixture
async def files(tmp_path: Path, reactor: Any) -> ContentFiles:
    return await opened(tmp_path, workers_at_once(reactor), Disk())


async def test_a_file_is_named_for_its_octets(files: ContentFiles) -> None:
    for size in (10, 700_000):
        key = await add(files, octets_of(size))
        path = files.folder / key
        assert path.read_bytes() == octets_of(size)
        assert path.name.startswith(sha256(octets_of(size)).hexdigest())
        assert path.stat().st_mode & 0o777 == 0o600
    assert files.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
async def test_other_programs_read_what_is_packed(
    tmp_path: Path, reactor: Any, compression: str
) -> None:
    files = await opened(tmp_path, workers_at_once(reactor), Disk(), compression=compression)
    for size in (1000, 700_000):
        path = files.folder / await add(files, octets_of(size))
        packed = path.read_bytes()
        assert len(packed) < size // 2
        if compression == "zstd":
            read = packing.zstandard.ZstdDecompressor().stream_reader(
                packed, read_across_frames=True
            )
            assert read.read() == octets_of(size)
        else:
            found = b""
            while packed[:2] == b"\x1f\x8b":
                one = zlib.decompressobj(31)
                found += one.decompress(packed)
                packed = one.unused_data
            assert found == octets_of(size)


async def test_what_gets_no_smaller_is_not_packed(tmp_path: Path, reactor: Any) -> None:
    files = await opened(tmp_path, workers_at_once(reactor), Disk(), compression="zstd")
    for size in (0, 20, 700_000):
        octets = os.urandom(size)
        key = await add(files, octets)
        assert (files.folder / key).read_bytes() == octets
        assert await files.read(key, 0, size) == octets


async def test_compression_may_be_changed(tmp_path: Path, reactor: Any) -> None:
    keys = []
    for compression in ("off", "zstd", "gzip", "off"):
        files = await opened(
            tmp_path, workers_at_once(reactor), Disk(), compression=compression
        )
        keys.append(await add(files, octets_of(700_000)))
        for key in keys:
            assert await files.read(key, 300_000, 300_010) == octets_of(300_010)[300_000:]
        files.finish()
    assert len({files.address(key) for key in keys}) == 1


async def test_a_piece_of_a_packed_content_costs_a_frame_or_two(
    tmp_path: Path, reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = await opened(tmp_path, workers_at_once(reactor), Disk(), compression="zstd")
    key = await add(files, octets_of(5_000_000))
    frames: list[int] = []
    unpack = packing.Zstandard.unpack

    def counted(self: Any, frame: bytes, size: int) -> bytes:
        frames.append(len(frame))
        return unpack(self, frame, size)

    monkeypatch.setattr(packing.Zstandard, "unpack", counted)
    for start in (0, 2_000_000, 4_999_000):
        assert await files.read(key, start, start + 1000) == octets_of(start + 1000)[start:]
    assert len(frames) <= 4


async def test_zstd_without_its_library_is_refused(
    tmp_path: Path, reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = await opened(tmp_path, workers_at_once(reactor), Disk(), compression="zstd")
    key = await add(files, octets_of(1000))
    files.finish()
    monkeypatch.delitem(packing.CODECS, "zstd")
    monkeypatch.delitem(packing.BY_SUFFIX, ".zst")
    with pytest.raises(ConfigError, match=r"mailplat\[zstd\]"):
        await opened(tmp_path, workers_at_once(reactor), Disk(), compression="zstd")
    plain = await opened(tmp_path, workers_at_once(reactor), Disk())
    with pytest.raises(StoreFailed, match="library"):
        await plain.read(key, 0, 10)


@pytest.mark.parametrize("octets", [b"", b"x", b"x" * 100, b"\xff" * 100])
async def test_a_damaged_table_is_no_content(files: ContentFiles, octets: bytes) -> None:
    key = await add(files, b"any")
    for suffix in (".zst", ".gz"):
        (files.folder / (key + suffix)).write_bytes(octets)
        with pytest.raises(StoreFailed):
            await files.read(key + suffix, 0, 10)


async def test_a_link_is_not_followed(files: ContentFiles, tmp_path: Path) -> None:
    key = await add(files, b"any")
    (tmp_path / "secret").write_bytes(b"secret")
    (files.folder / key).unlink()
    (files.folder / key).symlink_to(tmp_path / "secret")
    with pytest.raises(StoreFailed):
        await files.read(key, 0, 10)


async def test_nobody_makes_what_is_around_the_folder(tmp_path: Path, reactor: Any) -> None:
    """It may be missing because a disk is."""
    with pytest.raises(ConfigError, match="can't be kept here"):
        await opened(tmp_path, workers_at_once(reactor), Disk(), folder="mnt/contents")
    assert not list(tmp_path.iterdir())


async def test_a_folder_is_one_houses(
    files: ContentFiles, tmp_path: Path, reactor: Any
) -> None:
    """Another would sweep away what it doesn't know."""
    with pytest.raises(ConfigError, match="another house has"):
        await opened(tmp_path, workers_at_once(reactor), Disk())
    files.finish()
    await opened(tmp_path, workers_at_once(reactor), Disk())


# Shelves.


async def test_one_shelf_is_filled_after_the_other(
    tmp_path: Path, reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "ON_A_SHELF", 4)
    monkeypatch.setattr(shelves, "SHELVES", 3)
    files = await opened(tmp_path, workers_at_once(reactor), Disk())
    keys = [await add(files, b"%d" % n) for n in range(10)]
    files.finish()
    files = await opened(tmp_path, workers_at_once(reactor), Disk())
    keys += [await add(files, b"%d" % n) for n in range(10)]
    assert [key[:7] for key in keys[::4]] == [
        "0000/01",
        "0000/02",
        "0001/00",
        "0001/01",
        "0001/02",
    ]
    assert sorted(keys, key=lambda key: key[:7]) == keys
    await files.remove(keys[4:8])
    assert await scanned(files) == sorted(keys[:4] + keys[8:])
    assert not (files.folder / "0000" / "02").exists()


async def test_a_shelf_that_a_crash_left_gets_a_durable_name(
    tmp_path: Path, reactor: Any
) -> None:
    (tmp_path / "contents" / "0000" / "03").mkdir(parents=True)
    tape = Tape(tmp_path)
    files = await opened(tmp_path, workers_at_once(reactor), FakeDisk(tape))
    await add(files, b"first")
    synced = [one.path for one in tape.operations if isinstance(one, SyncFolder)]
    shelf = Path("contents", "0000", "03")
    assert synced == [Path(), shelf.parent.parent, shelf.parent, shelf]
    assert not any(isinstance(one, MakeFolder) for one in tape.operations)


async def test_what_is_no_content_is_left_alone(files: ContentFiles) -> None:
    key = await add(files, b"any")
    others = [files.folder / "README", files.folder / key[:7] / "notes", files.folder / "x/y"]
    others[-1].mkdir(parents=True)
    others[0].touch()
    others[1].touch()
    await files.remove([str(one.relative_to(files.folder)) for one in others])
    assert await scanned(files) == [key]
    assert all(one.exists() for one in others)


async def test_what_was_not_finished_is_found_by_a_scan(tmp_path: Path, reactor: Any) -> None:
    files = await opened(tmp_path, workers_at_once(reactor), Disk())
    writing = files._shelves.begin(10)
    [key] = await scanned(files)
    with pytest.raises(NoSuchMessage):
        await files.read(key, 0, 1)
    writing.file.close()
    await files.remove([key])
    assert await scanned(files) == []


# Durable steps.


def kinds(tape: Tape) -> list[type]:
    return [type(operation) for operation in tape.operations]


async def test_a_key_is_told_when_its_file_is_durable(tmp_path: Path, reactor: Any) -> None:
    tape = Tape(tmp_path)
    files = await opened(tmp_path, workers_at_once(reactor), FakeDisk(tape))
    await add(files, b"any")
    made = [MakeFolder, SyncFolder]
    assert kinds(tape) == [*made * 3, Name, Write, Sync, SyncFolder]
    await add(files, b"any")
    assert kinds(tape)[10:] == [Name, Write, Sync, SyncFolder]


@pytest.mark.parametrize("size", [10, 700_000])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EMFILE])
@pytest.mark.parametrize("compression", ["off", "zstd"])
async def test_whatever_step_fails_nothing_is_left_or_it_is_found(
    tmp_path: Path, reactor: Any, size: int, error: int, compression: str
) -> None:
    at = 0
    while True:
        at += 1
        (tmp_path / str(at)).mkdir()
        trouble, told = Trouble(), []
        disk = FakeDisk(Tape(tmp_path / str(at)), trouble, told.append)
        files = await opened(
            tmp_path / str(at), workers_at_once(reactor), disk, compression=compression
        )
        trouble.at, trouble.error, trouble.steps = at, error, 0
        expected = DiskFull if error == errno.ENOSPC else StoreFailed
        try:
            await add(files, octets_of(size))
        except expected:
            pass
        else:
            break
        trouble.at = 0
        found = await scanned(files)
        assert len(found) <= 1
        await files.remove(found)
        if told:
            with pytest.raises(StoreFailed, match="since the disk failed"):
                await add(files, b"more")
        else:
            assert await files.read(await add(files, b"more"), 0, 4) == b"more"
    assert at > 5


async def test_no_room_is_taken_that_is_reserved_for_removing(
    tmp_path: Path, reactor: Any
) -> None:
    disk = Disk()
    files = await opened(tmp_path, workers_at_once(reactor), disk)
    key = await add(files, b"any")
    Reserve(disk, tmp_path / "reserve", 1 << 60)  # it is owed
    for size in (1, 700_000):
        with pytest.raises(DiskFull):
            await add(files, octets_of(size))
    await files.remove([key])
    assert await scanned(files) == []


async def test_syncs_of_a_folder_are_shared(tmp_path: Path, reactor: Any) -> None:
    tape = Tape(tmp_path)
    workers = Workers(reactor)
    files = await opened(tmp_path, workers, FakeDisk(tape))
    work = [Deferred.fromCoroutine(add(files, b"%d" % n)) for n in range(200)]
    for one in work:
        await one
    await workers.stop()
    assert kinds(tape).count(Name) == 200
    assert kinds(tape).count(SyncFolder) < 150


async def test_a_failed_sync_of_a_folder_fails_all_who_shared_it(
    tmp_path: Path, reactor: Any
) -> None:
    trouble, told = Trouble(), []
    workers = Workers(reactor)
    files = await opened(tmp_path, workers, FakeDisk(Tape(tmp_path), trouble, told.append))
    trouble.at, trouble.for_good, trouble.kind, trouble.steps = 5, True, "sync_folder", 0
    work = [Deferred.fromCoroutine(add(files, b"%d" % n)) for n in range(100)]
    kept = []
    for one in work:
        try:
            kept.append(await one)
        except StoreFailed:
            pass
    await workers.stop()
    assert len(told) == 1
    assert len(kept) < 100
    assert trouble.steps < 100
    found = os.listdir(files.folder / "0000" / "01")
    assert {key[8:] for key in kept} <= set(found)


async def test_a_content_that_hangs_holds_nobody_up(files: ContentFiles) -> None:
    never: Deferred[bytes] = Deferred()

    @attrs.define
    class Hanging(FakeContent):
        async def read(self, start: int, stop: int) -> bytes:
            return await never

    work = Deferred.fromCoroutine(files.add(ALICE, Hanging(octets_of(700_000))))
    key = await add(files, b"any")
    work.cancel()
    with pytest.raises(CancelledError):
        await work
    assert await scanned(files) == [key]


async def test_what_is_used_is_told(files: ContentFiles) -> None:
    for size in (0, 10, 700_000):
        await add(files, octets_of(size))
    assert await files.used() == (3, 700_010)


async def test_a_damaged_content_takes_no_other_along(tmp_path: Path, reactor: Any) -> None:
    workers = workers_at_once(reactor)
    files = await opened(tmp_path, workers, Disk(), compression="gzip")
    keys = [await add(files, b"%d" % number * 2000) for number in range(3)]
    path = files.folder / keys[1]
    path.write_bytes(path.read_bytes()[:-1])
    found = await files.read_each(keys)
    assert found == [b"0" * 2000, None, b"2" * 2000]
    with pytest.raises(StoreFailed):
        await files.read(keys[1], 0, 2000)


async def test_what_is_removed_meanwhile_is_not_counted(
    files: ContentFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [await add(files, octets) for octets in (b"one", b"three")]
    names, listed = os.listdir, os.scandir

    def removed(seen: Any) -> Any:
        (files.folder / keys[0]).unlink(missing_ok=True)
        return seen

    in_shelf = str(files.folder / keys[0].rpartition("/")[0])

    def listing(real: Any) -> Any:
        return lambda path: removed(list(real(path))) if str(path) == in_shelf else real(path)

    monkeypatch.setattr(os, "listdir", listing(names))
    monkeypatch.setattr(os, "scandir", listing(listed))
    assert await files.used() == (1, 5)
