"""What a database does for its rooms, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads

from mailplat.mail.errors import Overloaded, OverQuota, ShuttingDown, StoreFailed
from mailplat.sql import (
    Batches,
    Connection,
    Database,
    Row,
    SchemaTooNew,
    SqliteDatabase,
    bulk,
    outlook,
)
from mailplat.sql.migrations import in_postgres
from mailplat.sql.postgres import PostgresDatabase
from mailplat.testing.fixtures import async_yield_fixture

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


Maker = Callable[..., Database]


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path, reactor: IReactorFromThreads) -> Maker:
    """Make an object for one and the same database."""
    if request.param == "sqlite":
        return lambda **options: SqliteDatabase(tmp_path / "mail.db", reactor, **options)
    target = request.getfixturevalue("postgres")
    return lambda **options: PostgresDatabase(target, reactor, **options)


@async_yield_fixture
async def database(make: Maker) -> AsyncIterator[Database]:
    database = make()
    await database.open()
    await database.migrate("tests", steps(database, TABLE))
    yield database
    await database.close()


def steps(database: Database, scripts: Sequence[str]) -> list[str]:
    return [in_postgres(one) if database.dialect == "postgres" else one for one in scripts]


class Held:
    """Keeps the writer busy until `let_go`, so that what comes meanwhile waits."""

    def __init__(self, database: Database) -> None:
        self._leave = threading.Event()
        entered = threading.Event()
        self.answer = database.write(hold, entered, self._leave)
        assert entered.wait(10)

    def let_go(self) -> None:
        self._leave.set()


# Writing and reading.


async def test_what_is_written_is_read_back(database: Database, make: Maker) -> None:
    assert await database.write(add, 3) == 3
    assert await database.read(seen) == [3]
    await database.close()
    again = make()
    await again.open()
    assert await again.read(seen) == [3]
    await again.close()


async def test_a_refusal_leaves_the_others_alone(database: Database) -> None:
    held = Held(database)
    answers = [database.write(add, 1), database.write(refuse, 2), database.write(add, 3)]
    held.let_go()
    assert await answers[0] == 1
    with pytest.raises(OverQuota):
        await answers[1]
    assert await answers[2] == 3
    assert await database.read(seen) == [1, 3]
    await held.answer


async def test_a_mistake_in_a_unit_is_its_own(database: Database) -> None:
    await database.write(add, 1)
    held = Held(database)
    twice, last = database.write(add, 1), database.write(add, 2)
    held.let_go()
    with pytest.raises(Exception, match=r"(?i)unique"):
        await twice
    assert await last == 2
    with pytest.raises(Exception, match="nonsense"):
        await database.write(lambda db: db.execute("SELECT nonsense"))
    assert await database.read(seen) == [1, 2]
    await held.answer


async def test_a_mistake_that_nothing_answers_is_its_units_own(database: Database) -> None:
    """A server hears of such statements with the next that answers, or with the commit."""

    def add_each(db: Connection, numbers: Sequence[int]) -> str:
        db.executemany("INSERT INTO seen VALUES (?, NULL)", [(n,) for n in numbers])
        return "done"

    await database.write(add, 1)
    held = Held(database)
    answers = [database.write(add_each, numbers) for numbers in ([2, 3], [4, 1], [5], [6, 6])]
    held.let_go()
    for wrong in (answers[1], answers[3]):
        with pytest.raises(Exception, match=r"(?i)unique"):
            await wrong
    assert await gatherResults([answers[0], answers[2]]) == ["done", "done"]
    with pytest.raises(Exception, match=r"(?i)unique"):
        await database.write(add_each, [7, 7])
    assert await database.read(seen) == [1, 2, 3, 5]
    await held.answer


@pytest.mark.parametrize("count", [1, 2, 3, 64, 65, 1500])
async def test_one_statement_takes_many_rows(database: Database, count: int) -> None:
    rows = [(n, b"%d" % n if n % 3 else None) for n in range(count)]

    def unit(db: Connection) -> list[Row]:
        assert bulk(db, "INSERT INTO seen VALUES {rows}", rows) == []
        assert bulk(db, "INSERT INTO seen VALUES {rows}", [(-1, None), (-2, None)]) == []
        assert bulk(db, "INSERT INTO seen VALUES {rows} ON CONFLICT DO NOTHING", rows) == []
        changed = bulk(
            db,
            "UPDATE seen SET octets = column2 FROM (VALUES {rows}) AS new"
            " WHERE number = column1 RETURNING number",
            [(n, b"new") for n in range(0, count, 2)],
        )
        assert sorted(changed) == [(n,) for n in range(0, count, 2)]
        assert bulk(db, "DELETE FROM seen WHERE number IN (VALUES {rows})", []) == []
        return bulk(
            db,
            "SELECT number, octets FROM seen WHERE number IN (VALUES {rows})",
            [(n,) for n in range(-2, count)],
        )

    assert sorted(await database.write(unit)) == [
        (-2, None),
        (-1, None),
        *((n, b"new" if n % 2 == 0 else octets) for n, octets in rows),
    ]


async def test_columns_of_one_statement_have_values_of_any_kind(database: Database) -> None:
    table = steps(database, ["CREATE TABLE kinds (n INTEGER, r REAL, t TEXT, o BLOB)"])
    rows = [
        (1, 1, "t\u00e4xt", b"\0"),
        (None, 2.5, None, memoryview(b"view")),
        (True, None, "", b""),
        (-(2**62), 1e18, "'?{rows}", bytearray(b"x")),
    ]

    def unit(db: Connection) -> list[Row]:
        for script in table:
            db.execute(script)
        for some in (rows, rows[:1], rows[1:2]):
            bulk(db, "INSERT INTO kinds VALUES {rows}", some)
        return db.all("SELECT n, r, t, o FROM kinds")

    found = [
        (1, 1.0, "t\u00e4xt", b"\0"),
        (None, 2.5, None, b"view"),
        (1, None, "", b""),
        (-(2**62), 1e18, "'?{rows}", b"x"),
    ]
    assert await database.write(unit) == [*found, found[0], found[1]]


async def test_units_run_in_the_order_in_which_they_came(database: Database) -> None:
    order: list[int] = []
    held = Held(database)
    answers = [database.write(lambda _db, n=n: order.append(n)) for n in range(50)]
    held.let_go()
    await gatherResults(answers)
    assert order == list(range(50))
    await held.answer


async def test_a_reader_sees_what_was_answered_and_never_half_a_unit(
    database: Database,
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


async def test_a_reader_keeps_one_snapshot(database: Database) -> None:
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


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(StoreFailed):
        await database.read(add, 1)
    assert await database.read(seen) == []


async def test_one_and_all(database: Database) -> None:
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


async def test_a_full_line_refuses(make: Maker) -> None:
    database = make(waiting=2)
    await database.open()
    await database.migrate("tests", steps(database, TABLE))
    held = Held(database)
    answers = [database.write(add, 1), database.write(add, 2)]
    with pytest.raises(Overloaded):
        await database.write(add, 3)
    held.let_go()
    await gatherResults([*answers, held.answer])
    await database.close()


async def test_a_write_cancelled_before_its_turn_never_runs(database: Database) -> None:
    held = Held(database)
    cancelled, kept = database.write(add, 1), database.write(add, 2)
    cancelled.cancel()
    with pytest.raises(CancelledError):
        await cancelled
    held.let_go()
    await gatherResults([kept, held.answer])
    assert await database.read(seen) == [2]


async def test_a_write_cancelled_in_its_turn_is_kept(database: Database) -> None:
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


async def test_close_finishes_what_waits(database: Database) -> None:
    held = Held(database)
    waits = database.write(add, 1)
    closed = Deferred.fromCoroutine(database.close())
    with pytest.raises(ShuttingDown):
        await database.write(add, 2)
    assert not closed.called
    held.let_go()
    await closed
    assert await waits == 1
    await database.close()
    await held.answer


# Migrations.


async def test_steps_that_lack_are_made_once(database: Database) -> None:
    await database.write(add, 1)
    more = [
        *steps(database, TABLE),
        "ALTER TABLE seen ADD COLUMN more TEXT; INSERT INTO seen VALUES (2, NULL, 'x')",
    ]
    await database.migrate("tests", more)
    await database.migrate("tests", more)
    assert await database.read(seen) == [1, 2]
    await database.migrate("another room", [])


async def test_a_step_that_fails_undoes_those_before_it(database: Database) -> None:
    with pytest.raises(Exception, match="nonsense"):
        await database.migrate(
            "tests", [*steps(database, TABLE), "CREATE TABLE more (a TEXT)", "nonsense"]
        )
    await database.migrate("tests", [*steps(database, TABLE), "CREATE TABLE more (a TEXT)"])


async def test_tables_of_a_later_version_are_refused(database: Database) -> None:
    await database.migrate("tests", [*steps(database, TABLE), "CREATE TABLE more (a TEXT)"])
    with pytest.raises(SchemaTooNew, match="tests have number 2 and this version"):
        await database.migrate("tests", steps(database, TABLE))


async def test_steps_in_batches_are_run_and_foreseen(database: Database) -> None:
    for number in range(10):
        await database.write(add, number)

    def batch(db: Connection, mark: str) -> str | None:
        first = int(mark or 0)
        marked = "UPDATE seen SET octets = ? WHERE number BETWEEN ? AND ?"
        db.execute(marked, (b"seen", first, first + 3))
        return str(first + 4) if first + 4 < 10 else None

    plan = [*steps(database, TABLE), Batches(batch, "seen")]
    before = await database.read(outlook, "tests", plan)
    assert (before.found, before.steps, before.rows) == (1, 1, 10)
    await database.migrate("tests", plan)
    octets = await database.read(lambda db: db.all("SELECT DISTINCT octets FROM seen"))
    assert octets == [(b"seen",)]
    after = await database.read(outlook, "tests", plan)
    assert (after.found, after.steps, after.is_halfway) == (2, 0, False)
