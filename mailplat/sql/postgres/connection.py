"""A connection to a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import errors
from psycopg.adapt import Transformer
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.types.numeric import FloatBinaryDumper, Int8BinaryDumper
from psycopg.types.string import BytesBinaryDumper, StrBinaryDumper

from mailplat.sql.database import Row, Value
from mailplat.sql.postgres.statements import Prepared, numbered
from mailplat.sql.postgres.values import UNKNOWN, encoder_of

STATEMENTS = 512  # prepared statements kept by each connection
PIPELINED = 4  # runs of one statement that are sent without waiting for each

# What ends a connection although the server could still say why; see also class 08.
ENDED = ("57P01", "57P02", "57P03", "57P05")

BINARY = 1


class PostgresConnection:
    """A `Connection` by libpq, which psycopg brings.  Used by one thread at a time.

    A statement is one call of libpq, which gives up the interpreter's lock once;
    psycopg's own cursors do so each time they wait for the socket.  Statements are
    prepared when they come first.
    """

    def __init__(self, native: psycopg.Connection) -> None:
        self.native = native
        self._pq = native.pgconn
        self._rows = Transformer(native)
        self._prepared: dict[str, list[Prepared]] = {}
        self._names = 0
        self.told: dict[str, None] = {}  # words of the transaction that is under way

    def run(self, sql: str) -> str:
        """Run one or more statements without values; return what the last was, as told."""
        status = self._checked(self._pq.exec_(sql.encode())).command_status
        return status.decode() if status else ""

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        return self._send(sql, values).command_tuples or 0

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        rows = list(rows)
        if len(rows) < PIPELINED:
            for row in rows:
                self._send(sql, row)
        else:
            with psycopg.RawCursor(self.native) as cursor:
                _write_binary(cursor)
                cursor.executemany(numbered(sql), rows)

    def one(self, sql: str, values: Sequence[Value] = ()) -> Row | None:
        rows = self.all(sql, values)
        return rows[0] if rows else None

    def all(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        result = self._send(sql, values)
        if not result.ntuples:
            return []
        self._rows.set_pgresult(result)
        return self._rows.load_rows(0, result.ntuples, tuple)

    def tables(self) -> set[str]:
        sql = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        return {name for [name] in self.all(sql)}

    def tell(self, word: str) -> None:
        self.told[word] = None

    def damage(self) -> list[str]:
        return []  # the server looks after its own files

    def close(self) -> None:
        with suppress(psycopg.Error):
            self.native.close()

    def has_lost(self, error: BaseException) -> bool:
        """Say whether the error means that the connection is no more."""
        if self.native.closed:
            return True
        if not isinstance(error, psycopg.OperationalError):
            return False
        state = error.sqlstate
        return state is None or state in ENDED or state.startswith("08")

    def _send(self, sql: str, values: Sequence[Value]) -> PGresult:
        if not values:
            return self._checked(self._pq.exec_(sql.encode()))
        encoded = [encoder_of(type(value)) for value in values]
        types = [kind for kind, _ in encoded]
        name = self._name(sql, types)
        octets: list[Any] = [
            encode(value) if kind else None
            for (kind, encode), value in zip(encoded, values, strict=True)
        ]
        return self._checked(
            self._pq.exec_prepared(name, octets, [BINARY] * len(octets), BINARY)
        )

    def _name(self, sql: str, types: list[int]) -> bytes:
        """Return the name of the statement prepared for values of these types."""
        variants = self._prepared.setdefault(sql, [])
        for prepared in variants:
            if prepared.takes(types):
                return prepared.name
        self._names += 1
        if not self._names % STATEMENTS:
            self._forget_statements()
            variants = self._prepared.setdefault(sql, [])
        name = b"statement%d" % self._names
        self._checked(self._pq.prepare(name, numbered(sql), types))
        told = self._checked(self._pq.describe_prepared(name))
        kinds = [told.param_type(number) or UNKNOWN for number in range(told.nparams)]
        variants.append(Prepared(name, kinds))
        return name

    def _forget_statements(self) -> None:
        """Let the server forget what was prepared, before that becomes too much."""
        names = [one.name.decode() for some in self._prepared.values() for one in some]
        self.run("; ".join(f"DEALLOCATE {name}" for name in names))
        self._prepared.clear()

    def _checked(self, result: PGresult) -> PGresult:
        """Return the result of what went well, or raise what the server or libpq says."""
        if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            return result
        if result.status == ExecStatus.EMPTY_QUERY:
            return result
        if result.error_field(DiagnosticField.SQLSTATE) is None:  # the server didn't say it
            raise psycopg.OperationalError(result.get_error_message())
        raise errors.error_from_result(result)


def _write_binary(cursor: psycopg.RawCursor[Row]) -> None:
    """Have a cursor of psycopg give values the types that we give them."""
    for kind, dumper in (
        (int, Int8BinaryDumper),
        (float, FloatBinaryDumper),
        (str, StrBinaryDumper),
        (bytes, BytesBinaryDumper),
    ):
        cursor.adapters.register_dumper(kind, dumper)
