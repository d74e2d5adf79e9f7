"""Group commit on PostgreSQL: many units of work, one transaction, and its outcome for certain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import psycopg
from psycopg import errors

from mailplat.mail.errors import DiskFull, MailError, StoreFailed
from mailplat.sql.database import UnusableDatabase
from mailplat.sql.postgres.connection import PostgresConnection
from mailplat.sql.postgres.line import Line
from mailplat.sql.postgres.listener import tell
from mailplat.sql.postgres.opening import TakenDatabase
from mailplat.sql.units import refuse, run_apart, run_together
from mailplat.workers import Job

AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)
LOST = (psycopg.OperationalError, psycopg.InternalError)
ATTEMPTS = 10  # at one group


class Writer:
    """The bench of a database's writing thread.

    Groups are as on SQLite.  They are serializable, so that a group which met another
    node's changes runs again, and each counts itself in this writer's row of
    ``commits``.  When the connection is lost while a commit is under way, that row
    tells what came of it: a transaction's number would not, since a server that has
    crashed may give it to another one.
    """

    def __init__(
        self, line: Line, name: str, shared: bool, on_taken: Callable[[Exception], None]
    ) -> None:
        self._line = line
        self._shared = shared
        self._name = name
        self._on_taken = on_taken
        self._number = 0  # of the newest group
        self._kept = 0  # the newest that is known to be committed
        self._is_committing = False

    def serve(self, jobs: Sequence[Job]) -> None:
        """Run the jobs' units and commit them together."""
        try:
            self._serve(jobs)
        except MailError as error:
            refuse(jobs, error)
        except errors.DiskFull as error:
            if len(jobs) == 1:
                refuse(jobs, DiskFull(str(error)))
            else:
                for job in jobs:
                    self.serve([job])
        except psycopg.Error as error:
            refuse(jobs, StoreFailed(f"the database could not commit: {error}"))

    def rest(self) -> None:
        pass

    def close(self) -> None:
        self._line.close()

    def _serve(self, jobs: Sequence[Job]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._commit(self._open(), jobs)
            except psycopg.Error as error:
                broken = self._line.has_broken(error)
                if broken and self._was_committed():
                    return
                if attempt == ATTEMPTS or not (broken or isinstance(error, AGAIN)):
                    raise
            else:
                return

    def _open(self) -> PostgresConnection:
        try:
            return self._line.open()
        except TakenDatabase as error:
            if self._number:  # it was ours
                self._on_taken(error)
            raise

    def _commit(self, connection: PostgresConnection, jobs: Sequence[Job]) -> None:
        lost = True
        try:
            self._begin(connection)
            if not self._commit_together(connection, jobs):
                connection.run("ROLLBACK")
                self._begin(connection)
                for job in jobs:
                    run_apart(connection, job, LOST)
                self._end(connection)
            lost = False
        finally:
            if lost and not connection.native.closed:
                with suppress(psycopg.Error):
                    connection.run("ROLLBACK")
        self._is_committing, self._kept = False, self._number

    def _begin(self, connection: PostgresConnection) -> None:
        self._number += 1
        self._is_committing = False
        connection.told.clear()
        connection.put_off("BEGIN ISOLATION LEVEL SERIALIZABLE")
        count = "UPDATE commits SET number = ? WHERE writer = ?"
        connection.put_off(count, (self._number, self._name))

    def _commit_together(self, connection: PostgresConnection, jobs: Sequence[Job]) -> bool:
        """Run all units and commit; return False if one refuses, and nothing is committed.

        A statement that was put off may fail as late as with the commit, which then
        isn't done.
        """
        if not run_together(connection, jobs, LOST):
            return False
        try:
            self._end(connection)
        except LOST:
            raise
        except psycopg.Error:
            return False
        return True

    def _end(self, connection: PostgresConnection) -> None:
        if self._shared:
            tell(connection, self._name, connection.told)
        self._is_committing = True
        if connection.commit() != "COMMIT":
            raise StoreFailed("the database did not commit, and didn't say why")

    def _was_committed(self) -> bool:
        """Say, when the connection was lost, whether the newest group has been kept.

        The row can be read when the server has done with the connection that was lost,
        whatever it did; before that, its lock is waited for.
        """
        while self._is_committing:
            try:
                row = self._open().one(
                    "SELECT number FROM commits WHERE writer = ? FOR UPDATE", (self._name,)
                )
            except UnusableDatabase as error:
                raise StoreFailed(
                    "the server went away while it committed, and whether it did isn't known:"
                    f" {error}"
                ) from error
            except psycopg.Error as error:
                if not self._line.has_broken(error):
                    raise
            else:
                return self._is_newest(row[0] if row else 0)
        return False

    def _is_newest(self, number: int) -> bool:
        """Say whether the newest group is the last that was counted.

        A row that has gone back was made anew after somebody else had the database, or
        is that of a standby which had not heard of all.
        """
        if number < self._kept:
            raise StoreFailed(
                "others had the database since it was lost in a commit, and whether that"
                " was kept isn't known"
            )
        return number == self._number


class Reader:
    """The bench of a reading thread: each unit sees one snapshot, maybe that of others."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def serve(self, jobs: Sequence[Job]) -> None:
        left, breaks = list(jobs), 0
        while left:
            try:
                self._read(self._line.open(), left)
            except UnusableDatabase as error:
                refuse(left, error)
                return
            except psycopg.Error as error:
                if self._line.has_broken(error) and breaks < ATTEMPTS:
                    breaks += 1
                    continue
                refuse([left.pop(0)], StoreFailed(f"the database could not be read: {error}"))

    def rest(self) -> None:
        pass

    def close(self) -> None:
        self._line.close()

    def _read(self, connection: PostgresConnection, left: list[Job]) -> None:
        """Run units on one snapshot; those are left that come behind one that failed in it."""
        connection.put_off("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            while left:
                job = left[0]
                try:
                    job.outcome = job.function(connection, *job.args, **job.kwargs)
                except psycopg.Error:
                    raise
                except Exception as error:  # noqa: BLE001 - whoever asked gets it
                    job.failure = error
                del left[0]
        finally:
            if not connection.native.closed:
                with suppress(psycopg.Error):
                    connection.run("ROLLBACK")  # of nothing
