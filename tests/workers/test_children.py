"""Child processes: whatever a job does there, whoever asked hears of it, nobody else."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from mailplat.mail.errors import OutOfTime, Overloaded, ShuttingDown
from mailplat.mail.limits import MIB
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import workers_at_once
from mailplat.workers import Allowance, ChildFailed, Children
from mailplat.workers import children as module

JOBS = '''
"""Jobs that behave in every way."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time


def echo(octets):
    return octets


def who():
    return str(os.getpid()).encode()


def spin():
    while True:
        pass


def sleep():
    time.sleep(1000)


def eat():
    return b"x" * (1 << 40)


def eat_slowly():
    held = []
    while True:
        held.append(bytearray(1 << 20))


def crash():
    ctypes.string_at(0)


def leave():
    sys.exit(3)


def vanish():
    os._exit(7)


def nothing():
    return None


def refuse():
    raise ValueError("no \\ud800 such luck")


def chatter():
    print("x" * 100000)
    sys.stderr.write("y" * 100000)
    return sys.stdin.read().encode() + b"done"


def forge():
    """Write into the parent's pipe, wherever it is."""
    for number in range(3, 64):
        try:
            os.write(number, b"\\xff" * 5)
        except OSError:
            pass
    time.sleep(1000)


def linger():
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    return b"threads"


def start(file):
    other = subprocess.Popen(["sleep", "1000"])
    with open(file, "w") as written:
        written.write(f"{other.pid}\\n")
    time.sleep(1000)


def environment():
    return " ".join(os.environ).encode()
'''

FEW = Allowance(seconds=30, memory=256 * MIB, answer=1000)


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "jobs_of_children.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    import jobs_of_children  # type: ignore[import-not-found]

    yield jobs_of_children
    del sys.modules["jobs_of_children"]


@async_yield_fixture
async def crew(reactor: Any) -> AsyncIterator[Children]:
    crew = Children(reactor, "children", most=1, waiting=8)
    yield crew
    await crew.stop()


async def pid_of(crew: Children, jobs: Any) -> int:
    return int(await crew.ask(FEW, jobs.who))


def is_there(pid: int) -> bool:
    """Say whether a process runs; one that nobody has waited for doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until_gone(reactor: IReactorTime, pid: int) -> None:
    for _ in range(1000):
        if not is_there(pid):
            return
        await deferLater(reactor, 0.01)
    raise TimeoutError(f"{pid} is still there")


async def test_what_a_function_returns_or_raises_comes_back(crew: Children, jobs: Any) -> None:
    assert await crew.ask(FEW, jobs.echo, b"x" * 1000) == b"x" * 1000
    with pytest.raises(ChildFailed, match="ValueError: no"):
        await crew.ask(FEW, jobs.refuse)
    with pytest.raises(ChildFailed, match="NoneType in place of octets"):
        await crew.ask(FEW, jobs.nothing)
    with pytest.raises(ChildFailed, match="an answer of 1001 octets, 1000 are allowed"):
        await crew.ask(FEW, jobs.echo, b"x" * 1001)
    large = Allowance(answer=8 * MIB)
    assert await crew.ask(large, jobs.echo, b"x" * (8 * MIB)) == b"x" * (8 * MIB)


async def test_one_process_does_many_jobs(crew: Children, jobs: Any) -> None:
    first = await pid_of(crew, jobs)
    assert first != os.getpid()
    with pytest.raises(ChildFailed):
        await crew.ask(FEW, jobs.refuse)
    assert await pid_of(crew, jobs) == first


async def test_it_grows_old(
    crew: Children, jobs: Any, monkeypatch: pytest.MonkeyPatch, reactor: Any
) -> None:
    monkeypatch.setattr(module, "JOBS", 2)
    first, second, third = [await pid_of(crew, jobs) for _ in range(3)]
    assert first == second != third
    await until_gone(reactor, first)


async def test_it_is_ended_when_idle(
    crew: Children, jobs: Any, monkeypatch: pytest.MonkeyPatch, reactor: Any
) -> None:
    monkeypatch.setattr(module, "IDLE", 0.01)
    pid = await pid_of(crew, jobs)
    await until_gone(reactor, pid)
    assert await pid_of(crew, jobs) != pid


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("crash", "it was ended by SIGSEGV"),
        ("vanish", "it ended with status 7"),
        ("leave", "SystemExit: 3"),
        ("eat", "MemoryError"),
        ("eat_slowly", "MemoryError"),
        ("forge", "what it wrote is no answer"),
    ],
)
async def test_another_takes_the_place_of_one_that_fails(
    crew: Children, jobs: Any, job: str, said: str
) -> None:
    pid = await pid_of(crew, jobs)
    with pytest.raises(ChildFailed, match=said):
        await crew.ask(FEW, getattr(jobs, job))
    assert await pid_of(crew, jobs) != pid


@pytest.mark.parametrize("job", ["spin", "sleep"])
async def test_one_that_takes_too_long_is_killed(
    crew: Children, jobs: Any, job: str, reactor: Any
) -> None:
    pid = await pid_of(crew, jobs)
    with pytest.raises(OutOfTime, match=r"over 0\.1 s"):
        await crew.ask(Allowance(seconds=0.1), getattr(jobs, job))
    assert await pid_of(crew, jobs) != pid
    await until_gone(reactor, pid)


async def test_what_is_printed_is_no_answer(crew: Children, jobs: Any) -> None:
    assert await crew.ask(FEW, jobs.chatter) == b"done"


async def test_threads_that_stay_end_with_their_process(crew: Children, jobs: Any) -> None:
    pid = await pid_of(crew, jobs)
    assert await crew.ask(FEW, jobs.linger) == b"threads"
    assert await pid_of(crew, jobs) != pid


async def test_what_a_child_starts_ends_with_it(
    crew: Children, jobs: Any, tmp_path: Path, reactor: Any
) -> None:
    file = tmp_path / "pid"
    file.touch()
    answer = crew.ask(FEW, jobs.start, str(file))
    while not file.read_text().endswith("\n"):
        await deferLater(reactor, 0.01)
    pid = int(file.read_text())
    assert is_there(pid)
    answer.cancel()
    with pytest.raises(CancelledError):
        await answer
    await until_gone(reactor, pid)


async def test_secrets_of_the_environment_stay_here(
    crew: Children, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILPLAT_SECRET", "x")
    assert b"MAILPLAT" not in await crew.ask(FEW, jobs.environment)


async def test_a_full_line_refuses_at_once(reactor: Any, jobs: Any) -> None:
    crew = Children(reactor, "children", most=1, waiting=1)
    held, waits = crew.ask(FEW, jobs.echo, b"1"), crew.ask(FEW, jobs.echo, b"2")
    with pytest.raises(Overloaded):
        await crew.ask(FEW, jobs.echo, b"3")
    assert await gatherResults([held, waits]) == [b"1", b"2"]
    await crew.stop()


async def test_several_work_beside_each_other(reactor: Any, jobs: Any) -> None:
    crew = Children(reactor, "children", most=2, waiting=8)
    pids = await gatherResults([crew.ask(FEW, jobs.who) for _ in range(2)])
    assert len(set(pids)) == 2
    await crew.stop()


async def test_a_cancelled_job_is_taken_back_or_killed(
    crew: Children, jobs: Any, reactor: Any
) -> None:
    pid = await pid_of(crew, jobs)
    runs, waits = crew.ask(FEW, jobs.sleep), crew.ask(FEW, jobs.echo, b"x")
    cancelled = crew.ask(FEW, jobs.echo, b"y")
    for answer in (cancelled, runs):
        answer.cancel()
        with pytest.raises(CancelledError):
            await answer
    assert await waits == b"x"
    await until_gone(reactor, pid)


async def test_stop_ends_everything(reactor: Any, jobs: Any) -> None:
    crew = Children(reactor, "children", most=1, waiting=8)
    pid = await pid_of(crew, jobs)
    answers: list[Deferred[bytes]] = [crew.ask(FEW, jobs.sleep), crew.ask(FEW, jobs.sleep)]
    await crew.stop()
    assert not is_there(pid)
    for answer in answers:
        with pytest.raises(ShuttingDown):
            await answer
    with pytest.raises(ShuttingDown):
        await crew.ask(FEW, jobs.who)
    await crew.stop()


async def test_an_idle_child_may_die(crew: Children, jobs: Any, reactor: Any) -> None:
    """At worst the job that comes in the same moment fails; the next has another child."""
    pid = await pid_of(crew, jobs)
    os.kill(pid, signal.SIGKILL)
    await until_gone(reactor, pid)
    with contextlib.suppress(ChildFailed):
        assert await pid_of(crew, jobs) != pid
    assert await pid_of(crew, jobs) != pid


async def test_one_that_does_not_start_fails_its_job_only(
    crew: Children, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(module, "PROGRAM", "import nothing_of_that_name")
        with pytest.raises(ChildFailed, match=r"ended with status 1, having said .*No module"):
            await crew.ask(FEW, jobs.who)
    assert await pid_of(crew, jobs)


class Full:
    """A reactor of a machine that has no room for another process, so often."""

    def __init__(self, reactor: Any, times: int) -> None:
        self._reactor = reactor
        self.times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def spawnProcess(self, *args: Any) -> Any:
        if self.times:
            self.times -= 1
            raise OSError(errno.EAGAIN, "no process can be had")
        return self._reactor.spawnProcess(*args)


async def test_where_no_process_can_be_had_the_job_fails_and_the_next_may_not(
    reactor: Any, jobs: Any
) -> None:
    full: Any = Full(reactor, 1)
    crew = Children(full, "children", most=1, waiting=8)
    with pytest.raises(Overloaded, match="no process can be had"):
        await crew.ask(FEW, jobs.who)
    assert await pid_of(crew, jobs)
    await crew.stop()
    full.times = 1
    never = Children(full, "children", most=1, waiting=8)
    with pytest.raises(Overloaded):
        await never.ask(FEW, jobs.who)
    await never.stop()


async def test_where_no_more_processes_can_be_had_those_there_do_it(
    reactor: Any, jobs: Any
) -> None:
    full: Any = Full(reactor, 0)
    crew = Children(full, "children", most=2, waiting=8)
    first = crew.ask(FEW, jobs.who)
    full.times = 1
    assert await gatherResults([crew.ask(FEW, jobs.who), first]) == [await first] * 2
    await crew.stop()


async def test_children_without_processes_do_the_same() -> None:
    workers = workers_at_once()
    assert await workers.children.ask(FEW, bytes, b"x") == b"x"
    for function, argument in ((int, "x"), (int, "5"), (bytes, b"x" * 1001)):
        with pytest.raises(ChildFailed):
            await workers.children.ask(FEW, function, argument)  # type: ignore[arg-type]
    await workers.stop()
    with pytest.raises(ShuttingDown):
        await workers.children.ask(FEW, bytes, b"x")
