"""A database as it is at one moment, while others go on writing and reading."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

from mailplat.mail.errors import StoreFailed
from mailplat.sql import Connection, SqliteDatabase
from mailplat.sql.checksums import CHECKED
from mailplat.sql.frozen import Frozen
from mailplat.testing.fixtures import async_yield_fixture

TABLE = ["CREATE TABLE seen (number INTEGER PRIMARY KEY, octets BLOB)"]


def add(db: Connection, number: int) -> None:
    db.execute("INSERT INTO seen VALUES (?, zeroblob(3000))", (number,))


@async_yield_fixture
async def database(
    tmp_path: Path, reactor: IReactorFromThreads
) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "mail.db", reactor)
    await database.open()
    await database.migrate("tests", TABLE)
    for number in range(100):
        await database.write(add, number)
    yield database
    await database.close()


async def whole(frozen: Frozen) -> bytes:
    some = [(await frozen.read(first, 7)).octets for first in range(1, frozen.pages + 1, 7)]
    return b"".join(some)


def count_in(path: Path) -> int:
    connection = apsw.Connection(str(path), vfs=CHECKED)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    [[number]] = connection.execute("SELECT count(*) FROM seen")
    connection.close()
    return int(number)


async def test_what_is_written_meanwhile_is_not_in_it(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    frozen = await database.frozen()
    for number in range(100, 3000):
        database.write(add, number)
    await database.write(add, 3000)
    first = await whole(frozen)
    assert len(first) == frozen.size
    assert await whole(frozen) == first
    await frozen.close()
    (tmp_path / "copy.db").write_bytes(first)
    assert count_in(tmp_path / "copy.db") == 100
    again = await database.frozen()
    (tmp_path / "later.db").write_bytes(await whole(again))
    await again.close()
    assert count_in(tmp_path / "later.db") == 3001


async def test_it_waits_for_those_who_read_something_older(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    older = await database.frozen()
    await database.write(add, 100)
    wanted = Deferred.fromCoroutine(database.frozen())
    await database.write(add, 101)
    assert not wanted.called
    await older.close()
    frozen = await wanted
    (tmp_path / "copy.db").write_bytes(await whole(frozen))
    await frozen.close()
    assert count_in(tmp_path / "copy.db") == 102


async def test_a_disk_that_fails_is_said_to(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_frozen: Frozen, _start: int, _size: int) -> bytes:
        raise apsw.exception_for(apsw.SQLITE_IOERR_READ)

    frozen = await database.frozen()
    with monkeypatch.context() as trouble:
        trouble.setattr(Frozen, "_octets", fail)
        with pytest.raises(StoreFailed, match="could not be read"):
            await frozen.read(1, 1)
    await frozen.close()


async def test_pages_that_have_changed_are_named(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    frozen = await database.frozen()
    path = tmp_path / "mail.db"
    sound = await whole(frozen)
    with path.open("r+b", buffering=0) as file:
        file.seek(4096 * 9 + 100)
        file.write(b"X")
    found = await frozen.read(8, 5)
    assert found.changed == (10,)
    assert (
        found.octets == path.read_bytes()[4096 * 7 : 4096 * 12] != sound[4096 * 7 : 4096 * 12]
    )
    await frozen.close()
