"""The tables of a PostgreSQL database, copied as they are at one moment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.interfaces import IReactorFromThreads

from mailplat.mail.errors import NotPermitted, StoreFailed
from mailplat.sql import Connection, bulk, steps_of
from mailplat.sql.postgres import PostgresDatabase, Statements, Target, fill
from mailplat.sql.postgres.copying import PIECE, pieces_of
from mailplat.testing.postgres import PostgresServer

MADE = """
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT conrelid::regclass || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable,
        collation_name, column_default)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT concat_ws(' ', relname, attname, attstorage, reloptions)
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0 ORDER BY 1
"""
OURS = """
    CREATE TABLE "odd name" (n BIGINT PRIMARY KEY, "a column" TEXT COLLATE "C" DEFAULT 'x',
        r DOUBLE PRECISION, o BYTEA, UNIQUE (n, r), CHECK (n < 100000));
    CREATE TABLE linked (n BIGINT REFERENCES "odd name" (n), t TEXT NOT NULL);
    CREATE INDEX later ON linked (t) WHERE n > 3;
"""


@pytest.fixture
def other(postgres_server: PostgresServer) -> Iterator[Target]:
    with postgres_server.database() as target:
        yield target


def made(db: Connection) -> list[str]:
    return [told for [told] in db.all(MADE)]


def begin(db: Connection) -> None:
    db.execute(OURS)
    rows = [(n, f"t\u00e4xt {n}", n / 3, bytes(n % 5000)) for n in range(2000)]
    bulk(db, 'INSERT INTO "odd name" VALUES {rows}', [*rows, (2000, None, None, None)])
    bulk(db, "INSERT INTO linked VALUES {rows}", [(n, "\\N\t\n") for n in range(9)])


def contents(db: Connection) -> list[object]:
    return [
        db.all('SELECT * FROM "odd name" ORDER BY n'),
        db.all("SELECT * FROM linked ORDER BY n"),
    ]


async def test_tables_are_copied_as_they_were(
    postgres: Target, other: Target, reactor: IReactorFromThreads
) -> None:
    """What is written meanwhile isn't in it, and the last word is of the same transaction."""
    database = PostgresDatabase(postgres, reactor)
    await database.open()
    await database.migrate("store", steps_of("mailplat.store.indexed", "postgres"))
    await database.write(begin)
    before, tables_before = await database.read(contents), await database.read(made)
    moment = database.moment()
    statements = await moment.open()
    await database.write(lambda db: db.execute("DELETE FROM linked"))
    pieces = {table: [one async for one in moment.pieces(table)] for table in moment.tables}
    await moment.close()
    await database.close()
    assert "commits" not in pieces
    assert len(pieces["odd name"]) > 10

    def refuse(db: Connection) -> None:
        db.execute("DELETE FROM linked")
        raise StoreFailed("no")

    with pytest.raises(StoreFailed, match="no"):
        fill(other, statements, pieces, refuse)
    fill(other, statements, pieces, lambda _db: None)
    copy = PostgresDatabase(other, reactor)
    await copy.open()
    assert await copy.read(contents) == before
    assert await copy.read(made) == tables_before
    await copy.close()
    with pytest.raises(NotPermitted, match="is not empty: there is linked, odd name, schema"):
        fill(other, statements, pieces, lambda _db: None)


async def test_rows_that_are_cut_off_are_refused(
    postgres: Target, other: Target, reactor: IReactorFromThreads
) -> None:
    database = PostgresDatabase(postgres, reactor)
    await database.open()
    await database.write(begin)
    moment = database.moment()
    statements = await moment.open()
    pieces = {table: [one async for one in moment.pieces(table)] for table in moment.tables}
    await moment.close()
    await database.close()
    pieces["odd name"] = [pieces["odd name"][0][:50]]
    with pytest.raises(StoreFailed, match="the database could not do it"):
        fill(other, statements, pieces, lambda _db: None)
    fill(other, Statements((), ()), {}, lambda _db: None)  # there is nothing


def test_pieces_end_where_rows_say_so() -> None:
    """A row that goes changes the piece that it was in, and few others."""
    some = [b"%d" % number * 500 for number in range(4000)]
    pieces = list(pieces_of(some))
    assert b"".join(pieces) == b"".join(some)
    assert max(map(len, pieces)) < PIECE + 3000
    without = set(pieces_of(some[:100] + some[101:]))
    assert len(set(pieces) - without) <= 5 < len(pieces)
    assert list(pieces_of([])) == []
