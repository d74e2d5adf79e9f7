"""Child processes: a crew for long Python work, and for reading what strangers have made.

What a child does stands in `mailplat.child`; it can be killed, and what it takes
of time, memory and answers is bounded for each job.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IDelayedCall,
    IProcessTransport,
    IReactorProcess,
    IReactorTime,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from mailplat import child
from mailplat.mail.errors import OutOfTime, Overloaded, ShuttingDown
from mailplat.mail.limits import MIB

IDLE = 60.0  # seconds after which a child without work is ended
STARTS_WITHIN = 60.0  # seconds
JOBS = 256  # that a child does before another takes its place
LAST_WORDS = 256  # octets of what a child printed last
PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from mailplat.child import main; main()"
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


class ChildFailed(Exception):
    """A child process could not do its job; the text says why."""


@attrs.frozen
class Allowance:
    """What one job in a child process may use; what takes more is killed."""

    seconds: float = 10.0  # of time, and as many of a core
    memory: int = 512 * MIB  # octets of address space, or of a file
    answer: int = MIB  # octets


@attrs.define(eq=False)
class Errand:
    """A job that waits for a child process or is being done by one."""

    request: bytes
    allowance: Allowance
    answer: Deferred[bytes]

    def fail(self, why: Exception) -> None:
        """Tell whoever asked, unless they have left."""
        if not self.answer.called:
            self.answer.errback(Failure(why))  # type: ignore[no-untyped-call]


class IReactorOfChildren(IReactorProcess, IReactorTime):
    """What child processes ask of the reactor."""


class Child(ProcessProtocol):
    """One child process, and the errand that it is on."""

    transport: IProcessTransport

    def __init__(self, clock: IReactorTime, crew: Children) -> None:
        self._clock = clock
        self._crew = crew
        self._held = b""
        self._last_words = b""
        self._is_ready = False
        self._jobs_left = JOBS
        self._deadline: IDelayedCall | None = None
        self.errand: Errand | None = None

    def take(self, errand: Errand) -> None:
        """Go on an errand; only one at a time."""
        self.errand = errand
        if self._is_ready:
            self._begin(errand)
        else:
            self._wait(STARTS_WITHIN, ChildFailed("it did not start"))

    def _begin(self, errand: Errand) -> None:
        self._wait(errand.allowance.seconds, OutOfTime(f"over {errand.allowance.seconds:g} s"))
        head = child.REQUEST.pack(len(errand.request))
        self.transport.writeToChild(0, head + errand.request)

    def _wait(self, seconds: float, why: Exception) -> None:
        """End it with its errand after so long."""
        self._wait_no_longer()
        self._deadline = self._clock.callLater(seconds, self.kill, why)

    def _wait_no_longer(self) -> None:
        if self._deadline and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def outReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted calls us
        self._held += data
        if len(self._held) < child.ANSWER.size:
            return
        status, length = child.ANSWER.unpack_from(self._held)
        most = self.errand.allowance.answer if self.errand else 0
        if length > max(most, child.LONGEST_FAILURE) or status > child.FAILED | child.LAST:
            self.kill(ChildFailed("what it wrote is no answer"))
        elif len(self._held) >= child.ANSWER.size + length:
            octets = self._held[child.ANSWER.size :]
            self._held = b""
            self._finish(status, octets, len(octets) == length)

    def _finish(self, status: int, octets: bytes, is_all: bool) -> None:
        """Take an answer, the first of which says that the child is ready."""
        errand, self.errand = self.errand, None
        self._wait_no_longer()
        if not is_all or errand is None:
            self.errand = errand
            self.kill(ChildFailed("it wrote more than its answer"))
        elif not self._is_ready:
            self._is_ready = True
            self.errand = errand
            self._begin(errand)
        else:
            self._jobs_left -= 1
            if self._jobs_left and not status & child.LAST:
                self._wait(IDLE, ChildFailed("idle"))
                self._crew.rest(self)
            else:
                self.kill(ChildFailed("done"))
            if status & child.FAILED:
                errand.fail(ChildFailed(octets.decode("utf-8", "replace")))
            elif not errand.answer.called:
                errand.answer.callback(octets)

    def errReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted calls us
        self._last_words = (self._last_words + data)[-LAST_WORDS:]

    def childConnectionLost(self, childFD: int) -> None:  # noqa: N802, N803 - Twisted calls us
        self._crew.lose(self)  # it is about to end

    def kill(self, why: Exception) -> None:
        """End the process and those that it has started; its errand fails."""
        self._crew.lose(self)
        self._wait_no_longer()
        pid = self.transport.pid
        if pid is not None:
            for send in (os.killpg, os.kill):  # it may have no group yet
                try:
                    send(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self._give_up(why)

    def _give_up(self, why: Exception) -> None:
        errand, self.errand = self.errand, None
        if errand:
            errand.fail(why)

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 - Twisted calls us
        self._wait_no_longer()
        words = self._last_words.decode("utf-8", "replace").strip()
        said = f", having said {words!r}" if words else ""
        self._crew.lose(self, has_ended=True)
        self._give_up(ChildFailed(f"{_end_of(reason)}{said}"))


def _end_of(reason: Failure) -> str:
    number = getattr(reason.value, "signal", None)
    if number is not None:
        return f"it was ended by {signal.Signals(number).name}"
    return f"it ended with status {getattr(reason.value, 'exitCode', None)}"


class Children:
    """Child processes with one bounded line of errands before them.

    A process starts when there is work for it, does many jobs, and is ended when
    it has been idle, has grown old, or takes more than a job is allowed; another
    takes its place.  Cancelling an answer takes the errand out of the line, or
    ends the process that is on it.
    """

    def __init__(
        self, reactor: IReactorOfChildren, name: str, *, most: int, waiting: int
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._most = most
        self._longest = waiting
        self._line: deque[Errand] = deque()
        self._children: set[Child] = set()
        self._idle: list[Child] = []
        self._stopping: list[Deferred[None]] | None = None

    def ask(
        self, allowance: Allowance, function: Callable[..., bytes], *args: object
    ) -> Deferred[bytes]:
        """Call a function in a child process; the answer is the octets that it returns.

        Function and arguments are pickled, so the function must stand at the top of
        a module.  Fails with `Overloaded` when the line is full or the machine has no
        room for a process, `ShuttingDown` after `stop`, `OutOfTime`, and `ChildFailed`
        for whatever else goes wrong there.
        """
        if self._stopping is not None:
            return fail(ShuttingDown(f"{self._name} take no more work"))
        if len(self._line) >= self._longest:
            return fail(Overloaded(f"{len(self._line)} errands wait for {self._name}"))
        job: child.Job = (*attrs.astuple(allowance), function, args)
        answer: Deferred[bytes] = Deferred(self._withdraw)
        self._line.append(Errand(pickle.dumps(job), allowance, answer))
        self._assign()
        return answer

    def stop(self) -> Deferred[None]:
        """Take no more, give up what waits, end all processes; fires when they have ended."""
        if self._stopping is None:
            self._stopping = []
        why = ShuttingDown(f"{self._name} are ended")
        self._give_up_all(why)
        for one in list(self._children):
            one.kill(why)
        if not self._children:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        return stopped

    def rest(self, one: Child) -> None:
        """Give a child its next errand, or let it be idle."""
        self._idle.append(one)
        self._assign()

    def lose(self, one: Child, has_ended: bool = False) -> None:
        """Give a child no more errands; once it has ended another may take its place."""
        if one in self._idle:
            self._idle.remove(one)
        if not has_ended:
            return
        self._children.discard(one)
        self._assign()
        if self._stopping and not self._children:
            waiting, self._stopping = self._stopping, []
            for stopped in waiting:
                stopped.callback(None)

    def _assign(self) -> None:
        while self._line and (self._idle or len(self._children) < self._most):
            try:
                one = self._idle.pop() if self._idle else self._start()
            except OSError as error:  # no process, or no file descriptor, can be had now
                if not self._children:
                    self._give_up_all(Overloaded(f"{self._name} can't be started: {error}"))
                return  # those that are there will take what waits
            one.take(self._line.popleft())

    def _give_up_all(self, why: Exception) -> None:
        waiting, self._line = self._line, deque()
        for errand in waiting:
            errand.fail(why)

    def _start(self) -> Child:
        """Return a new child; raises `OSError`, and then there is none."""
        one = Child(self._reactor, self)
        folders = [os.path.abspath(folder) for folder in sys.path if folder]  # noqa: PTH100
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        command = [sys.executable, "-I", "-c", PROGRAM, *folders]
        self._reactor.spawnProcess(one, sys.executable, command, environment)
        self._children.add(one)
        return one

    def _withdraw(self, answer: Deferred[bytes]) -> None:
        for errand in self._line:
            if errand.answer is answer:
                self._line.remove(errand)
                return
        for one in self._children:
            if one.errand and one.errand.answer is answer:
                one.errand = None
                one.kill(ChildFailed("withdrawn"))
                return
