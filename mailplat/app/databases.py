"""The house's database: a file of its own, or one on a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorFromThreads

from mailplat.app.config import Configuration
from mailplat.app.mistakes import BadConfiguration, Mistake
from mailplat.app.tables import DatabaseSettings
from mailplat.files import Disk, Reserve
from mailplat.mail.limits import MIB
from mailplat.sql import Database, SqliteDatabase, UnusableDatabase

if TYPE_CHECKING:
    from mailplat.sql.postgres import Target

RESERVE = 16 * MIB  # octets kept on the disk for what makes room
URL = ("database", "url")


def make_database(
    configuration: Configuration,
    reactor: IReactorFromThreads,
    disk: Disk,
    on_bad: Callable[[Exception], None],
) -> Database:
    """Return the database that the configuration names, still to be opened.

    Raises `BadConfiguration` where what it takes is missing.
    """
    settings = configuration.table(DatabaseSettings)
    path = file_of(settings, configuration.house.state)
    if path is not None:
        reserve = Reserve(disk, path.with_name("reserve"), RESERVE)
        return SqliteDatabase(path, reactor, on_bad=on_bad, reserve=reserve)
    if mistakes := mistakes_in_database(configuration):
        raise BadConfiguration(mistakes)
    from mailplat.sql.postgres import PostgresDatabase

    return PostgresDatabase(target_of(settings), reactor, on_bad=on_bad)


def file_of(settings: DatabaseSettings, state: Path) -> Path | None:
    """Return SQLite's file, if it is one."""
    kind, _, path = settings.url.partition(":")
    return state / path if kind == "sqlite" else None


def target_of(settings: DatabaseSettings) -> Target:
    """Return where the database is on a server; raises `UnusableDatabase` (see there)."""
    try:
        from mailplat.sql.postgres import Target
    except ImportError as problem:
        raise UnusableDatabase(
            "PostgreSQL takes psycopg: install mailplat with the extra `postgres`"
            f" (pip install 'mailplat[postgres]'; {problem})"
        ) from problem
    return Target.of(settings.url, settings.password.reveal() if settings.password else "")


def mistakes_in_database(configuration: Configuration) -> list[Mistake]:
    """Return why there can be no such database, wherever the server is."""
    settings = configuration.table(DatabaseSettings)
    if file_of(settings, configuration.house.state) is not None:
        return []
    try:
        target_of(settings)
    except UnusableDatabase as problem:
        return [configuration.source.mistake(URL, str(problem))]
    return []


def warnings_of_database(configuration: Configuration) -> list[Mistake]:
    """Return why the database can't be used from here, now; what is wrong anyway is none."""
    settings = configuration.table(DatabaseSettings)
    if mistakes_in_database(configuration):
        return []
    try:
        insist_on(settings)
    except UnusableDatabase as problem:
        return [configuration.source.mistake(URL, str(problem))]
    return []


def insist_on(settings: DatabaseSettings) -> None:
    """Raise `UnusableDatabase` if the server can't be used now; a file isn't looked at."""
    if settings.url.startswith("sqlite:"):
        return
    target = target_of(settings)
    from mailplat.sql.postgres import examine

    examine(target)
