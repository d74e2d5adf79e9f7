"""Threads: crews that take work from a bounded line, for what frees the interpreter's lock."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.mail.errors import Overloaded, ShuttingDown

GATHERS_FOR = 0.02  # seconds at most that one thread waits until its last group is answered
HANGS_AFTER = 1.0  # seconds that a job runs, beyond which it hangs if nobody waits for it

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
    began: float = 0.0  # when a thread took it
    abandoned: bool = False  # while a thread had it

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
    one call into the reactor.  One that works alone begins its next group when all of
    the last have been answered, so that those who ask again at once share it.  Threads
    start when there is work for them.

    Cancelling an answer takes the job out of the line if no thread has it yet:
    then it never runs.  A job that has begun runs to its end, still holds its
    thread, and its outcome is dropped.  Up to ``spare`` threads are started in the
    place of those so held, and end when these are free again.  That is when the next
    job comes and no sooner: those that wait in line came with what hangs, may hang as
    well, and will soon be given up.  Where all hang, what is asked is refused at once.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorFromThreads,
        name: str,
        *,
        threads: int,
        waiting: int,
        group: int = 1,
        spare: int = 0,
        bench: Callable[[], Bench] = PlainBench,
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._threads = threads
        self._longest = waiting
        self._group = group
        self._spare = spare
        self._make_bench = bench
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._at_work: dict[int, Sequence[Job]] = {}  # by the thread that has them
        self._idle = 0
        self._hands = 0  # threads that take jobs
        self._alive = 0  # threads that have not ended
        self._has_told = False  # that a job hangs
        self._gathers = threads == 1 and group > 1
        self._is_telling = False  # those of a group, who may ask again at once
        self._stopping: list[Deferred[None]] | None = None

    def ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Call the function in a thread; the answer is what it returns or raises.

        Fails with `Overloaded` when the line is full, all threads hang or the machine has
        no room for one, and `ShuttingDown` after `stop`; the function was not called then.
        """
        answer: Deferred[T] = Deferred(self._withdraw)
        with self._changed:
            if self._stopping is not None:
                return fail(ShuttingDown(f"{self._name} takes no more work"))
            if len(self._jobs) >= self._longest:
                return fail(Overloaded(f"{len(self._jobs)} jobs wait for {self._name}"))
            if self._spare and (stuck := self.stuck):
                self._tell_of_stuck()
                if stuck >= self._threads + self._spare:
                    return fail(Overloaded(f"all threads of {self._name} hang"))
            if len(self._jobs) >= self._idle and (problem := self._hire()):
                return fail(Overloaded(f"{self._name} can't be started: {problem}"))
            self._jobs.append(Job(function, args, kwargs, answer))
            if not self._is_telling:
                self._changed.notify()
        return answer

    @property
    def stuck(self) -> int:
        """How many threads hang in what nobody waits for any more."""
        now = time.monotonic()
        return sum(_hangs(jobs, now) for jobs in tuple(self._at_work.values()))

    @property
    def is_over(self) -> bool:
        """Whether no thread is left, and none will be started."""
        return self._stopping is not None and not self._alive

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

    @property
    def _wanted(self) -> int:
        """How many threads there may be now."""
        if not self._spare:
            return self._threads
        held = sum(any(job.abandoned for job in jobs) for jobs in self._at_work.values())
        return self._threads + min(self._spare, held)

    def _hire(self) -> RuntimeError | None:
        """Start a thread if there may be one more; return why there is none at all."""
        if self._hands < self._wanted:
            name = f"{self._name}-{self._alive + 1}"
            try:
                threading.Thread(target=self._work, name=name, daemon=True).start()
            except RuntimeError as error:  # what `threading` says if there can be no more
                return None if self._hands else error
            self._hands += 1
            self._alive += 1
        return None

    def _withdraw(self, answer: Deferred[Any]) -> None:
        with self._changed:
            for job in self._jobs:
                if job.answer is answer:
                    self._jobs.remove(job)
                    return
            for jobs in self._at_work.values():
                for job in jobs:
                    if job.answer is answer:
                        job.abandoned = True
            if self._spare and self.stuck:
                self._tell_of_stuck()

    def _tell_of_stuck(self) -> None:
        """Log that a job hangs, once."""
        if not self._has_told:
            self._has_told = True
            self.log.error(
                "{crew} hangs: its work goes on in a thread though nobody waits for it any "
                "more; `mailplat status` counts such threads, a reload leaves them behind",
                crew=self._name,
            )

    def _work(self) -> None:
        bench: Bench | None = None
        try:
            while jobs := self._take():
                try:
                    bench = bench or self._make_bench()
                    bench.serve(jobs)
                except BaseException as error:  # noqa: BLE001 - whoever asked gets it
                    _fail_all(jobs, error)
                self._is_telling = self._gathers
                self._reactor.callFromThread(self._tell_all, jobs)
                del jobs  # what came of them isn't kept while we wait for more
                if bench:
                    self._pass_over(bench.rest)
        finally:
            if bench:
                self._pass_over(bench.close)
            self._reactor.callFromThread(self._leave)

    def _pass_over(self, step: Callable[[], None]) -> None:
        """Do what nobody waits for; where it fails the thread goes on, or ends as it should."""
        try:
            step()
        except BaseException:  # noqa: BLE001 - else the crew would count a thread that is gone
            self.log.failure("a thread of {crew} could not tidy up", crew=self._name)

    def _take(self) -> Sequence[Job]:
        """Wait for jobs and take a fair share of them; none for a thread that is to end."""
        me = threading.get_ident()
        with self._changed:
            self._at_work.pop(me, None)
            while not self._jobs or self._is_telling or self._hands > self._wanted:
                is_over = self._stopping is not None and not self._jobs
                if is_over or self._hands > self._wanted:
                    self._hands -= 1
                    return ()
                self._idle += 1
                if not self._changed.wait(GATHERS_FOR if self._is_telling else None):
                    self._is_telling = False
                self._idle -= 1
            share = max(1, min(self._group, len(self._jobs) // self._threads))
            jobs = [self._jobs.popleft() for _ in range(share)]
            self._at_work[me] = jobs
            now = time.monotonic()
            for job in jobs:
                job.began = now
            return jobs

    def _tell_all(self, jobs: Sequence[Job]) -> None:
        """Answer jobs, on the reactor; who asks again at once is served with the others."""
        for job in jobs:
            job.tell()
        if self._is_telling:
            with self._changed:
                self._is_telling = False
                self._changed.notify()

    def _leave(self) -> None:
        with self._changed:
            self._alive -= 1
            waiting = self._stopping if self._stopping and not self._alive else []
        for stopped in waiting:
            stopped.callback(None)


def _hangs(jobs: Iterable[Job], now: float) -> bool:
    return any(job.abandoned and now - job.began > HANGS_AFTER for job in jobs)


def _fail_all(jobs: Iterable[Job], error: BaseException) -> None:
    for job in jobs:
        job.failure = error
