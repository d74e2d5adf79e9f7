"""Remembers which hosts had TLS, and tells the operator when one has it no more."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from twisted.logger import Logger

from mailplat.files import Disk
from mailplat.interfaces import WallClock
from mailplat.mail.errors import MailError
from mailplat.mail.hops import Session
from mailplat.workers import Workers

FILE = "tls-hosts.json"  # in the state folder
MOST_HOSTS = 50_000  # that are remembered, those that had TLS last
REMEMBERED = timedelta(days=60)  # after the last time


class Levels:
    """Of each host, when it had TLS last; told once a day of one that has none.

    Nothing is held against such a host: it has said nowhere that it has TLS.  But
    somebody on the way may be taking it away.
    """

    log = Logger()

    def __init__(self, state: Path, disk: Disk, workers: Workers, wall: WallClock) -> None:
        self._file = state / FILE
        self._disk = disk
        self._workers = workers
        self._wall = wall
        self._last: dict[str, date] = {}  # the one that had it last at the end
        self._told: dict[str, date] = {}

    async def prepare(self) -> None:
        """Read what is remembered."""
        last = await self._workers.files.ask(_read, self._file)
        self._last = {**last, **self._last}

    async def finish(self) -> None:
        """Keep what is remembered."""
        octets = json.dumps({host: day.isoformat() for host, day in self._last.items()})
        try:
            await self._workers.files.ask(self._disk.replace, self._file, octets.encode())
        except MailError as problem:
            self.log.warn("{file}: {problem}", file=str(self._file), problem=str(problem))

    def tell(self, session: Session) -> None:
        """Hear how TLS came about with a host."""
        today = datetime.fromtimestamp(self._wall.seconds(), UTC).date()
        host = session.host
        last = self._last.get(host)
        if session.shown is not None:
            if last != today:
                self._last.pop(host, None)
                self._last[host] = today
                if len(self._last) > MOST_HOSTS:
                    del self._last[next(iter(self._last))]
        elif last is not None and today - last > REMEMBERED:
            del self._last[host]
            self._told.pop(host, None)
        elif last is not None and self._told.get(host) != today:
            self._told[host] = today
            self.log.warn(
                "{host} at {remote} has no TLS, and had it on {day}: {failure}",
                host=host,
                remote=session.remote,
                day=last.isoformat(),
                failure=session.failure or "it offers none",
            )


def _read(file: Path) -> dict[str, date]:
    try:
        rows = json.loads(file.read_bytes())
        found = {str(host): date.fromisoformat(day) for host, day in rows.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # nothing depends on it
    return dict(sorted(found.items(), key=lambda pair: pair[1])[-MOST_HOSTS:])
