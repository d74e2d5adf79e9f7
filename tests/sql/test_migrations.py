"""Steps that go through large tables in batches, and go on after a process has died."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mailplat.sql import Batches, Connection, SchemaTooNew, SqliteDatabase, outlook
from mailplat.testing.workers import database_at_once

TABLE = "CREATE TABLE seen (number INTEGER PRIMARY KEY, doubled INTEGER)"
ROWS = 1000
AT_ONCE = 64


class Died(BaseException):
    """Stands for the end of the process in the middle of a batch."""


def double(db: Connection, mark: str) -> str | None:
    rows = db.all(
        "SELECT number FROM seen WHERE number > ? ORDER BY number LIMIT ?",
        (int(mark or -1), AT_ONCE),
    )
    db.executemany(
        "UPDATE seen SET doubled = coalesce(doubled, 0) + 2 * ? WHERE number = ?",
        [(number, number) for [number] in rows],
    )
    return str(rows[-1][0]) if len(rows) == AT_ONCE else None


def dying(after: int) -> Batches:
    runs: list[str] = []

    def batch(db: Connection, mark: str) -> str | None:
        runs.append(mark)
        found = double(db, mark)
        if len(runs) > after:
            raise Died
        return found

    return Batches(batch, "seen")


STEPS = [TABLE, Batches(double, "seen"), "CREATE TABLE more (a)"]


def doubled(db: Connection) -> bool:
    return db.all("SELECT count(*) FROM seen WHERE doubled = 2 * number") == [(ROWS,)]


async def filled(path: Path) -> SqliteDatabase:
    database = database_at_once(path)
    await database.open()
    await database.migrate("tests", [TABLE])
    await database.write(
        lambda db: db.executemany(
            "INSERT INTO seen VALUES (?, NULL)", ((n,) for n in range(ROWS))
        )
    )
    return database


async def test_all_batches_are_run_and_what_comes_behind_them(tmp_path: Path) -> None:
    database = await filled(tmp_path / "mail.db")
    before = await database.read(outlook, "tests", STEPS)
    assert (before.found, before.known, before.steps, before.rows) == (1, 3, 2, ROWS)
    assert 0 < before.seconds < 1
    await database.migrate("tests", STEPS)
    await database.migrate("tests", STEPS)
    assert await database.read(doubled)
    await database.write(lambda db: db.execute("INSERT INTO more VALUES (1)"))
    after = await database.read(outlook, "tests", STEPS)
    assert (after.found, after.steps, after.rows, after.is_halfway) == (3, 0, 0, False)
    await database.close()


@pytest.mark.parametrize("batches", [0, 1, 7, 15])
async def test_what_died_in_the_middle_goes_on(tmp_path: Path, batches: int) -> None:
    """Each row is changed once, though the batch that died was begun twice."""
    database = await filled(tmp_path / "mail.db")
    with pytest.raises(Died):
        await database.migrate("tests", [TABLE, dying(batches)])
    await database.close()
    again = database_at_once(tmp_path / "mail.db")
    await again.open()
    found = await again.read(outlook, "tests", STEPS)
    assert (found.found, found.is_halfway, found.steps) == (2, True, 2)
    with pytest.raises(
        SchemaTooNew, match="have number 2 and this version of mailplat knows 1"
    ):
        await again.migrate("tests", [TABLE])
    await again.migrate("tests", STEPS)
    assert await again.read(doubled)
    await again.close()


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import test_migrations as tests
from mailplat.sql import Batches
from mailplat.testing.workers import database_at_once
runs = []
def batch(db, mark):
    runs.append(mark)
    found = tests.double(db, mark)
    if len(runs) > 5:
        os.kill(os.getpid(), 9)
    return found
async def run():
    database = await tests.filled(Path({path!r}))
    await database.migrate("tests", [tests.TABLE, Batches(batch, "seen")])
try:
    run().send(None)
except StopIteration:
    pass
"""


async def test_what_was_killed_in_the_middle_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "mail.db"
    script = KILLED.format(folder=str(Path(__file__).parent), path=str(path))
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -9
    again = database_at_once(path)
    await again.open()
    assert (await again.read(outlook, "tests", STEPS)).is_halfway
    await again.migrate("tests", STEPS)
    assert await again.read(doubled)
    await again.close()


async def test_a_new_database_lacks_everything(tmp_path: Path) -> None:
    database = database_at_once(tmp_path / "mail.db")
    await database.open()
    found = await database.read(outlook, "tests", STEPS)
    assert (found.found, found.steps, found.rows, found.is_too_new) == (0, 3, 0, False)
    await database.migrate("tests", STEPS)
    assert (await database.read(outlook, "tests", [TABLE])).is_too_new
    await database.close()
