"""A connection to a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from select import POLLIN, POLLOUT, poll
from typing import Any, TypeAlias

import psycopg
from psycopg import errors
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from mailplat.sql.bulk import marked
from mailplat.sql.database import Row, Value
from mailplat.sql.postgres.statements import Prepared, numbered, unnested
from mailplat.sql.postgres.values import UNKNOWN, array_of, encoder_of

STATEMENTS = 512  # prepared statements kept by each connection
ROWS = 1024  # of one run of a statement
WAITING = 256  # statements that are put off at most

# What ends a connection although the server could still say why; see also class 08.
ENDED = ("57P01", "57P02", "57P03", "57P05")

BINARY = 1


Octets: TypeAlias = list[Any]  # of each value; None for none
Sending: TypeAlias = tuple[Prepared, Octets]


class PostgresConnection:
    """A `Connection` by libpq, which psycopg brings.  Used by one thread at a time.

    A statement is one call of libpq, which gives up the interpreter's lock once;
    psycopg's own cursors do so each time they wait for the socket.  Statements are
    prepared when they come first.  Those that answer nothing are put off until the next
    that does, so that all of them are one way to the server and back; what they raise is
    raised then.
    """

    def __init__(self, native: psycopg.Connection) -> None:
        self.native = native
        self._pq = native.pgconn
        self._rows = Transformer(native)
        self._prepared: dict[str, list[Prepared]] = {}
        self._names = 0
        self._put_off: list[Sending] = []
        self.told: dict[str, None] = {}  # words of the transaction that is under way

    def run(self, sql: str) -> str:
        """Run one or more statements without values; return what the last was, as told.

        What was put off is run before, but what is rolled back never is.
        """
        if sql.startswith("ROLLBACK"):
            self._put_off.clear()
        self.settle()
        return _told(self._checked(self._pq.exec_(sql.encode())))

    def commit(self) -> str:
        """Run what was put off, and commit if that went well; return what was done, as told."""
        return _told(self._sent(*self._ready("COMMIT", ())))

    def settle(self) -> None:
        """Run what was put off."""
        if self._put_off:
            *self._put_off, last = self._put_off
            self._sent(*last)

    def put_off(self, sql: str, values: Sequence[Value] = ()) -> None:
        """Run a statement some time before the next that answers."""
        self._put(*self._ready(sql, values))

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        return self._send(sql, values).command_tuples or 0

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        for row in rows:
            self.put_off(sql, row)

    def one(self, sql: str, values: Sequence[Value] = ()) -> Row | None:
        rows = self.all(sql, values)
        return rows[0] if rows else None

    def all(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        return self._loaded(self._send(sql, values))

    def bulk(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        if len(rows) == 1:  # which is quicker than arrays of one
            [row] = rows
            return self._answered(*self._ready(marked(sql, 1, len(row)), row))
        found: list[Row] = []
        for start in range(0, len(rows), ROWS):
            columns = zip(*rows[start : start + ROWS], strict=True)
            arrays = [array_of(column) for column in columns]
            statement = unnested(sql, tuple(kind for kind, _ in arrays))
            given = [(kind, octets) for kind, octets in arrays if kind != UNKNOWN]
            prepared = self._prepare(statement, [kind for kind, _ in given])
            found += self._answered(prepared, [octets for _, octets in given])
        return found

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
        if values:
            return self._sent(*self._ready(sql, values))
        self.settle()
        return self._checked(self._pq.exec_(sql.encode()))

    def _ready(self, sql: str, values: Sequence[Value]) -> Sending:
        """Return a statement as it is sent, with its values."""
        encoded = [encoder_of(type(value)) for value in values]
        prepared = self._prepare(sql, [kind for kind, _ in encoded])
        octets = [
            encode(value) if kind else None
            for (kind, encode), value in zip(encoded, values, strict=True)
        ]
        return prepared, octets

    def _answered(self, prepared: Prepared, octets: Octets) -> list[Row]:
        """Return what a statement answers; one that answers nothing is put off."""
        if prepared.answers:
            return self._loaded(self._sent(prepared, octets))
        self._put(prepared, octets)
        return []

    def _put(self, prepared: Prepared, octets: Octets) -> None:
        self._put_off.append((prepared, octets))
        if len(self._put_off) >= WAITING:
            self.settle()

    def _sent(self, prepared: Prepared, octets: Octets) -> PGresult:
        """Run a statement behind those that were put off; return what it answers."""
        waiting, self._put_off = self._put_off, []
        if waiting:
            *_, last = self._sent_together([*waiting, (prepared, octets)])
            return last
        marks = [BINARY] * len(octets)
        return self._checked(self._pq.exec_prepared(prepared.name, octets, marks, BINARY))

    def _sent_together(self, sendings: Sequence[Sending]) -> list[PGresult]:
        """Run statements, none behind one that fails; they are one way there and back."""
        pq = self._pq
        try:
            pq.enter_pipeline_mode()
            for prepared, octets in sendings:
                marks = [BINARY] * len(octets)
                pq.send_query_prepared(prepared.name, octets, marks, BINARY)
            pq.pipeline_sync()
            answers = [self._answer() for _ in sendings]
            self._next_result()  # of the end
            pq.exit_pipeline_mode()
        except BaseException:
            self.close()  # nobody knows how far it has come
            raise
        return [self._checked(answer) for answer in answers]

    def _answer(self) -> PGresult:
        """Return the next statement's answer, which has an end of its own."""
        answer = self._next_result()
        if answer is None:
            raise psycopg.OperationalError("the connection is lost")
        if self._pq.status != ConnStatus.OK:
            raise _failure(answer)
        self._next_result()
        return answer

    def _next_result(self) -> PGresult | None:
        """Wait, without the interpreter's lock, for what the server says next."""
        pq, line = self._pq, poll()
        while pq.flush():
            line.register(pq.socket, POLLIN | POLLOUT)
            if any(event & ~POLLOUT for _, event in line.poll()):
                pq.consume_input()
        line.register(pq.socket, POLLIN)
        while pq.is_busy():
            line.poll()
            pq.consume_input()
        return pq.get_result()

    def _loaded(self, result: PGresult) -> list[Row]:
        if not result.ntuples:
            return []
        self._rows.set_pgresult(result)
        return self._rows.load_rows(0, result.ntuples, tuple)

    def _prepare(self, sql: str, types: list[int]) -> Prepared:
        """Return the statement prepared for values of these types."""
        variants = self._prepared.setdefault(sql, [])
        for prepared in variants:
            if prepared.takes(types):
                return prepared
        self._names += 1
        if not self._names % STATEMENTS:
            self._forget_statements()
            variants = self._prepared.setdefault(sql, [])
        name = b"statement%d" % self._names
        self._checked(self._pq.prepare(name, numbered(sql), types))
        told = self._checked(self._pq.describe_prepared(name))
        kinds = [told.param_type(number) or UNKNOWN for number in range(told.nparams)]
        prepared = Prepared(name, kinds, answers=told.nfields > 0)
        variants.append(prepared)
        return prepared

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
        raise _failure(result)


def _failure(result: PGresult) -> psycopg.Error:
    """Return what the server, or libpq, says of something that failed."""
    if result.error_field(DiagnosticField.SQLSTATE) is None:  # the server didn't say it
        return psycopg.OperationalError(result.get_error_message())
    return errors.error_from_result(result)


def _told(result: PGresult) -> str:
    return (result.command_status or b"").decode()
