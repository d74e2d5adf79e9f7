"""The database on a PostgreSQL server that goes away, comes back, and may not be ours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from twisted.internet.defer import Deferred, DeferredQueue, gatherResults
from twisted.internet.interfaces import IReactorFromThreads

from mailplat.mail.errors import DiskFull, OverQuota, StoreFailed
from mailplat.sql import Connection, UnusableDatabase, bulk
from mailplat.sql.migrations import in_postgres
from mailplat.sql.postgres import (
    PostgresDatabase,
    Target,
    connection,
    examine,
    listener,
    opening,
)
from mailplat.sql.postgres.connection import PostgresConnection
from mailplat.sql.postgres.listener import Listener
from mailplat.sql.postgres.opening import TakenDatabase
from mailplat.sql.postgres.statements import numbered
from mailplat.testing.postgres import PostgresServer
from mailplat.testing.workers import CrewAtOnce, ReactorAtOnce

Open = Callable[..., PostgresDatabase]


@pytest.fixture
def at_once(postgres: Target) -> Iterator[Open]:
    """Make objects for one database whose answers are there at once."""
    made: list[PostgresDatabase] = []

    def make(**options: Any) -> PostgresDatabase:
        reactor = ReactorAtOnce()
        made.append(PostgresDatabase(postgres, reactor, crew=CrewAtOnce, **options))
        return made[-1]

    yield make
    for database in made:
        database._writer.stop()
        database._readers.stop()


async def opened(make: Open, **options: Any) -> PostgresDatabase:
    database = make(**options)
    await database.open()
    table = "CREATE TABLE IF NOT EXISTS seen (number BIGINT PRIMARY KEY)"
    await database.write(lambda db: db.execute(table))
    return database


def add(db: Connection, number: int) -> int:
    assert db.execute("INSERT INTO seen VALUES (?)", (number,)) == 1
    return number


def seen(db: Connection) -> list[int]:
    return [number for (number,) in db.all("SELECT number FROM seen ORDER BY number")]


def end_me(db: Connection) -> None:
    """Have the server end the connection."""
    db.all("SELECT pg_terminate_backend(pg_backend_pid())")


class Counted:
    """A unit that adds a row, and counts how often it ran."""

    def __init__(self, first: Callable[[Connection], object] = lambda _db: None) -> None:
        self.runs = 0
        self._first = first

    def __call__(self, db: Connection, number: int) -> int:
        self.runs += 1
        if self.runs == 1:
            self._first(db)
        return add(db, number)


# What came of a commit.


@pytest.mark.parametrize(("reached", "runs"), [(True, 1), (False, 2)])
async def test_what_came_of_a_commit_whose_answer_was_lost_is_found_out(
    at_once: Open, monkeypatch: pytest.MonkeyPatch, reached: bool, runs: int
) -> None:
    database, unit = await opened(at_once), Counted()
    cut_at_commit(monkeypatch, reached)
    assert await database.write(unit, 1) == 1
    assert unit.runs == runs
    assert await database.read(seen) == [1]
    assert await database.write(add, 2) == 2


def cut_at_commit(monkeypatch: pytest.MonkeyPatch, reached: bool) -> None:
    """Lose the connection at the next commit, which has reached the server or not."""
    whole, cut = PostgresConnection.commit, []

    def commit(self: PostgresConnection) -> str:
        if cut:
            return whole(self)
        cut.append(self)
        if reached:
            whole(self)
        self.native.close()
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(PostgresConnection, "commit", commit)


async def test_it_is_said_where_nobody_can_find_it_out(
    at_once: Open, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await opened(at_once, patience=0.1)
    cut_at_commit(monkeypatch, reached=True)
    whole = opening.open_writer

    def out_of_reach(*_args: object, **_options: object) -> PostgresConnection:
        raise opening.OutOfReach("no route")

    monkeypatch.setattr("mailplat.sql.postgres.database.open_writer", out_of_reach)
    with pytest.raises(StoreFailed, match="whether it did isn't known: no route"):
        await database.write(add, 1)
    monkeypatch.setattr("mailplat.sql.postgres.database.open_writer", whole)
    assert await database.write(add, 2) == 2
    assert await database.read(seen) == [1, 2]


async def test_it_is_said_where_others_had_the_database_meanwhile(
    at_once: Open, postgres: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await opened(at_once)
    cut_at_commit(monkeypatch, reached=True)
    whole = opening.open_writer

    def behind_others(*args: Any, **options: Any) -> PostgresConnection:
        with psycopg.connect(postgres.url, autocommit=True) as other:
            other.execute("DELETE FROM commits")
        return whole(*args, **options)

    monkeypatch.setattr("mailplat.sql.postgres.database.open_writer", behind_others)
    with pytest.raises(StoreFailed, match="whether that was kept isn't known"):
        await database.write(add, 1)
    assert await database.write(add, 2) == 2
    assert await database.read(seen) == [1, 2]


# A server that goes away.


async def test_a_unit_whose_connection_was_ended_runs_again(at_once: Open) -> None:
    database, unit = await opened(at_once), Counted(end_me)
    assert await database.write(unit, 1) == 1
    assert unit.runs == 2
    looks: list[int] = []

    def look(db: Connection) -> list[int]:
        looks.append(1)
        if len(looks) == 1:
            end_me(db)
        return seen(db)

    assert await database.read(look) == [1]
    assert len(looks) == 2


async def test_a_unit_that_ends_every_connection_is_given_up(at_once: Open) -> None:
    database = await opened(at_once)
    with pytest.raises(StoreFailed):
        await database.write(end_me)
    with pytest.raises(StoreFailed):
        await database.read(end_me)
    assert await database.write(add, 1) == 1


async def test_nobody_hears_of_a_server_that_comes_back(
    postgres: Target, postgres_server: PostgresServer, reactor: IReactorFromThreads
) -> None:
    postgres_server.settle()
    database = PostgresDatabase(postgres, reactor, patience=120)
    await opened(lambda: database)
    await database.write(add, 0)
    work = [database.write(add, number) for number in range(1, 200)]
    work += [database.read(lambda db: len(seen(db)) > 0 or None) for _ in range(20)]
    postgres_server.restart()
    found = await gatherResults(work)
    assert None not in found
    assert await database.read(seen) == list(range(200))
    await database.close()


async def test_who_waits_too_long_is_refused(
    at_once: Open, postgres_server: PostgresServer
) -> None:
    database = await opened(at_once, patience=0.1)
    await database.read(seen)
    postgres_server.stop()
    try:
        for _ in range(2):
            with pytest.raises(StoreFailed, match="can't be reached"):
                await database.write(add, 1)
            with pytest.raises(StoreFailed, match="can't be reached"):
                await database.read(seen)
        other = at_once()
        with pytest.raises(UnusableDatabase, match="can't be reached"):
            await other.open()
    finally:
        postgres_server.start()
    assert await database.write(add, 1) == 1
    assert await database.read(seen) == [1]


# Others on the same database.


async def test_what_met_somebody_elses_change_runs_again(at_once: Open) -> None:
    one, other = await opened(at_once, shared=True), await opened(at_once, shared=True)
    await one.write(add, 1)

    def meanwhile(db: Connection) -> None:
        assert seen(db) == [1]
        done = other.write(lambda db: db.execute("UPDATE seen SET number = number + 10"))
        assert done.called

    def next_number(db: Connection) -> int:
        number = seen(db)[-1] + 1
        if number == 2:
            meanwhile(db)
        return add(db, number) if db.execute("UPDATE seen SET number = number") else 0

    assert await one.write(next_number) == 12
    assert await one.read(seen) == [11, 12]


async def test_others_hear_a_word_when_it_is_committed(
    postgres: Target, reactor: IReactorFromThreads
) -> None:
    """Whoever could not listen for a while hears that there may have been some."""
    one, other = (PostgresDatabase(postgres, reactor, shared=True) for _ in range(2))
    await opened(lambda: one)
    await other.open()
    words: DeferredQueue[str | None] = DeferredQueue()
    other.hear(words.put)
    assert await words.get() is None

    def tell(db: Connection, word: str, number: int) -> None:
        db.tell(word)
        add(db, number)

    await other.write(tell, "our own", 1)
    await one.write(tell, "two words", 2)
    assert await words.get() == "two words"
    assert await other.read(seen) == [1, 2]
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    await one.write(lambda db: db.all(ended))
    assert await words.get() is None
    await one.write(tell, "again", 3)
    assert await words.get() == "again"
    await one.close()
    await other.close()


async def test_an_odd_error_ends_no_listening(
    postgres: Target, reactor: IReactorFromThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen, errors = Listener._listen, [psycopg.DataError("odd")]

    def stumbling(self: Listener, line: PostgresConnection) -> None:
        if errors:
            raise errors.pop()
        listen(self, line)

    monkeypatch.setattr(Listener, "_listen", stumbling)
    monkeypatch.setattr(listener, "TURN", 0.01)
    database = PostgresDatabase(postgres, reactor, shared=True)
    await opened(lambda: database)
    words: DeferredQueue[str | None] = DeferredQueue()
    database.hear(words.put)
    assert await words.get() is None
    await database.close()
    assert not errors


async def test_a_second_server_is_kept_out(
    at_once: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "LOCKED_FOR", 0.1)
    database = await opened(at_once)
    with pytest.raises(TakenDatabase, match="another mailplat uses it"):
        await at_once().open()
    await database.close()
    await at_once().open()


async def test_who_lost_the_database_to_another_ends(
    at_once: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "LOCKED_FOR", 0.1)
    told: list[Exception] = []
    database = await opened(at_once, patience=0.1, on_bad=told.append)
    taker = at_once()

    async def take() -> None:
        await taker.open()

    def lose_to_another(db: Connection) -> None:
        assert isinstance(db, PostgresConnection)
        db.native.close()
        assert Deferred.fromCoroutine(take()).called
        raise psycopg.OperationalError("the connection is lost")

    with pytest.raises(TakenDatabase):
        await database.write(lose_to_another)
    with pytest.raises(TakenDatabase):
        await database.write(add, 1)
    assert [type(error) for error in told] == [TakenDatabase]


# Groups.


async def test_what_does_not_fit_on_the_disk_leaves_the_others_alone(
    postgres: Target, reactor: IReactorFromThreads
) -> None:
    database = PostgresDatabase(postgres, reactor)
    await opened(lambda: database)

    def fill(db: Connection) -> None:
        add(db, 2)
        raise psycopg.errors.DiskFull("no space left on device")

    entered, leave = threading.Event(), threading.Event()
    held = database.write(lambda _db: entered.set() or leave.wait(10))
    assert entered.wait(10)
    answers = [database.write(add, 1), database.write(fill), database.write(add, 3)]
    leave.set()
    with pytest.raises(DiskFull):
        await answers[1]
    await gatherResults([held, answers[0], answers[2]])
    assert await database.read(seen) == [1, 3]
    await database.close()


async def test_a_group_that_could_not_begin_leaves_the_next_alone(
    at_once: Open, postgres: Target
) -> None:
    database = await opened(at_once)
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("ALTER TABLE commits RENAME TO away")
        with pytest.raises(StoreFailed, match="commits"):
            await database.write(add, 1)
        other.execute("ALTER TABLE away RENAME TO commits")
    assert await database.write(add, 1) == 1


async def test_a_look_that_fails_leaves_the_others_alone(
    postgres: Target, reactor: IReactorFromThreads
) -> None:
    database = PostgresDatabase(postgres, reactor, readers=1)
    await opened(lambda: database)
    await database.write(add, 1)

    def refuse(_db: Connection) -> None:
        raise OverQuota("full")

    entered, leave = threading.Event(), threading.Event()
    held = database.read(lambda _db: entered.set() or leave.wait(10))
    assert entered.wait(10)
    looks = [
        database.read(look)
        for look in (seen, lambda db: db.all("SELECT nonsense"), seen, refuse, seen)
    ]
    leave.set()
    with pytest.raises(StoreFailed, match="nonsense"):
        await looks[1]
    with pytest.raises(OverQuota):
        await looks[3]
    assert await gatherResults([looks[0], looks[2], looks[4]]) == [[1]] * 3
    await held
    await database.close()


async def test_statements_are_prepared_once_and_forgotten_when_they_are_many(
    at_once: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STATEMENTS", 8)
    database = await opened(at_once)

    def unit(db: Connection, number: int) -> tuple[int, int]:
        for _ in range(3):
            for values in ((number, None), (None, number)):
                sql = f"SELECT ?::BIGINT, ?::BIGINT, {number % 20}"
                assert db.one(sql, values) == (*values, number % 20)
        pairs = [(-number - n,) for n in range(5)]
        db.executemany("INSERT INTO seen VALUES (?) ON CONFLICT DO NOTHING", pairs)
        [[ours]] = db.all(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%::BIGINT%'"
        )
        return number, ours

    found = [await database.write(unit, number) for number in range(40)]
    assert [number for number, _ in found] == list(range(40))
    assert 1 <= max(ours for _, ours in found) <= 8


async def test_a_column_has_values_of_one_kind(at_once: Open) -> None:
    database = await opened(at_once)
    with pytest.raises(TypeError, match="one column can't have"):
        await database.write(bulk, "INSERT INTO seen VALUES {rows}", [(1,), ("one",)])
    assert await database.write(add, 1) == 1


async def test_what_answers_nothing_is_one_way_there_and_back(
    at_once: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await opened(at_once)
    ways: list[int] = []
    together = PostgresConnection._sent_together

    def sent(self: PostgresConnection, sendings: Any) -> Any:
        ways.append(len(sendings))
        return together(self, sendings)

    monkeypatch.setattr(PostgresConnection, "_sent_together", sent)

    def unit(db: Connection) -> None:
        db.executemany("INSERT INTO seen VALUES (?)", [(n,) for n in range(20)])
        bulk(db, "INSERT INTO seen VALUES {rows}", [(n,) for n in range(20, 40)])

    await database.write(unit)
    assert ways == [24]  # beginning, counting, and the commit
    assert await database.read(seen) == list(range(40))
    assert ways == [24]


async def test_much_is_put_off_only_so_far(at_once: Open) -> None:
    database = await opened(at_once)
    rows = [(n,) for n in range(3000)]

    def unit(db: Connection) -> int:
        assert isinstance(db, PostgresConnection)
        db.executemany("INSERT INTO seen VALUES (?)", rows)
        return len(db._put_off)

    assert await database.write(unit) < connection.WAITING
    assert len(await database.read(seen)) == 3000


async def test_large_values_go_both_ways_at_once(at_once: Open) -> None:
    """More than the sockets hold: neither side waits for the other."""
    database = await opened(at_once)
    large = bytes(300_000)

    def unit(db: Connection) -> int:
        db.execute("CREATE TEMPORARY TABLE large (octets BYTEA)")
        for _ in range(20):
            db.executemany("INSERT INTO large VALUES (?)", [(large,)] * 3)
        return sum(len(octets) for (octets,) in db.all("SELECT octets FROM large"))

    assert await database.write(unit) == 60 * len(large)


async def test_a_connection_that_goes_in_the_middle_is_made_anew(at_once: Open) -> None:
    database = await opened(at_once)

    def going(db: Connection) -> None:
        db.executemany("SELECT pg_terminate_backend(pg_backend_pid()), ?", [(1,)])

    unit = Counted(going)
    assert await database.write(unit, 1) == 1
    assert unit.runs == 2
    assert await database.read(seen) == [1]


async def test_truth_and_views_of_octets_are_values_too(at_once: Open) -> None:
    database = await opened(at_once)

    def unit(db: Connection) -> list[tuple[object, ...]]:
        octets = b"octets"
        values = (True, False, 1.5, "t\u00e4xt", octets, memoryview(octets), bytearray(octets))
        return db.all("SELECT ?, ?, ?, ?, ?, ?, ?", values)

    assert await database.write(unit) == [
        (1, 0, 1.5, "t\u00e4xt", b"octets", b"octets", b"octets")
    ]
    with pytest.raises(TypeError, match="a value of object"):
        await database.write(lambda db: db.one("SELECT ?", (object(),)))


# What can't be used.


def refused(target: Target) -> str:
    with pytest.raises(UnusableDatabase) as caught:
        examine(target)
    return str(caught.value)


def test_what_can_not_be_used_is_refused_with_its_reason(
    postgres: Target, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine(postgres)
    url = postgres_server.url
    assert "does not exist" in refused(Target(url("nowhere")))
    assert "can't be reached" in refused(Target("postgresql://x:y@/z?host=/nowhere"))
    postgres_server.run("CREATE ROLE guest LOGIN")
    guest = Target(postgres.url.replace("mailplat@", "guest@"))
    assert "guest may make no tables there" in refused(guest)
    postgres_server.run(
        "CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'"
        " LOCALE_PROVIDER libc"
    )
    assert "is a database in LATIN1, expected UTF8" in refused(Target(url("old")))
    monkeypatch.setattr(opening, "OLDEST", 990000)
    assert "expected 99 or later" in refused(postgres)


def test_no_password_is_shown() -> None:
    target = Target.of("postgresql://ann:secret@db.example.org:5433/mail?sslmode=require", "x")
    assert str(target) == "postgresql://ann@db.example.org:5433/mail"
    assert "secret" not in refused(Target("postgresql://ann:secret@/z?host=/nowhere"))
    for url in ("postgresql://ann:secret@[::1/mail", "postgresql://ann:secret@h/m?what=no"):
        with pytest.raises(UnusableDatabase) as caught:
            Target.of(url)
        assert "secret" not in str(caught.value)


# Words.


def test_marks_get_numbers() -> None:
    assert numbered("a = ? AND b = ?") == b"a = $1 AND b = $2"
    assert numbered("a < ?1 AND b = ?2 OR ?1") == b"a < $1 AND b = $2 OR $1"


def test_scripts_are_written_in_words_of_both() -> None:
    script = "CREATE TABLE a (b INTEGER, c REAL, d BLOB, e TEXT) WITHOUT ROWID;"
    assert in_postgres(script) == (
        'CREATE TABLE a (b BIGINT, c DOUBLE PRECISION, d BYTEA, e TEXT COLLATE "C");'
    )
