"""Group commit on SQLite: many units of work, one transaction, one sync."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import apsw
import attrs

from mailplat.files import FULL, Reserve
from mailplat.mail.errors import DiskFull, MailError, StoreFailed
from mailplat.sql.checksums import is_changed_page, words_of
from mailplat.sql.connection import SqliteConnection
from mailplat.sql.database import ROOM_MAKERS
from mailplat.sql.units import refuse, run_apart, run_together
from mailplat.workers import Job

CHECKPOINT = 4000  # pages in the write-ahead log before they go into the database
DAMAGE = (apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.ReadOnlyError)
LOST = (*DAMAGE, apsw.FullError, apsw.NoMemError, apsw.BusyError, apsw.InterruptError)


@attrs.frozen
class Alone:
    """A unit that the writer runs between two transactions, on its own connection."""

    unit: Callable[..., Any]

    def __call__(self, connection: SqliteConnection, *args: object) -> object:
        return self.unit(connection, *args)


class Writer:
    """The bench of a database's one writing thread.

    Units run one after the other.  If one of them refuses, all that the group
    did is undone and each runs again inside a savepoint, which leaves the
    others alone: refusals are rare, and savepoints cost a unit as much as two
    of its statements.  When the disk fails, what was synced and what wasn't is no
    longer known: then the writer is ``bad``, refuses all that follows, never
    syncs the file again, and tells ``on_bad``.
    """

    def __init__(
        self,
        connection: SqliteConnection,
        on_bad: Callable[[Exception], None],
        reserve: Reserve | None = None,
    ) -> None:
        self._connection = connection
        self._reserve = reserve
        self._on_bad = on_bad
        self._bad: Exception | None = None
        self._logged = 0  # pages in the write-ahead log
        self._empty_log_at = CHECKPOINT
        connection.native.set_wal_hook(self._count_pages)

    def serve(self, jobs: Sequence[Job]) -> None:
        """Run the jobs' units and commit them together.

        A group that didn't fit on the disk is undone as a whole; its units run
        again one by one, so that only those fail that are too large, and so where a
        page is damaged that one of them needs.  What makes room may use the reserve.
        """
        jobs = self._without_those_alone(jobs)
        try:
            if jobs:
                self._run(jobs)
        except (apsw.Error, MailError) as error:
            if is_changed_page(error) and len(jobs) > 1:
                for job in jobs:
                    self.serve([job])
            elif not self._is_full(error):
                self._note(error)
                refuse(jobs, StoreFailed(f"the database could not commit: {words_of(error)}"))
            elif len(jobs) == 1:
                if self._has_found_room(jobs[0]):
                    self.serve(jobs)
                else:
                    self._empty_log()
                    refuse(jobs, DiskFull(str(error)))
            else:
                self._empty_log()
                for job in jobs:
                    self.serve([job])

    def rest(self) -> None:
        """Move the write-ahead log into the database when it has grown long.

        While the reserve is missing it may not grow.
        """
        in_need = self._reserve is not None and self._reserve.is_missing
        if in_need or self._logged >= self._empty_log_at:
            self._empty_log()
        if self._reserve and in_need:
            self._reserve.take_again()

    def close(self) -> None:
        if self._bad:
            self._connection.native.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        with suppress(apsw.Error):  # what could not be moved stays in the log
            self._connection.close()

    def _without_those_alone(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Run the jobs that want no transaction; return the others."""
        alone = [job for job in jobs if isinstance(job.function, Alone)]
        for job in alone:
            try:
                job.outcome = job.function(self._connection, *job.args)
            except Exception as error:  # noqa: BLE001 - whoever asked gets it
                self._note(error)
                job.failure = StoreFailed(f"the database could not do it: {words_of(error)}")
        return [job for job in jobs if job not in alone] if alone else jobs

    def _has_found_room(self, job: Job) -> bool:
        return (
            job.function in ROOM_MAKERS
            and self._reserve is not None
            and self._reserve.give_up()
        )

    def _run(self, jobs: Sequence[Job]) -> None:
        if self._bad:
            raise StoreFailed(f"nothing is written since the disk failed: {self._bad}")
        run = self._connection.run
        run("BEGIN IMMEDIATE")
        try:
            if not run_together(self._connection, jobs, LOST):
                run("ROLLBACK")
                run("BEGIN IMMEDIATE")
                for job in jobs:
                    run_apart(self._connection, job, LOST)
            run("COMMIT")
        except BaseException:
            if self._connection.native.in_transaction:
                run("ROLLBACK")
            raise

    def _empty_log(self) -> None:
        """Move what the log holds into the database, so that its space can be used again.

        What a reader still needs stays, and is tried again later.
        """
        self._empty_log_at = self._logged + CHECKPOINT
        if self._bad:
            return
        try:
            self._connection.native.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            self._note(error)

    def _is_full(self, error: BaseException) -> bool:
        """Whether there was no room: on the disk, or in a file that may not grow (EFBIG)."""
        limit = isinstance(error, apsw.IOError) and self._connection.native.system_errno in FULL
        return limit or is_full(error)

    def _note(self, error: Exception) -> None:
        """Remember a failure after which nothing more may be written.

        A page that has changed is none: whoever needs it is refused, and all the rest
        of the file is as it was written.
        """
        if self._is_full(error) or is_changed_page(error):
            return
        if isinstance(error, DAMAGE) and not self._bad:
            self._bad = error
            self._on_bad(error)

    def _count_pages(self, _native: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._logged:
            self._empty_log_at = CHECKPOINT  # the log has begun anew
        self._logged = pages
        return apsw.SQLITE_OK


def is_full(error: BaseException) -> bool:
    """Whether there was no room; SQLite says it otherwise of its shared memory file."""
    if isinstance(error, apsw.IOError):
        return bool(getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE)
    return isinstance(error, apsw.FullError)


class Reader:
    """The bench of a reading thread: each unit sees one snapshot."""

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection

    def serve(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            try:
                job.outcome = self._run(job)
            except apsw.Error as error:
                job.failure = StoreFailed(f"the database could not be read: {words_of(error)}")
            except Exception as error:  # noqa: BLE001 - whoever asked gets it
                job.failure = error

    def rest(self) -> None:
        pass

    def close(self) -> None:
        self._connection.close()

    def _run(self, job: Job) -> object:
        self._connection.run("BEGIN")
        try:
            return job.function(self._connection, *job.args, **job.kwargs)
        finally:
            if self._connection.native.in_transaction:
                self._connection.run("ROLLBACK")
