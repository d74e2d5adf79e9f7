"""The database by one writer and several readers, on a real file."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads

from mailplat.mail.errors import Overloaded, OverQuota, ShuttingDown, StoreFailed
from mailplat.sql import (
    Connection,
    SchemaTooNew,
    SqliteDatabase,
    UnusableDatabase,
    sqlite,
    steps_of,
)
from mailplat.sql.connection import refuse_foreign_disk
from mailplat.testing.disk import FakeVfs, Sync, Tape
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once

TABLE = ["CREATE TABLE seen (number INTEGER PRIMARY KEY, octets BLOB)"]


def add(db: Connection, number: int, size: int = 0) -> int:
    assert db.execute("INSERT INTO seen VALUES (?, ?)", (number, bytes(size))) == 1
    return number


def seen(db: Connection) -> list[int]:
    return [number for (number,) in db.all("SELECT number FROM seen ORDER BY number")]


def refuse(db: Connection, number: int) -> None:
    add(db, number)
    raise OverQuota("full")


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


# Writing and reading.


async def test_what_is_written_is_read_back(
    database: SqliteDatabase, tmp_path: Path, reactor: IReactorFromThreads
) -> None:
    assert await database.write(add, 3) == 3
    assert await database.read(seen) == [3]
    await database.close()
    again = SqliteDatabase(tmp_path / "mail.db", reactor)
    await again.open()
    assert await again.read(seen) == [3]
    await again.close()


async def test_a_refusal_leaves_the_others_alone(database: SqliteDatabase) -> None:
    held = Held(database)
    answers = [database.write(add, 1), database.write(refuse, 2), database.write(add, 3)]
    held.let_go()
    assert await answers[0] == 1
    with pytest.raises(OverQuota):
        await answers[1]
    assert await answers[2] == 3
    assert await database.read(seen) == [1, 3]
    await held.answer


async def test_a_mistake_in_a_unit_is_its_own(database: SqliteDatabase) -> None:
    await database.write(add, 1)
    held = Held(database)
    twice, last = database.write(add, 1), database.write(add, 2)
    held.let_go()
    with pytest.raises(apsw.ConstraintError):
        await twice
    assert await last == 2
    with pytest.raises(apsw.SQLError):
        await database.write(lambda db: db.execute("SELECT nonsense"))
    assert await database.read(seen) == [1, 2]
    await held.answer


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


async def test_units_run_in_the_order_in_which_they_came(database: SqliteDatabase) -> None:
    order: list[int] = []
    held = Held(database)
    answers = [database.write(lambda _db, n=n: order.append(n)) for n in range(50)]
    held.let_go()
    await gatherResults(answers)
    assert order == list(range(50))
    await held.answer


async def test_a_reader_sees_what_was_answered_and_never_half_a_unit(
    database: SqliteDatabase,
) -> None:
    def add_pair(db: Connection, number: int) -> None:
        add(db, number)
        add(db, -number)

    async def write() -> None:
        for number in range(1, 50):
            await database.write(add_pair, number)
            assert number in await database.read(seen)

    async def read() -> None:
        for _ in range(50):
            assert sum(await database.read(seen)) == 0

    await gatherResults([Deferred.fromCoroutine(work) for work in (write(), read(), read())])


async def test_a_reader_keeps_one_snapshot(database: SqliteDatabase) -> None:
    entered, leave = threading.Event(), threading.Event()

    def look_twice(db: Connection) -> tuple[list[int], list[int]]:
        before = seen(db)
        hold(db, entered, leave)
        return before, seen(db)

    looks = database.read(look_twice)
    assert entered.wait(10)
    await database.write(add, 1)
    leave.set()
    assert await looks == ([], [])
    assert await database.read(seen) == [1]


async def test_a_reader_cannot_write(database: SqliteDatabase) -> None:
    with pytest.raises(StoreFailed):
        await database.read(add, 1)
    assert await database.read(seen) == []


async def test_one_and_all(database: SqliteDatabase) -> None:
    def unit(db: Connection) -> None:
        db.executemany("INSERT INTO seen VALUES (?, ?)", [(n, None) for n in range(3)])
        assert db.one("SELECT number FROM seen WHERE number = ?", (1,)) == (1,)
        assert db.one("SELECT number FROM seen WHERE number = ?", (9,)) is None
        assert db.all("SELECT number FROM seen ORDER BY 1") == [(0,), (1,), (2,)]
        assert db.execute("DELETE FROM seen WHERE number > ?", (0,)) == 2
        found = db.one("INSERT INTO seen VALUES (7, NULL) RETURNING number, octets")
        assert found == (7, None)

    await database.write(unit)


# Waiting, cancelling, closing.


async def test_a_full_line_refuses(tmp_path: Path, reactor: IReactorFromThreads) -> None:
    database = SqliteDatabase(tmp_path / "mail.db", reactor, waiting=2)
    await database.open()
    await database.migrate("tests", TABLE)
    held = Held(database)
    answers = [database.write(add, 1), database.write(add, 2)]
    with pytest.raises(Overloaded):
        await database.write(add, 3)
    held.let_go()
    await gatherResults([*answers, held.answer])
    await database.close()


async def test_a_write_cancelled_before_its_turn_never_runs(database: SqliteDatabase) -> None:
    held = Held(database)
    cancelled, kept = database.write(add, 1), database.write(add, 2)
    cancelled.cancel()
    with pytest.raises(CancelledError):
        await cancelled
    held.let_go()
    await gatherResults([kept, held.answer])
    assert await database.read(seen) == [2]


async def test_a_write_cancelled_in_its_turn_is_kept(database: SqliteDatabase) -> None:
    entered, leave = threading.Event(), threading.Event()

    def add_slowly(db: Connection) -> None:
        hold(db, entered, leave)
        add(db, 1)

    cancelled = database.write(add_slowly)
    assert entered.wait(10)
    cancelled.cancel()
    with pytest.raises(CancelledError):
        await cancelled
    leave.set()
    await database.write(add, 2)
    assert await database.read(seen) == [1, 2]


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
    (tmp_path / "text").write_bytes(b"no database at all" * 100)
    assert "not a database" in await refused(tmp_path / "text")
    assert "can't be opened" in await refused(tmp_path / "missing" / "mail.db")


async def test_a_later_format_is_refused(tmp_path: Path) -> None:
    database = database_at_once(tmp_path / "mail.db")
    await database.open()
    await database.write(lambda db: db.execute("PRAGMA user_version = 2"))
    await database.close()
    assert "later version" in await refused(tmp_path / "mail.db")


MOUNTS = """\
22 1 0:20 / / rw - {root} /dev/root rw
23 22 {device} / /var rw,relatime shared:1 - {kind} host:/export rw,vers=4.2
"""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p"])
def test_network_disks_are_refused(tmp_path: Path, kind: str) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    words = {"root": kind, "device": f"{os.major(device)}:{os.minor(device)}", "kind": kind}
    mounts.write_text(MOUNTS.format(**words))
    with pytest.raises(UnusableDatabase, match=f"lies on {kind}"):
        refuse_foreign_disk(tmp_path / "mail.db", mounts)
    mounts.write_text(MOUNTS.format(**{**words, "kind": "ext4"}))
    refuse_foreign_disk(tmp_path / "mail.db", mounts)
    refuse_foreign_disk(tmp_path / "mail.db", tmp_path / "no such file")


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
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT count(*) FROM seen").fetchall() == [(200,)]
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    octets = bytearray(path.read_bytes())
    start = len(octets) // 2 & ~4095
    octets[start : start + 64] = b"\xff" * 64
    path.write_bytes(octets)
    path.with_name("mail.db-wal").write_bytes(bytes(32))


# Migrations.


async def test_steps_that_lack_are_made_once(database: SqliteDatabase) -> None:
    await database.write(add, 1)
    more = [
        *TABLE,
        "ALTER TABLE seen ADD COLUMN more TEXT; INSERT INTO seen VALUES (2, NULL, 'x')",
    ]
    await database.migrate("tests", more)
    await database.migrate("tests", more)
    assert await database.read(seen) == [1, 2]
    await database.migrate("another room", [])


async def test_a_step_that_fails_undoes_those_before_it(database: SqliteDatabase) -> None:
    with pytest.raises(apsw.SQLError):
        await database.migrate("tests", [*TABLE, "CREATE TABLE more (a)", "nonsense"])
    await database.migrate("tests", [*TABLE, "CREATE TABLE more (a)"])


async def test_tables_of_a_later_version_are_refused(database: SqliteDatabase) -> None:
    await database.migrate("tests", [*TABLE, "CREATE TABLE more (a)"])
    with pytest.raises(SchemaTooNew, match="tests have number 2 and this version"):
        await database.migrate("tests", TABLE)


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
