"""The n-th call to the disk fails, for every n: nothing acknowledged is lost."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

from mailplat.files import Disk, Reserve
from mailplat.mail.errors import DiskFull, StoreFailed
from mailplat.sql import Connection, SqliteDatabase, makes_room
from mailplat.testing.disk import FakeVfs, Tape, Trouble, quick_folder
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once
from mailplat.workers import Job

TABLE = ["CREATE TABLE seen (number INTEGER PRIMARY KEY, octets BLOB)"]


def add(db: Connection, number: int, size: int = 3000) -> int:
    db.execute("INSERT INTO seen VALUES (?, ?)", (number, b"x" * size))
    return number


def remove(db: Connection, number: int) -> None:
    db.execute("DELETE FROM seen WHERE number = ?", (number,))


def seen(db: Connection) -> set[int]:
    assert db.all("PRAGMA integrity_check") == [("ok",)]
    return {number for (number,) in db.all("SELECT number FROM seen")}


async def play(database: SqliteDatabase, there: set[int], gone: set[int]) -> None:
    """Write and remove, and note in the two sets what was answered for."""
    await database.open()
    await database.migrate("tests", TABLE)
    for number in range(6):
        await database.write(add, number)
        there.add(number)
        if number % 3 == 0:
            there.discard(number)
            await database.write(remove, number)
            gone.add(number)


async def check(path: Path, there: set[int], gone: set[int]) -> None:
    database = database_at_once(path)
    await database.open()
    await database.migrate("tests", TABLE)
    found = await database.read(seen)
    await database.close()
    assert there <= found
    assert not gone & found


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("for_good", [False, True])
async def test_whatever_call_fails_nothing_acknowledged_is_lost(
    error: int, for_good: bool
) -> None:
    for at in range(1, 1000):
        trouble = Trouble(at, error, for_good)
        with quick_folder() as folder:
            met = await play_and_check(folder / "mail.db", trouble)
        if not met:
            return
    raise AssertionError("it never succeeded")


async def play_and_check(path: Path, trouble: Trouble) -> bool:
    """Play with this trouble and look at what is left; say whether it was met."""
    there: set[int] = set()
    gone: set[int] = set()
    with FakeVfs(Tape(path.parent), trouble) as vfs:
        database = database_at_once(path, vfs=vfs.name)
        with suppress(StoreFailed, DiskFull):
            await play(database, there, gone)
        await database.close()
    if path.exists() and not path.stat().st_size:
        path.unlink()  # SQLite had only made it; without a `vfs` there is no such moment
    await check(path, there, gone)
    return trouble.was_met


# What the writer does about it.


@pytest.fixture
def vfs(tmp_path: Path) -> Iterator[FakeVfs]:
    with FakeVfs(Tape(tmp_path)) as vfs:
        yield vfs


@pytest.fixture
def told() -> list[Exception]:
    return []


@async_yield_fixture
async def database(
    tmp_path: Path, vfs: FakeVfs, told: list[Exception], reactor: IReactorFromThreads
) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "mail.db", reactor, vfs=vfs.name, on_bad=told.append)
    await database.open()
    await database.migrate("tests", TABLE)
    yield database
    await database.close()


async def test_after_a_failed_sync_nothing_is_written(
    database: SqliteDatabase, vfs: FakeVfs, told: list[Exception], tmp_path: Path
) -> None:
    await database.write(add, 1)
    vfs.trouble = Trouble(at=1, kind="sync")
    answers = [database.write(add, number) for number in (2, 3)]
    for answer in answers:
        with pytest.raises(StoreFailed):
            await answer
    before = list(vfs.tape.operations)
    with pytest.raises(StoreFailed):
        await database.write(add, 4)
    assert len(told) == 1
    assert await database.read(seen) == {1}
    await database.close()
    assert vfs.tape.operations == before
    assert vfs.trouble.steps == 1
    await check(tmp_path / "mail.db", {1}, set())


async def test_a_full_disk_is_refused_and_passes(
    database: SqliteDatabase, vfs: FakeVfs, told: list[Exception]
) -> None:
    vfs.trouble = Trouble(at=1, kind="write", error=errno.ENOSPC)
    with pytest.raises(DiskFull):
        await database.write(add, 1)
    await database.write(add, 2)
    assert told == []
    assert await database.read(seen) == {2}


async def fill(database: SqliteDatabase, there: set[int]) -> None:
    for number in range(100):
        await database.write(add, number, 100_000)
        there.add(number)


@pytest.fixture
def small_files() -> Iterator[None]:
    """While the test runs no file may become longer than a MiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_file_that_may_not_grow_is_no_damage(tmp_path: Path, small_files: None) -> None:
    database = database_at_once(tmp_path / "mail.db")
    await database.open()
    await database.migrate("tests", TABLE)
    there: set[int] = set()
    with pytest.raises(DiskFull):
        await fill(database, there)
    await database.write(remove, 0)
    await database.write(add, 1000)
    await database.close()
    await check(tmp_path / "mail.db", there - {0} | {1000}, {0})


@attrs.define
class Full(Trouble):
    """There is no room as long as a reserve takes it."""

    reserve: Path = Path()

    def meet(self, kind: str) -> bool:
        return kind == "write" and self.reserve.exists()


@makes_room
def make_room(db: Connection, number: int) -> None:
    remove(db, number)


async def test_what_makes_room_may_use_the_reserve(tmp_path: Path) -> None:
    with FakeVfs(Tape(tmp_path)) as vfs:
        disk = Disk()
        reserve = Reserve(disk, tmp_path / "reserve", 1_000_000)
        path = tmp_path / "mail.db"
        database = database_at_once(path, vfs=vfs.name, reserve=reserve)
        await database.open()
        await database.migrate("tests", TABLE)
        await database.write(add, 1)
        vfs.trouble = Full(error=errno.ENOSPC, reserve=tmp_path / "reserve")
        with pytest.raises(DiskFull):
            await database.write(remove, 1)
        assert not reserve.is_missing
        disk.room = lambda _folder: 0  # type: ignore[method-assign]
        await database.write(make_room, 1)
        assert reserve.is_missing
        assert await database.read(seen) == set()
        del disk.room
        await database.write(add, 2)
        assert not reserve.is_missing
        with pytest.raises(DiskFull):
            await database.write(add, 3)
        await database.close()


async def test_a_unit_that_does_not_fit_fails_alone(tmp_path: Path) -> None:
    """Of a group that the disk had no room for, those that fit are kept."""
    database = database_at_once(tmp_path / "mail.db")
    await database.open()
    await database.migrate("tests", TABLE)
    await database.write(_allow_pages, 100)
    sizes = [3000, 500_000, 3000]
    jobs = [Job(add, (n, size), {}, Deferred()) for n, size in enumerate(sizes)]
    assert database._writer._bench  # the crew without threads has one
    database._writer._bench.serve(jobs)
    assert [type(job.failure) for job in jobs] == [type(None), DiskFull, type(None)]
    assert await database.read(seen) == {0, 2}
    await database.close()


def _allow_pages(db: Connection, most: int) -> None:
    db.all(f"PRAGMA max_page_count = {most}")
