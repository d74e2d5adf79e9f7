"""A database whose units are run by two crews of threads: those who write and those who read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from twisted.internet.defer import Deferred

from mailplat.sql.database import Connection, Database
from mailplat.sql.units import Together
from mailplat.workers import Crew

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")


class CrewedDatabase(Database):
    """What databases of every kind have in common; each makes its own crews."""

    _writer: Crew
    _readers: Crew

    async def open(self) -> None:
        await self.write(_begin)

    def write(
        self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        ask: Callable[..., Deferred[Any]] = self._writer.ask
        return ask(unit, *args, **kwargs)

    def write_each(
        self, unit: Callable[[Connection, Sequence[A]], Sequence[T]], item: A
    ) -> Deferred[T]:
        ask: Callable[..., Deferred[Any]] = self._writer.ask
        return ask(Together(unit), item)

    def read(
        self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        ask: Callable[..., Deferred[Any]] = self._readers.ask
        return ask(unit, *args, **kwargs)

    async def close(self) -> None:
        await self._readers.stop()
        await self._writer.stop()


def _begin(_db: Connection) -> None:
    """Do nothing: the first unit opens the database."""
