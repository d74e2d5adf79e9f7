"""A line to the server that is mended, with patience, when it breaks."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import psycopg

from mailplat.sql.database import UnusableDatabase
from mailplat.sql.postgres.connection import PostgresConnection

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0  # seconds between two attempts to connect


@attrs.define
class Line:
    """One thread's connection, made when it is needed and anew when it was lost.

    Whoever has lost one waits up to ``patience`` seconds from then for the next; after
    that every attempt that fails is an answer, and if ``is_opener`` also the very first.
    """

    connect: Callable[[], PostgresConnection]
    patience: float
    is_opener: bool
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    _connection: PostgresConnection | None = None
    _lost_at: float | None = None

    def open(self) -> PostgresConnection:
        """Return the connection; raises `UnusableDatabase`."""
        pause = FIRST_PAUSE
        while self._connection is None:
            try:
                self._connection = self.connect()
            except UnusableDatabase:
                if self._lost_at is None and not self.is_opener:
                    self._lost_at = self.clock()
                if self._lost_at is None or self.clock() - self._lost_at >= self.patience:
                    raise
                self.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        self._lost_at = None
        return self._connection

    def has_broken(self, error: psycopg.Error) -> bool:
        """Say whether the error means that the connection is no more; then it is let go."""
        if self._connection is not None and self._connection.has_lost(error):
            self._connection.close()
            self._connection = None
            self._lost_at = self.clock()
        return self._connection is None

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
