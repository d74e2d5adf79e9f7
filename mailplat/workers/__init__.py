"""The only place that starts a thread or a child process: crews with a bounded line of work.

Threads are for work that releases the interpreter's lock: files, databases,
hashes.  Child processes are for long Python work and for reading what strangers
have made.  Whoever asks waits on the reactor and never blocks it.
"""

from __future__ import annotations

import os
import queue
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from mailplat.workers.children import Allowance, ChildFailed, Children, IReactorOfChildren
from mailplat.workers.rounds import Rounds
from mailplat.workers.threads import Bench, Crew, Job, PlainBench

__all__ = [
    "Allowance",
    "Bench",
    "ChildFailed",
    "Children",
    "Crew",
    "IReactorOfWorkers",
    "Job",
    "PlainBench",
    "Rounds",
    "Workers",
]

OF_AN_INSTANCE = 4  # threads in which one plugin works at once
REPLACED = 12  # threads that take the place of those in which it hangs
IN_LINE = 64  # jobs of one plugin that wait

P = ParamSpec("P")
T = TypeVar("T")


class IReactorOfWorkers(IReactorFromThreads, IReactorOfChildren):
    """What all crews together ask of the reactor."""


class Workers:
    """The house's crews, each bounded, so that an overload is an answer and not a stall.

    ``files`` is for our own work on files, ``syncs`` for what waits until they are
    durable (many threads, since the disk makes many so at once), ``hashes`` for what
    costs a core for long (as many threads as cores), ``children`` for long Python
    work in child processes, `run` for everything else.  Each filter and policy has a
    small crew of its own (`run_for`): what hangs there takes nothing from the others.
    """

    def __init__(
        self,
        reactor: IReactorOfWorkers,
        *,
        crew: type[Crew] = Crew,
        children: type[Children] = Children,
    ) -> None:
        cores = os.cpu_count() or 1
        self._reactor = reactor
        self.children = children(reactor, "children", most=min(cores, 4), waiting=256)
        self.files = crew(reactor, "files", threads=16, waiting=1024)
        self.syncs = crew(reactor, "syncs", threads=32, waiting=1024)
        self.hashes = crew(reactor, "hashes", threads=cores, waiting=64)
        self._others = crew(reactor, "workers", threads=16, waiting=256, spare=16)
        self._make_crew = crew
        self._crews: dict[str, Crew] = {}  # by instance
        self._left: list[tuple[str, Crew]] = []  # those that a reload has ended

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that may block; see `Crew.ask` for errors and cancellation."""
        return await self._others.ask(function, *args, **kwargs)

    async def run_for(
        self, instance: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a function of this instance's that may block, in its own crew."""
        if not (crew := self._crews.get(instance)):
            crew = self._crews[instance] = self._make_crew(
                self._reactor,
                instance,
                threads=OF_AN_INSTANCE,
                waiting=IN_LINE,
                spare=REPLACED,
            )
        return await crew.ask(function, *args, **kwargs)

    def renew(self) -> None:
        """Give each instance a new crew; the threads of the old ones are left to end."""
        for crew in self._crews.values():
            crew.stop()
        self._left = [*self._left, *self._crews.items()]
        self._crews = {}

    @property
    def stuck(self) -> Mapping[str, int]:
        """How many threads hang, by the instance that keeps them."""
        self._left = [(name, crew) for name, crew in self._left if not crew.is_over]
        counts: Counter[str] = Counter()
        for name, crew in (("", self._others), *self._crews.items(), *self._left):
            counts[name] += crew.stuck
        return +counts

    def wait(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Have the reactor do something, and wait for it; called in a thread of `run`.

        The thread is held meanwhile; what the reactor asks of ``files`` isn't
        kept up by that.
        """
        outcome: queue.SimpleQueue[T | Failure] = queue.SimpleQueue()

        def begin() -> None:
            Deferred.fromCoroutine(work()).addBoth(outcome.put)

        self._reactor.callFromThread(begin)
        found = outcome.get()
        if isinstance(found, Failure):
            found.raiseException()
        return found

    async def stop(self) -> None:
        """Take no more, finish our own work and end its threads.

        What still runs by `run` isn't waited for: nobody waits for its answer
        any more, and a plugin that hangs can't keep the house from closing.
        """
        self._others.stop()
        self.renew()
        await self.children.stop()
        await self.hashes.stop()
        await self.syncs.stop()
        await self.files.stop()
