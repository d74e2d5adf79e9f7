"""A connection to an SQLite file, set up the one way this house uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import apsw

from mailplat.files import Disk
from mailplat.sql.bulk import in_turns
from mailplat.sql.checksums import CHECKED, has_checksums, wants_checksums, words_of
from mailplat.sql.database import Row, UnusableDatabase, Value
from mailplat.sql.disks import refuse_foreign_disk

APPLICATION = int.from_bytes(b"mlpt")  # SQLite's application_id, in the file's header
FORMAT = 1  # SQLite's user_version: how the `schema` table itself is written
PAGE = 4096  # octets, as SQLite makes them by itself
STATEMENTS = 512  # prepared statements kept by each connection

MAKER = (
    "PRAGMA journal_mode = MEMORY",  # what is left half made is made again
    "PRAGMA auto_vacuum = INCREMENTAL",
)
WRITER = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -8192",
)
READER = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA query_only = ON",
    "PRAGMA cache_size = -4096",  # pages with checksums go through it, large contents too
)
ALL = (
    "PRAGMA mmap_size = 0",
    "PRAGMA cell_size_check = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
)


class SqliteConnection:
    """A `Connection` by apsw.  Used by one thread at a time.

    It has one cursor, so a statement is over when the next one begins, and no
    forgotten row can hold a snapshot.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.native = connection
        self._cursor = connection.cursor()
        self.run = self._cursor.execute

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        self.run(sql, values)
        return self.native.changes()

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        self._cursor.executemany(sql, rows)

    def one(self, sql: str, values: Sequence[Value] = ()) -> Row | None:
        rows = self.run(sql, values).fetchall()
        return rows[0] if rows else None

    def all(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        return self.run(sql, values).fetchall()

    def bulk(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        return in_turns(self.all, sql, rows)

    def settle(self) -> None:
        pass  # nothing is put off

    def tables(self) -> set[str]:
        return {name for [name] in self.all("SELECT name FROM sqlite_schema")}

    def tell(self, word: str) -> None:
        pass  # nobody else has the file

    def damage(self) -> list[str]:
        rows = self.all("PRAGMA integrity_check")
        return [str(words) for [words] in rows if words != "ok"]

    def close(self) -> None:
        self.native.close()


def open_writer(path: Path, *, durable: bool, vfs: str | None = None) -> SqliteConnection:
    """Open, and if need be make, the file for its one writing connection.

    Raises `UnusableDatabase` for a file that can't be opened, lies on a network
    file system, is not ours, is cut off, or was written by a later version.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    synchronous = f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}"
    try:
        refuse_foreign_disk(path)
        if vfs is None and not path.exists():
            _make(path)
        if vfs is None:
            _refuse_cut_off(path)
        return _open(path, flags, vfs, (*WRITER, *ALL, synchronous), _claim)
    except (apsw.Error, OSError) as error:
        raise UnusableDatabase(f"{path} can't be opened: {words_of(error)}") from error


def open_reader(path: Path, *, vfs: str | None = None) -> SqliteConnection:
    """Open the file for reading; a writer has it open already.

    Raises `UnusableDatabase` if that can't be done now.
    """
    flags = apsw.SQLITE_OPEN_READONLY
    try:
        return _open(path, flags, vfs, (*READER, *ALL), lambda _connection: None)
    except apsw.Error as error:
        words = words_of(error)
        raise UnusableDatabase(f"{path} can't be opened for reading: {words}") from error


def _open(
    path: Path,
    flags: int,
    vfs: str | None,
    pragmas: Iterable[str],
    check: Callable[[SqliteConnection], None],
) -> SqliteConnection:
    native = apsw.Connection(str(path), flags, vfs or CHECKED, STATEMENTS)
    connection = SqliteConnection(native)
    try:
        if flags & apsw.SQLITE_OPEN_CREATE:
            wants_checksums(native)
        for pragma in pragmas:
            connection.all(pragma)
        _refuse_unchecked(native)
        check(connection)
    except BaseException:
        native.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Make a file that is a database as soon as it has its name.

    So one without octets has lost them, and is not taken for a new one.
    """
    disk = Disk()
    new = path.with_name(f".{path.name}.new")
    disk.unlink(new)
    new.touch(mode=0o600)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    _open(new, flags, None, MAKER, _claim).close()
    disk.rename(new, path)
    disk.sync_folder(path.parent)


def _refuse_cut_off(path: Path) -> None:
    """Refuse a file that has lost its end and that SQLite would take as it is.

    One without a whole page would be a new one, and a page that is there in part would
    end in zeros.  With a log beside it the rest may be there.
    """
    size = path.stat().st_size
    log = path.with_name(f"{path.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    if size < PAGE or (size % PAGE and not has_log):
        raise UnusableDatabase(
            f"{path} is cut off: it has {size} octets.  Restore a backup; where there was"
            " never anything in it, remove it"
        )


def _refuse_unchecked(native: apsw.Connection) -> None:
    """Refuse a file with checksums where nobody would write them."""
    if has_checksums(native) and native.open_vfs != CHECKED:
        raise UnusableDatabase(
            f"{native.filename} has a checksum in each page, which this build of apsw can't"
            " write: it needs the extension cksumvfs, which apsw's own wheels bring"
        )


def _claim(connection: SqliteConnection) -> None:
    """Put our mark on a new file; refuse one that bears another."""
    [[application]] = connection.all("PRAGMA application_id")
    [[number]] = connection.all("PRAGMA user_version")
    [[tables]] = connection.all("SELECT count(*) FROM sqlite_schema")
    if application not in (0, APPLICATION) or (tables and not application):
        raise UnusableDatabase(f"{connection.native.filename} is a database of another program")
    if number > FORMAT:
        raise UnusableDatabase(
            f"{connection.native.filename} was written by a later version of mailplat"
        )
    if not application:
        connection.run("BEGIN IMMEDIATE")
        connection.run(f"PRAGMA application_id = {APPLICATION}")
        connection.run(f"PRAGMA user_version = {FORMAT}")
        connection.run("COMMIT")
