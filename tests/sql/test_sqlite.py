"""The database by one writer and several readers, on a real file."""

from __future__ import annotations

import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.interfaces import IReactorFromThreads

from mailplat.mail.errors import ShuttingDown, StoreFailed
from mailplat.sql import (
    Connection,
    SqliteDatabase,
    UnusableDatabase,
    sqlite,
    steps_of,
)
from mailplat.sql.checksums import CHECKED
from mailplat.testing.disk import FakeVfs, Sync, Tape
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.pages import with_checksum
from mailplat.testing.workers import database_at_once

TABLE = ["CREATE TABLE seen (number INTEGER PRIMARY KEY, octets BLOB)"]


def add(db: Connection, number: int, size: int = 0) -> int:
    assert db.execute("INSERT INTO seen VALUES (?, ?)", (number, bytes(size))) == 1
    return number


def seen(db: Connection) -> list[int]:
    return [number for (number,) in db.all("SELECT number FROM seen ORDER BY number")]


def hold(_db: Connection, entered: threading.Event, leave: threading.Event) -> None:
    entered.set()
    assert leave.wait(10)


@async_yield_fixture
async def database(
    tmp_path: Path, reactor: IReactorFromThreads
) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "mail.db", reactor)
    await database.open()
    await database.migrate("tests", TABLE)
    yield database
    await database.close()


class Held:
    """Keeps the writer busy until `let_go`, so that what comes meanwhile waits."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._leave = threading.Event()
        entered = threading.Event()
        self.answer = database.write(hold, entered, self._leave)
        assert entered.wait(10)

    def let_go(self) -> None:
        self._leave.set()


async def test_a_group_is_one_commit(database: SqliteDatabase) -> None:
    commits: list[int] = []
    held = Held(database)
    answers = [database.write(_count_commits, commits)]
    answers += [database.write(add, number) for number in range(100)]
    held.let_go()
    await gatherResults(answers)
    assert len(commits) == 1
    await held.answer


def _count_commits(db: Connection, commits: list[int]) -> int:
    assert hasattr(db, "native")
    db.native.set_commit_hook(lambda: bool(commits.append(1)))
    return 0


async def test_close_finishes_what_waits(database: SqliteDatabase, tmp_path: Path) -> None:
    held = Held(database)
    waits = database.write(add, 1)
    closed = Deferred.fromCoroutine(database.close())
    with pytest.raises(ShuttingDown):
        await database.write(add, 2)
    assert not closed.called
    held.let_go()
    await closed
    assert await waits == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mail.db"]
    await database.close()
    await held.answer


async def test_the_log_is_moved_when_it_has_grown(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    """It is used again from its beginning, so it stops growing."""
    log = tmp_path / "mail.db-wal"
    for number in range(40):
        await database.write(add, number, 1 << 20)
    assert log.stat().st_size < 24 << 20
    assert (tmp_path / "mail.db").stat().st_size > 16 << 20


async def test_what_may_be_forgotten_syncs_nothing(tmp_path: Path) -> None:
    with FakeVfs(Tape(tmp_path)) as vfs:
        database = database_at_once(tmp_path / "mail.db", durable=False, vfs=vfs.name)
        await database.open()
        await database.migrate("tests", TABLE)
        before = len(vfs.tape.operations)
        await database.write(add, 1)
        since = vfs.tape.operations[before:]
        await database.close()
    assert since
    assert not any(isinstance(operation, Sync) for operation in since)


# What can't be opened.


async def test_a_file_of_ours_bears_our_mark_and_is_private(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"mail.db": 0o600, "mail.db-shm": 0o600, "mail.db-wal": 0o600}
    await database.close()
    assert (tmp_path / "mail.db").read_bytes()[68:72] == b"mlpt"


async def refused(path: Path) -> str:
    database = database_at_once(path)
    with pytest.raises(UnusableDatabase) as caught:
        await database.open()
    await database.close()
    return str(caught.value)


async def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    other = apsw.Connection(str(tmp_path / "other.db"))
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    assert "another program" in await refused(tmp_path / "other.db")
    (tmp_path / "text").write_bytes(b"no database at all" * 2048)
    assert "not a database" in await refused(tmp_path / "text")
    assert "can't be opened" in await refused(tmp_path / "missing" / "mail.db")


async def test_a_later_format_is_refused(tmp_path: Path) -> None:
    database = database_at_once(tmp_path / "mail.db")
    await database.open()
    await database.write(lambda db: db.execute("PRAGMA user_version = 2"))
    await database.close()
    assert "later version" in await refused(tmp_path / "mail.db")


async def test_an_unclean_stop_is_followed_by_an_examination(
    database: SqliteDatabase, tmp_path: Path, reactor: IReactorFromThreads
) -> None:
    """Damage that it finds stops all writing; what was sound goes on."""
    for number in range(200):
        await database.write(add, number, 2000)
    for name, damage in (("sound", False), ("damaged", True)):
        copy = tmp_path / name
        copy.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"mail.db{suffix}", copy / f"mail.db{suffix}")
        told: Deferred[Exception] = Deferred()
        if damage:
            await _move_log_and_damage(copy / "mail.db")
        again = SqliteDatabase(copy / "mail.db", reactor, on_bad=told.callback)
        await again.open()
        if damage:
            assert isinstance(await told, apsw.CorruptError)
            with pytest.raises(StoreFailed):
                await again.write(add, 1000)
        else:
            await again.write(add, 1000)
        await again.close()


async def _move_log_and_damage(path: Path) -> None:
    """Spoil a page in the middle, and leave a log as if the last stop was unclean."""
    connection = apsw.Connection(str(path), vfs=CHECKED)
    assert connection.execute("SELECT count(*) FROM seen").fetchall() == [(200,)]
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    octets = bytearray(path.read_bytes())
    start = len(octets) // 2 & ~4095
    octets[start : start + 64] = b"\xff" * 64
    octets[start : start + 4096] = with_checksum(octets[start : start + 4096])
    path.write_bytes(octets)
    path.with_name("mail.db-wal").write_bytes(bytes(32))


async def test_a_page_that_has_changed_costs_only_those_who_need_it(
    database: SqliteDatabase, tmp_path: Path, reactor: IReactorFromThreads
) -> None:
    for number in range(200):
        await database.write(add, number, 2000)
    await database.close()
    octets = bytearray((tmp_path / "mail.db").read_bytes())
    octets[len(octets) // 2 & ~4095] ^= 1
    (tmp_path / "mail.db").write_bytes(octets)
    (tmp_path / "mail.db-wal").write_bytes(bytes(32))  # as if the last stop was unclean
    again = SqliteDatabase(tmp_path / "mail.db", reactor, on_bad=pytest.fail)
    await again.open()
    outcomes = [
        await again.write(change, number).addErrback(lambda failure: failure.value)
        for number in range(200)
    ]
    broken = [one for one in outcomes if one != 1]
    assert 0 < len(broken) < 5
    assert "could not commit: a page of it has changed" in str(broken[0])
    alike = [again.write(change, number) for number in range(200)]
    together = await DeferredList(alike, consumeErrors=True)
    assert [done for done, _ in together] == [one == 1 for one in outcomes]
    assert await again.write(add, 1000) == 1000
    await again.close()


def change(db: Connection, number: int) -> int:
    return db.execute("UPDATE seen SET octets = zeroblob(2000) WHERE number = ?", (number,))


# Migrations.


def test_the_steps_of_a_room_are_its_numbered_scripts() -> None:
    assert "CREATE TABLE" in steps_of("mailplat.directory")[0]


async def test_space_that_has_long_been_free_goes_back(
    database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of the file stays for the mail that will come."""
    monkeypatch.setattr(sqlite, "KEPT_FREE", 10)
    monkeypatch.setattr(sqlite, "GIVEN_BACK", 5)
    for number in range(20):
        await database.write(add, number, 20_000)
    await database.write(lambda db: db.execute("DELETE FROM seen WHERE number > 4"))
    before = await database.read(pages)
    await database.shrink()
    after, free = await database.read(pages), await database.read(free_pages)
    assert after < before * 0.6
    assert free <= max(10, after // 4) < free + 5
    assert await database.read(seen) == [0, 1, 2, 3, 4]


def pages(db: Connection) -> int:
    return int(db.all("PRAGMA page_count")[0][0])


def free_pages(db: Connection) -> int:
    return int(db.all("PRAGMA freelist_count")[0][0])
