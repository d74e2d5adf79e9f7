"""Threads: crews that take work from a bounded line, for what frees the interpreter's lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from mailplat.mail.errors import Overloaded, ShuttingDown

P = ParamSpec("P")
T = TypeVar("T")


@attrs.define(eq=False)
class Job:
    """A function that waits for its turn in a thread, and what came of it."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    answer: Deferred[Any]
    outcome: object = None
    failure: BaseException | None = None

    def tell(self) -> None:
        """Give whoever asked what came of it, unless they have left; on the reactor."""
        failure, self.failure = self.failure, None  # whose traceback holds this job
        if self.answer.called:
            return
        if failure is None:
            self.answer.callback(self.outcome)
        else:
            self.answer.errback(Failure(failure))  # type: ignore[no-untyped-call]


class Bench(Protocol):
    """What one thread of a crew works at; made, used and closed in that thread."""

    def serve(self, jobs: Sequence[Job]) -> None:
        """Do the jobs; set each one's ``outcome`` or ``failure``."""

    def rest(self) -> None:
        """Do what nobody waits for, once the answers are on their way."""

    def close(self) -> None:
        """Let go of everything; the thread ends."""


class PlainBench:
    """Calls each job's function, one after the other."""

    def serve(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            try:
                job.outcome = job.function(*job.args, **job.kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever asked gets it
                job.failure = error

    def rest(self) -> None:
        pass

    def close(self) -> None:
        pass


class Crew:
    """Threads with one bounded line of jobs before them.

    A thread takes up to ``group`` jobs at once and all of them are answered by
    one call into the reactor.  Threads start when there is work for them.

    Cancelling an answer takes the job out of the line if no thread has it yet:
    then it never runs.  A job that has begun runs to its end, still holds its
    thread, and its outcome is dropped.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        name: str,
        *,
        threads: int,
        waiting: int,
        group: int = 1,
        bench: Callable[[], Bench] = PlainBench,
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._threads = threads
        self._longest = waiting
        self._group = group
        self._make_bench = bench
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._idle = 0
        self._alive = 0
        self._stopping: list[Deferred[None]] | None = None

    def ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Call the function in a thread; the answer is what it returns or raises.

        Fails with `Overloaded` when the line is full or the machine has no room for a
        thread, and `ShuttingDown` after `stop`; the function was not called then.
        """
        answer: Deferred[T] = Deferred(self._withdraw)
        with self._changed:
            if self._stopping is not None:
                return fail(ShuttingDown(f"{self._name} takes no more work"))
            if len(self._jobs) >= self._longest:
                return fail(Overloaded(f"{len(self._jobs)} jobs wait for {self._name}"))
            if len(self._jobs) >= self._idle and self._alive < self._threads:
                try:
                    self._hire()
                except RuntimeError as error:  # what `threading` says if there can be no more
                    if not self._alive:
                        return fail(Overloaded(f"{self._name} can't be started: {error}"))
            self._jobs.append(Job(function, args, kwargs, answer))
            self._changed.notify()
        return answer

    def stop(self) -> Deferred[None]:
        """Take no more jobs, finish those that wait, end the threads; fires when they have.

        A function that never returns keeps this from firing; its thread does
        not keep the process from ending.
        """
        with self._changed:
            if self._stopping is None:
                self._stopping = []
            self._changed.notify_all()
            if not self._alive:
                return succeed(None)
            stopped: Deferred[None] = Deferred()
            self._stopping.append(stopped)
        return stopped

    def _hire(self) -> None:
        name = f"{self._name}-{self._alive + 1}"
        threading.Thread(target=self._work, name=name, daemon=True).start()
        self._alive += 1

    def _withdraw(self, answer: Deferred[Any]) -> None:
        with self._changed:
            for job in self._jobs:
                if job.answer is answer:
                    self._jobs.remove(job)
                    return

    def _work(self) -> None:
        bench: Bench | None = None
        try:
            while jobs := self._take():
                try:
                    bench = bench or self._make_bench()
                    bench.serve(jobs)
                except BaseException as error:  # noqa: BLE001 - whoever asked gets it
                    _fail_all(jobs, error)
                self._reactor.callFromThread(_tell_all, jobs)
                del jobs  # what came of them isn't kept while we wait for more
                if bench:
                    bench.rest()
        finally:
            if bench:
                bench.close()
            self._reactor.callFromThread(self._leave)

    def _take(self) -> Sequence[Job]:
        """Wait for jobs and take a fair share of them; none when the crew stops."""
        with self._changed:
            while not self._jobs:
                if self._stopping is not None:
                    return ()
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            share = max(1, min(self._group, len(self._jobs) // self._threads))
            return [self._jobs.popleft() for _ in range(share)]

    def _leave(self) -> None:
        with self._changed:
            self._alive -= 1
            waiting = self._stopping if self._stopping and not self._alive else []
        for stopped in waiting:
            stopped.callback(None)


def _fail_all(jobs: Iterable[Job], error: BaseException) -> None:
    for job in jobs:
        job.failure = error


def _tell_all(jobs: Iterable[Job]) -> None:
    for job in jobs:
        job.tell()
