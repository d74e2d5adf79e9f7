"""Hears what other nodes tell of their commits on one database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import psycopg
from twisted.logger import Logger

from mailplat.sql.bulk import bulk
from mailplat.sql.database import UnusableDatabase
from mailplat.sql.postgres.connection import PostgresConnection
from mailplat.sql.postgres.line import Line

CHANNEL = "mailplat"
TURN = 0.5  # seconds after which it is seen whether somebody wants to stop


def tell(connection: PostgresConnection, node: str, words: Iterable[str]) -> None:
    """Tell the other nodes when what is under way has been committed, and not before."""
    sql = f"SELECT pg_notify('{CHANNEL}', column1) FROM (VALUES {{rows}}) AS told"  # noqa: S608
    bulk(connection, sql, [(f"{node} {word}",) for word in words])


class Listener:
    """Listens until it is told to stop, and gives each word to ``heard``, in this thread.

    When it could not listen for a while, and at first, it gives None: anything may
    have been told.
    """

    log = Logger()

    def __init__(self, line: Line, node: str, heard: Callable[[str | None], None]) -> None:
        self._line = line
        self._node = node
        self._heard = heard
        self._stopping = threading.Event()

    def run(self) -> None:
        """Listen; returns soon after `stop`."""
        while not self._stopping.is_set():
            try:
                self._listen(self._line.open())
            except UnusableDatabase:
                self._stopping.wait(TURN)
            except psycopg.Error as error:
                if not self._line.has_broken(error):
                    self.log.warn("what others tell is not heard: {why}", why=str(error))
                    self._line.close()
                    self._stopping.wait(TURN)
        self._line.close()

    def stop(self) -> None:
        """Let `run` return; from any thread."""
        self._stopping.set()

    def _listen(self, connection: PostgresConnection) -> None:
        connection.run(f"LISTEN {CHANNEL}")
        self._heard(None)
        while not self._stopping.is_set():
            for notice in connection.native.notifies(timeout=TURN):
                node, _, word = notice.payload.partition(" ")
                if node != self._node:
                    self._heard(word)
