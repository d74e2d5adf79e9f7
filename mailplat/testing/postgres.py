"""A PostgreSQL server that a test run starts for itself, in a folder that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import psycopg

from mailplat.sql.postgres import Target
from mailplat.testing.programs import NotStarted, wait_until

PLACES = Path("/usr/lib/postgresql")  # where Debian puts them, each under its version
ACCOUNTS = ("postgres", "nobody")  # who runs it for root, whom it refuses
OWNER = "mailplat"
RECOVERED_IN = 120  # seconds, on a busy machine
CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{folder}'
fsync = on
synchronous_commit = on
shared_buffers = 64MB
max_connections = 50
autovacuum_naptime = 5s
log_min_messages = fatal
"""

EMPTY = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public;
"""


def programs() -> Path | None:
    """Return the folder of the newest server's programs, Debian's or of the package pgserver."""
    found = [place for place in PLACES.glob("*/bin") if (place / "initdb").exists()]
    if found:
        return max(found, key=lambda place: float(place.parent.name))
    package = find_spec("pgserver")
    for place in (package and package.submodule_search_locations) or ():
        if (folder := Path(place) / "pginstall" / "bin").exists():
            return folder
    return None


@attrs.define
class PostgresServer:
    """A server with its data in a private folder, that listens there and nowhere else.

    It syncs as a real one does.  Databases that tests have done with are emptied and
    used again, since it takes long to make or to drop one.
    """

    programs: Path
    folder: Path
    _child: subprocess.Popen[bytes] | None = None
    _free: list[str] = attrs.field(factory=list)
    _numbers: Iterator[int] = attrs.field(factory=lambda: count(1))

    @classmethod
    @contextmanager
    def running(cls, programs: Path) -> Iterator[PostgresServer]:
        """Make the folder, run the server, and remove all of it at the end."""
        folder = Path(tempfile.mkdtemp(prefix="mailplat-pg-"))
        server = cls(programs, folder)
        try:
            if os.geteuid() == 0:
                shutil.chown(folder, *_account())
            server.make()
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)
            shutil.rmtree(folder, ignore_errors=True)

    def make(self) -> None:
        """Make an empty cluster whose own order of words is not that of octets."""
        plain = ["-A", "trust", "-U", OWNER, "-E", "UTF8", "-N"]
        english = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
        for locale in (english, ["--locale=C"]):
            made = self._run("initdb", *plain, *locale, "-D", str(self.folder / "data"))
            if made.returncode == 0:
                break
        else:
            raise NotStarted(made.stdout.decode(errors="replace"))
        with (self.folder / "data/postgresql.conf").open("a") as file:
            file.write(CONFIGURATION.format(folder=self.folder))

    def start(self) -> None:
        """Run the server; it has recovered and takes connections when this returns."""
        with (self.folder / "log").open("ab") as log:
            self._child = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **_identity(),
            )
        wait_until(self._answers, "start of PostgreSQL", RECOVERED_IN)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT in good order, SIGQUIT at once as `pg_ctl stop -m immediate` does."""
        child, self._child = self._child, None
        if child is not None:
            child.send_signal(how)
            child.wait(60)

    def settle(self) -> None:
        """Write down all that was changed, so that a crash is soon recovered from."""
        self.run("CHECKPOINT")

    def restart(self) -> None:
        """Do as `pg_ctl restart -m immediate`: what was not durable is lost."""
        self.stop(signal.SIGQUIT)
        self.start()

    def url(self, database: str, options: str = "") -> str:
        """Return where a database is found."""
        return f"postgresql://{OWNER}@/{database}?host={self.folder}{options}"

    def run(self, sql: str, database: str = "postgres") -> Sequence[tuple[object, ...]]:
        """Run a statement, and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self) -> Iterator[Target]:
        """Lend an empty database."""
        name = self._free.pop() if self._free else f"test{next(self._numbers)}"
        if not self.run(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):  # noqa: S608
            self.run(f"CREATE DATABASE {name} TEMPLATE template0")
        yield Target(self.url(name))
        self.run(EMPTY, name)
        self._free.append(name)

    def _answers(self) -> bool:
        if self._child is None or self._child.poll() is not None:
            raise NotStarted((self.folder / "log").read_text(errors="replace"))
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self.programs / program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            **_identity(),
        )


def _account() -> tuple[int, int]:
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise NotStarted(f"root can't run it, and there is none of {', '.join(ACCOUNTS)}")


def _identity() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user, group = _account()
    return {"user": user, "group": group, "extra_groups": []}
