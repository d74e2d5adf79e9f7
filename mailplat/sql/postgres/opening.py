"""Connections to a PostgreSQL server, set up the one way this house uses them."""

from __future__ import annotations

from typing import Any

import psycopg

from mailplat.sql.database import UnusableDatabase
from mailplat.sql.postgres.connection import PostgresConnection
from mailplat.sql.postgres.target import Target

OLDEST = 150000  # version of the server, as libpq tells it
LOCK = int.from_bytes(b"mailplat")  # the advisory lock of the server that has the database
LOCKED_FOR = 5  # seconds for which the end of one that is just going is waited for

CONNECTING: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""What ends waiting for a server that is gone without a word; seconds, the last milliseconds."""

ALL = """
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET jit = off;
    SET client_min_messages = warning;
"""
"""All is found by its keys: a plan made while a table was small must serve when it is large.

One that is made anew for each run would cost more than the run.
"""

WRITER = """
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') = 'off';
    CREATE TABLE IF NOT EXISTS commits (writer TEXT PRIMARY KEY, number BIGINT NOT NULL);
"""


class OutOfReach(UnusableDatabase):
    """The server doesn't answer now; it may in a while."""


class TakenDatabase(UnusableDatabase):
    """Another server of ours uses the database."""


def open_writer(target: Target, writer: str, *, shared: bool) -> PostgresConnection:
    """Connect for writing, and make the row in which this writer counts its commits.

    Unless it is ``shared``, nobody else has the database meanwhile.  Raises
    `OutOfReach`, `TakenDatabase`, and `UnusableDatabase` for one that can't be used.
    """
    connection = open_reader(target, f"{writer} writes")
    try:
        _insist_on_writing(connection, target)
        _end_earlier(connection, writer)
        if not shared:
            _lock(connection, target)
        connection.run(WRITER)
        if not shared:
            connection.execute("DELETE FROM commits WHERE writer <> ?", (writer,))
        begin = "INSERT INTO commits VALUES (?, 0) ON CONFLICT DO NOTHING"
        connection.execute(begin, (writer,))
    except psycopg.Error as error:
        lost = connection.has_lost(error)
        connection.close()
        problem = OutOfReach if lost else UnusableDatabase
        raise problem(f"{target} can't be used: {_words(error)}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(target: Target, name: str) -> PostgresConnection:
    """Connect.  Raises `OutOfReach`, and `UnusableDatabase` for one that can't be used."""
    options = {**CONNECTING, "password": target.password} if target.password else CONNECTING
    try:
        native = psycopg.connect(
            target.url,
            autocommit=True,
            client_encoding="UTF8",
            application_name=f"mailplat {name}",
            **options,
        )
    except psycopg.ProgrammingError as error:
        raise UnusableDatabase(f"{target} can't be understood: {_words(error)}") from error
    except psycopg.Error as error:
        raise OutOfReach(f"{target} can't be reached: {_words(error)}") from error
    connection = PostgresConnection(native)
    try:
        _insist_on_server(connection, target)
        connection.run(ALL)
    except psycopg.Error as error:
        connection.close()
        raise OutOfReach(f"{target} can't be used: {_words(error)}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def examine(target: Target) -> None:
    """Raise `UnusableDatabase` if the house can't use the database; change nothing there."""
    connection = open_reader(target, "looks")
    try:
        _insist_on_writing(connection, target)
    finally:
        connection.close()


def _insist_on_server(connection: PostgresConnection, target: Target) -> None:
    version = connection.native.info.server_version
    if version < OLDEST:
        raise UnusableDatabase(
            f"{target} is PostgreSQL {version // 10000}, expected {OLDEST // 10000} or later"
        )
    encoding = connection.native.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise UnusableDatabase(
            f"{target} is a database in {encoding}, expected UTF8: make another"
            " (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)"
        )


def _insist_on_writing(connection: PostgresConnection, target: Target) -> None:
    [[standby, may_make]] = connection.all(
        "SELECT pg_is_in_recovery(), has_schema_privilege(current_schema(), 'CREATE')"
    )
    if standby:
        raise OutOfReach(f"{target} is a standby, which takes no writes")
    if not may_make:
        name = connection.native.info.user
        raise UnusableDatabase(
            f"{target}: {name} may make no tables there; let the database belong to it"
            f" (ALTER DATABASE … OWNER TO {name})"
        )


def _end_earlier(connection: PostgresConnection, writer: str) -> None:
    """End what the server may still hold of a connection that this writer has lost."""
    connection.all(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = ? AND pid <> pg_backend_pid()",
        (f"mailplat {writer} writes",),
    )


def _lock(connection: PostgresConnection, target: Target) -> None:
    """Hold the lock of the database's one server as long as the connection lives."""
    connection.run(f"SET lock_timeout = '{LOCKED_FOR}s'")
    try:
        connection.all("SELECT pg_advisory_lock(?)", (LOCK,))
    except psycopg.errors.LockNotAvailable as error:
        raise TakenDatabase(f"{target}: another mailplat uses it") from error
    connection.run("RESET lock_timeout")


def _words(error: Exception) -> str:
    return " ".join(str(error).split())
