"""What threads would do, done at once, for tests without any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from zope.interface import implementer

from mailplat.mail.errors import ShuttingDown
from mailplat.sql import SqliteDatabase
from mailplat.workers import Allowance, Bench, ChildFailed, Children, Crew, Job, Workers

P = ParamSpec("P")
T = TypeVar("T")


def at_once(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
    """Call the function here and now; stands in for `Crew.ask`."""
    return execute(function, *args, **kwargs)


@implementer(IReactorFromThreads)
class ReactorAtOnce:
    """The little that crews ask of a reactor, without one."""

    def callFromThread(  # noqa: N802 - Twisted calls us
        self,
        callable: Callable[..., Any],  # noqa: A002
        *args: object,
        **kwargs: object,
    ) -> None:
        callable(*args, **kwargs)


class CrewAtOnce(Crew):
    """A crew without threads: each job is done before `ask` returns."""

    _bench: Bench | None = None

    def ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        if self._stopping is not None:
            return fail(ShuttingDown(f"{self._name} takes no more work"))
        job = Job(function, args, kwargs, Deferred())
        try:
            self._bench = self._bench or self._make_bench()
            self._bench.serve([job])
            self._bench.rest()
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it
            job.failure = error
        job.tell()
        return job.answer

    def stop(self) -> Deferred[None]:
        self._stopping = []
        if self._bench:
            self._bench.close()
            self._bench = None
        return succeed(None)


class ChildrenAtOnce(Children):
    """A crew without processes: each job is done here, and only its answer is bounded."""

    def ask(
        self, allowance: Allowance, function: Callable[..., bytes], *args: object
    ) -> Deferred[bytes]:
        if self._stopping is not None:
            return fail(ShuttingDown(f"{self._name} take no more work"))
        try:
            answer = function(*args)
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            return fail(ChildFailed(f"{type(error).__name__}: {error}"))
        if not isinstance(answer, bytes) or len(answer) > allowance.answer:
            return fail(ChildFailed("no octets, or too many"))
        return succeed(answer)


def workers_at_once() -> Workers:
    """Return workers that start neither a thread nor a process."""
    reactor: Any = ReactorAtOnce()
    return Workers(reactor, crew=CrewAtOnce, children=ChildrenAtOnce)


def database_at_once(path: Path, **options: Any) -> SqliteDatabase:
    """Return a database (still to be opened) whose every answer is there at once."""
    return SqliteDatabase(path, ReactorAtOnce(), crew=CrewAtOnce, **options)
