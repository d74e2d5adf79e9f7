"""The database by one writer and several readers, on a real file."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IReactorFromThreads

from mailplat.mail.errors import OverQuota
from mailplat.sql import Connection, SqliteDatabase


def add(db: Connection, number: int) -> int:
    db.execute("INSERT INTO seen VALUES (?)", (number,))
    return number


def seen(db: Connection) -> list[int]:
    return [number for (number,) in db.all("SELECT number FROM seen ORDER BY number")]


def refuse(db: Connection, number: int) -> None:
    add(db, number)
    raise OverQuota("full")


TABLE = ["CREATE TABLE seen (number INTEGER PRIMARY KEY)"]


async def opened(folder: Path, reactor: IReactorFromThreads) -> SqliteDatabase:
    database = SqliteDatabase(folder / "mail.db", reactor)
    await database.open()
    await database.migrate("tests", TABLE)
    return database


async def test_what_is_written_is_read_back(
    tmp_path: Path, reactor: IReactorFromThreads
) -> None:
    database = await opened(tmp_path, reactor)
    assert await database.write(add, 3) == 3
    assert await database.read(seen) == [3]
    await database.close()
    again = await opened(tmp_path, reactor)
    assert await again.read(seen) == [3]
    await again.close()


async def test_a_refusal_leaves_the_others_alone(
    tmp_path: Path, reactor: IReactorFromThreads
) -> None:
    database = await opened(tmp_path, reactor)
    first, refused, last = (
        database.write(add, 1),
        database.write(refuse, 2),
        database.write(add, 3),
    )
    with pytest.raises(OverQuota):
        await refused
    await gatherResults([first, last])
    assert await database.read(seen) == [1, 3]
    await database.close()
