"""A connection to an SQLite file, set up the one way this house uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import apsw

from mailplat.sql.database import Row, UnusableDatabase, Value

APPLICATION = int.from_bytes(b"mlpt")  # SQLite's application_id, in the file's header
FORMAT = 1  # SQLite's user_version: how the `schema` table itself is written
STATEMENTS = 512  # prepared statements kept by each connection
FOREIGN = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ncpfs", "afs", "fuse.sshfs")

WRITER = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA foreign_keys = ON",
)
READER = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA query_only = ON",
)
ALL = (
    "PRAGMA mmap_size = 0",
    "PRAGMA cell_size_check = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16384",
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

    def damage(self) -> list[str]:
        rows = self.all("PRAGMA integrity_check")
        return [str(words) for [words] in rows if words != "ok"]

    def close(self) -> None:
        self.native.close()


def open_writer(path: Path, *, durable: bool, vfs: str | None = None) -> SqliteConnection:
    """Open, and if need be make, the file for its one writing connection.

    Raises `UnusableDatabase` for a file that can't be opened, lies on a network
    file system, is not ours, or was written by a later version.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    synchronous = f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}"
    try:
        refuse_foreign_disk(path)
        if vfs is None:
            path.touch(mode=0o600)
        return _open(path, flags, vfs, (*WRITER, *ALL, synchronous), _claim)
    except (apsw.Error, OSError) as error:
        raise UnusableDatabase(f"{path} can't be opened: {error}") from error


def open_reader(path: Path, *, vfs: str | None = None) -> SqliteConnection:
    """Open the file for reading; a writer has it open already.

    Raises `UnusableDatabase` if that can't be done now.
    """
    flags = apsw.SQLITE_OPEN_READONLY
    try:
        return _open(path, flags, vfs, (*READER, *ALL), lambda _connection: None)
    except apsw.Error as error:
        raise UnusableDatabase(f"{path} can't be opened for reading: {error}") from error


def _open(
    path: Path,
    flags: int,
    vfs: str | None,
    pragmas: Iterable[str],
    check: Callable[[SqliteConnection], None],
) -> SqliteConnection:
    native = apsw.Connection(str(path), flags, vfs, STATEMENTS)
    connection = SqliteConnection(native)
    try:
        for pragma in pragmas:
            connection.all(pragma)
        check(connection)
    except BaseException:
        native.close()
        raise
    return connection


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


def refuse_foreign_disk(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """Raise `UnusableDatabase` when the path lies on a network file system.

    SQLite's locks and its shared memory can't be trusted there; mail would be
    lost.  Where the system doesn't tell (no Linux), nothing is refused.
    """
    if not mounts.exists():
        return
    device = path.parent.stat().st_dev
    wanted = f"{device >> 8 & 0xFFF}:{device & 0xFF | device >> 12 & 0xFFF00}"
    for line in mounts.read_text("utf-8", "surrogateescape").splitlines():
        place, _, kind = line.partition(" - ")
        if place.split()[2] == wanted and kind.split()[0] in FOREIGN:
            raise UnusableDatabase(
                f"{path} lies on {kind.split()[0]}, where SQLite can't keep mail safe:"
                " put the state folder on a local disk, or use PostgreSQL"
            )
