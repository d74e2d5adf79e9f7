"""A database's tables as they are at one moment, copied out of it and into an empty one.

Rows are copied in PostgreSQL's own binary form (``COPY … WITH (FORMAT BINARY)``), which
every version reads; tables, keys and indexes are written down as statements.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar
from zlib import crc32

import attrs
import psycopg
from psycopg import sql
from twisted.internet.defer import Deferred

from mailplat.mail.errors import NotPermitted, StoreFailed
from mailplat.sql.database import Connection
from mailplat.sql.postgres.connection import PostgresConnection
from mailplat.sql.postgres.opening import open_writer
from mailplat.sql.postgres.target import Target
from mailplat.workers import Crew

T = TypeVar("T")

PIECE = 1 << 17  # octets of a piece, but for its last row
CUTS = 8  # one row of so many ends a piece that is half as long
OF_CONNECTIONS = "commits"  # a table that says nothing to anybody else

_TABLES = """
    SELECT c.oid, c.relname, coalesce(array_to_string(c.reloptions, ', '), '')
    FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace
    AND c.relkind = 'r' AND c.relname <> ? ORDER BY c.relname
"""
_COLUMNS = """
    SELECT quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attcollation <> t.typcollation
            THEN ' COLLATE ' || quote_ident(l.collname) ELSE '' END
        || CASE WHEN d.adbin IS NULL THEN ''
            ELSE ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END
        || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
        CASE WHEN a.attstorage = t.typstorage THEN ''
            ELSE quote_ident(a.attname) || ' SET STORAGE ' || CASE a.attstorage
                WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN'
                ELSE 'EXTENDED' END END
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = ?::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_CONSTRAINTS = """
    SELECT quote_ident(conname) || ' ' || pg_get_constraintdef(oid), contype = 'f'
    FROM pg_constraint WHERE conrelid = ?::oid ORDER BY contype = 'f', conname
"""
_INDEXES = """
    SELECT replace(pg_get_indexdef(i.indexrelid),
        ' ON ' || quote_ident(current_schema()) || '.', ' ON ')
    FROM pg_index i WHERE i.indrelid = ?::oid AND NOT EXISTS (
        SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype <> 'f')
    ORDER BY 1
"""
_ORDER = """
    SELECT coalesce(string_agg(quote_ident(a.attname), ', ' ORDER BY k.place), '')
    FROM pg_index i, unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute a ON a.attnum = k.number
    WHERE i.indrelid = ?::oid AND i.indisprimary AND a.attrelid = i.indrelid
"""


@attrs.frozen
class Statements:
    """What makes the tables, and what makes their keys and indexes once their rows are there."""

    tables: tuple[str, ...]
    keys: tuple[str, ...]


class Moment:
    """A database as it is at one moment; whatever is committed later isn't seen.

    It holds a connection of its own and a snapshot on the server, which keeps rows that
    are removed meanwhile: so hold it no longer than needed.
    """

    def __init__(self, connect: Callable[[], PostgresConnection], crew: Crew) -> None:
        self._connect = connect
        self._crew = crew
        self._line: PostgresConnection | None = None
        self._order: dict[str, str] = {}

    async def open(self) -> Statements:
        """Let it be now; return how the tables are made."""
        return await self._ask(self._open)

    @property
    def tables(self) -> Sequence[str]:
        """The names of the tables."""
        return list(self._order)

    async def pieces(self, table: str) -> AsyncIterator[bytes]:
        """Yield a table's rows, in the order of its key, some in each piece.

        A piece ends where a row says so and not where it is full: what follows a row
        that has come or gone is in the same pieces as before.
        """
        pieces = self._pieces(table)
        while octets := await self._ask(_next, pieces):
            yield octets

    async def close(self) -> None:
        """Let it go."""
        if self._line:
            await self._crew.ask(self._line.close)
        await self._crew.stop()

    def _ask(self, function: Callable[..., T], *args: object) -> Deferred[T]:
        return self._crew.ask(_translated, function, *args)

    def _open(self) -> Statements:
        line = self._line = self._connect()
        line.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        tables: list[str] = []
        keys: list[str] = []
        links: list[str] = []
        for number, name, options in line.all(_TABLES, (OF_CONNECTIONS,)):
            columns = line.all(_COLUMNS, (number,))
            made = f"CREATE TABLE {_quoted(name)} ({', '.join(told for told, _ in columns)})"
            tables.append(f"{made} WITH ({options})" if options else made)
            alter = f"ALTER TABLE {_quoted(name)}"
            tables += [f"{alter} ALTER {storage}" for _, storage in columns if storage]
            for told, is_link in line.all(_CONSTRAINTS, (number,)):
                (links if is_link else keys).append(f"{alter} ADD CONSTRAINT {told}")
            keys += [told for [told] in line.all(_INDEXES, (number,))]
            self._order[name] = line.all(_ORDER, (number,))[0][0]
        return Statements(tuple(tables), (*keys, *links))

    def _pieces(self, table: str) -> Iterator[bytes]:
        assert self._line
        order = f" ORDER BY {self._order[table]}" if self._order[table] else ""
        rows = f"SELECT * FROM {_quoted(table)}{order}"  # noqa: S608 - names of ours
        said = f"COPY ({rows}) TO STDOUT WITH (FORMAT BINARY)"
        with self._line.native.cursor() as cursor, cursor.copy(said.encode()) as copy:
            yield from pieces_of(map(bytes, copy))


def pieces_of(rows: Iterable[bytes]) -> Iterator[bytes]:
    """Join rows to pieces that end behind rows whose own octets say so."""
    some: list[bytes] = []
    size = 0
    for row in rows:
        some.append(row)
        size += len(row)
        if size >= PIECE or (size >= PIECE // 2 and not crc32(row) % CUTS):
            yield b"".join(some)
            some, size = [], 0
    if some:
        yield b"".join(some)


def fill(
    target: Target,
    statements: Statements,
    tables: Mapping[str, Iterable[bytes]],
    then: Callable[[Connection], None],
) -> None:
    """Make the tables of an empty database, and their rows; ``then`` has the last word.

    All of it is one transaction.  Raises `NotPermitted` where the database is not empty,
    `UnusableDatabase`, also where a server has it, and `StoreFailed`.  Blocks.
    """
    line = open_writer(target, f"fill {time.time():.0f}", shared=False)
    try:
        if there := sorted(line.tables() - {OF_CONNECTIONS}):
            raise NotPermitted(
                f"{target} is not empty: there is {', '.join(there[:5])}.  Make another"
                " database, or drop it and make it anew"
            )
        _translated(_fill, line, statements, tables, then)
    finally:
        line.close()


def _fill(
    line: PostgresConnection,
    statements: Statements,
    tables: Mapping[str, Iterable[bytes]],
    then: Callable[[Connection], None],
) -> None:
    line.run("BEGIN")
    for statement in statements.tables:
        line.run(statement)
    for table, pieces in tables.items():
        with (
            line.native.cursor() as cursor,
            cursor.copy(
                f"COPY {_quoted(table)} FROM STDIN WITH (FORMAT BINARY)".encode()
            ) as copy,
        ):
            for octets in pieces:
                copy.write(octets)
    for statement in statements.keys:
        line.run(statement)
    then(line)
    line.settle()
    line.run("COMMIT")
    with suppress(psycopg.Error):
        line.run("ANALYZE")


def _next(pieces: Iterator[bytes]) -> bytes:
    return next(pieces, b"")


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string()


def _translated(function: Callable[..., T], *args: object) -> T:
    try:
        return function(*args)
    except psycopg.Error as error:
        raise StoreFailed(f"the database could not do it: {error}") from error
