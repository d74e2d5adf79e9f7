"""Crews: bounded lines of jobs before a few threads."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence

import pytest
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs

from mailplat.mail.errors import NoSuchAddress, Overloaded, ShuttingDown
from mailplat.testing.workers import workers_at_once
from mailplat.workers import (
    OF_AN_INSTANCE,
    REPLACED,
    Crew,
    IReactorOfWorkers,
    Job,
    PlainBench,
    Workers,
    threads,
)


def refuse() -> None:
    raise NoSuchAddress("nobody")


class Gate:
    """Keeps a crew's thread busy until it is opened."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._opened = threading.Event()

    def hold(self) -> str:
        self._entered.set()
        self._opened.wait()
        return "through"

    def wait_until_entered(self) -> None:
        assert self._entered.wait(10)

    def open(self) -> None:
        self._opened.set()


async def test_what_a_function_returns_or_raises_comes_back(
    reactor: IReactorFromThreads,
) -> None:
    workers = Workers(reactor)
    assert await workers.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(NoSuchAddress):
        await workers.run(refuse)
    assert await workers.run(threading.get_ident) != threading.get_ident()
    await workers.stop()


async def test_a_full_line_refuses_at_once(reactor: IReactorFromThreads) -> None:
    crew, gate = Crew(reactor, "crew", threads=1, waiting=1), Gate()
    held = crew.ask(gate.hold)
    gate.wait_until_entered()
    waits = crew.ask(divmod, 7, 2)
    with pytest.raises(Overloaded):
        await crew.ask(divmod, 7, 2)
    gate.open()
    assert await held == "through"
    assert await waits == (3, 1)
    await crew.stop()


async def test_where_no_thread_can_be_had_the_job_fails_and_the_next_may_not(
    reactor: IReactorFromThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew, gate = Crew(reactor, "crew", threads=2, waiting=10), Gate()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with pytest.raises(Overloaded, match="can't start new thread"):
            await crew.ask(divmod, 7, 2)
    held = crew.ask(gate.hold)
    gate.wait_until_entered()
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        waits = crew.ask(divmod, 7, 2)
    gate.open()
    assert await gatherResults([held, waits]) == ["through", (3, 1)]
    await crew.stop()


async def test_a_cancelled_job_that_waits_never_runs(reactor: IReactorFromThreads) -> None:
    crew, gate = Crew(reactor, "crew", threads=1, waiting=10), Gate()
    calls: list[int] = []
    held = crew.ask(gate.hold)
    gate.wait_until_entered()
    waits = crew.ask(calls.append, 1)
    waits.cancel()
    with pytest.raises(CancelledError):
        await waits
    gate.open()
    await held
    await crew.ask(calls.append, 2)
    assert calls == [2]
    await crew.stop()


async def test_a_cancelled_job_that_runs_comes_to_its_end(
    reactor: IReactorFromThreads,
) -> None:
    crew, gate = Crew(reactor, "crew", threads=1, waiting=10), Gate()
    held = crew.ask(gate.hold)
    gate.wait_until_entered()
    held.cancel()
    with pytest.raises(CancelledError):
        await held
    gate.open()
    assert await crew.ask(divmod, 7, 2) == (3, 1)
    await crew.stop()


async def test_a_cancelled_job_keeps_no_answer_from_its_group(
    reactor: IReactorFromThreads,
) -> None:
    """Those who asked together are answered together, and one of them may have left."""
    crew, gate = Crew(reactor, "crew", threads=1, waiting=10, group=10), Gate()
    held, last = crew.ask(gate.hold), Gate()
    gate.wait_until_entered()
    group = [crew.ask(last.hold), crew.ask(divmod, 7, 2), crew.ask(refuse)]
    gate.open()
    last.wait_until_entered()
    group[0].cancel()
    with pytest.raises(CancelledError):
        await group[0]
    last.open()
    assert await held == "through"
    assert await group[1] == (3, 1)
    with pytest.raises(NoSuchAddress):
        await group[2]
    await crew.stop()


async def test_jobs_spread_over_as_many_threads_as_are_needed(
    reactor: IReactorFromThreads,
) -> None:
    """Three wait for each other, so one thread alone would never finish."""
    crew = Crew(reactor, "crew", threads=3, waiting=10)
    meeting = threading.Barrier(3, timeout=10)
    await gatherResults([crew.ask(meeting.wait) for _ in range(3)])
    await gatherResults([crew.ask(meeting.wait) for _ in range(3)])
    await crew.stop()


async def test_what_waits_together_is_served_together(reactor: IReactorFromThreads) -> None:
    groups: list[int] = []

    class Counting(PlainBench):
        def serve(self, jobs: Sequence[Job]) -> None:
            groups.append(len(jobs))
            super().serve(jobs)

    crew = Crew(reactor, "crew", threads=1, waiting=100, group=4, bench=Counting)
    gate = Gate()
    answers: list[Deferred[object]] = [crew.ask(gate.hold)]
    gate.wait_until_entered()
    answers += [crew.ask(divmod, 7, 2) for _ in range(6)]
    gate.open()
    await gatherResults(answers)
    assert groups == [1, 4, 2]
    await crew.stop()


async def test_who_asks_again_at_once_is_served_together(
    reactor: IReactorFromThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "GATHERS_FOR", 60.0)
    groups: list[int] = []

    class Counting(PlainBench):
        def serve(self, jobs: Sequence[Job]) -> None:
            groups.append(len(jobs))
            super().serve(jobs)

    crew = Crew(reactor, "crew", threads=1, waiting=100, group=50, bench=Counting)

    async def caller(number: int) -> None:
        for _ in range(10):
            assert await crew.ask(divmod, 70 + number, 1000) == (0, 70 + number)

    await gatherResults([Deferred.fromCoroutine(caller(number)) for number in range(20)])
    assert sum(groups) == 200
    assert len(groups) <= 11  # the first may take some only
    await crew.stop()


async def test_who_blocks_in_an_answer_waits_for_nobody(reactor: IReactorFromThreads) -> None:
    crew, gate = Crew(reactor, "crew", threads=1, waiting=10, group=10), Gate()
    await crew.ask(divmod, 7, 2)
    held = crew.ask(gate.hold)  # in the answer to the first
    gate.wait_until_entered()
    gate.open()
    assert await held == "through"
    await crew.stop()


async def test_a_bench_that_cannot_be_made_fails_its_jobs_only(
    reactor: IReactorFromThreads,
) -> None:
    benches: list[type[PlainBench]] = [PlainBench]

    def make() -> PlainBench:
        if len(benches) == 1:
            benches.append(PlainBench)
            raise NoSuchAddress("no bench")
        return PlainBench()

    crew = Crew(reactor, "crew", threads=1, waiting=10, bench=make)
    with pytest.raises(NoSuchAddress):
        await crew.ask(divmod, 7, 2)
    assert await crew.ask(divmod, 7, 2) == (3, 1)
    await crew.stop()


async def test_a_bench_that_fails_when_nobody_waits_keeps_its_thread(
    reactor: IReactorFromThreads,
) -> None:
    class Restless(PlainBench):
        def rest(self) -> None:
            raise OSError("no rest")

        def close(self) -> None:
            raise OSError("nothing lets go")

    crew = Crew(reactor, "crew", threads=1, waiting=10, bench=Restless)
    with capturedLogs() as events:
        for number in range(3):
            assert await crew.ask(divmod, number, 2) == divmod(number, 2)
        await crew.stop()
    assert crew.is_over
    told = [str(event["log_failure"].value) for event in events]
    assert told == ["no rest"] * 3 + ["nothing lets go"]


async def test_stop_finishes_what_waits_and_takes_nothing_more(
    reactor: IReactorFromThreads,
) -> None:
    crew, gate = Crew(reactor, "crew", threads=1, waiting=10), Gate()
    held, waits = crew.ask(gate.hold), crew.ask(divmod, 7, 2)
    gate.wait_until_entered()
    stopped = crew.stop()
    with pytest.raises(ShuttingDown):
        await crew.ask(divmod, 7, 2)
    assert not stopped.called
    gate.open()
    await stopped
    assert held.called
    assert await waits == (3, 1)
    await crew.stop()


async def test_what_hangs_in_a_plugin_keeps_nobody_from_closing(
    reactor: IReactorFromThreads,
) -> None:
    workers, gate = Workers(reactor), Gate()
    held = Deferred.fromCoroutine(workers.run(gate.hold))
    gate.wait_until_entered()
    await workers.stop()
    assert not held.called
    gate.open()
    assert await held == "through"


async def test_what_came_of_a_job_is_not_kept(reactor: IReactorFromThreads) -> None:
    class Answer:
        pass

    crew = Crew(reactor, "crew", threads=1, waiting=10)
    answer = weakref.ref(await crew.ask(Answer))
    await crew.ask(divmod, 7, 2)
    assert answer() is None
    await crew.stop()


async def test_workers_without_threads_do_the_same() -> None:
    workers = workers_at_once()
    assert await workers.run(threading.get_ident) == threading.get_ident()
    with pytest.raises(NoSuchAddress):
        await workers.files.ask(refuse)
    await workers.stop()
    with pytest.raises(ShuttingDown):
        await workers.run(refuse)


async def test_a_thread_may_wait_for_the_reactor(reactor: IReactorFromThreads) -> None:
    workers = Workers(reactor)

    async def ask_in_a_file() -> tuple[int, int]:
        assert threading.current_thread() is threading.main_thread()
        return await workers.files.ask(divmod, 7, 2)

    async def ask_in_vain() -> None:
        await workers.files.ask(refuse)

    assert await workers.run(workers.wait, ask_in_a_file) == (3, 1)
    with pytest.raises(NoSuchAddress):
        await workers.run(workers.wait, ask_in_vain)
    assert await workers_at_once().run(workers_at_once().wait, _seven) == 7
    await workers.stop()


async def _seven() -> int:
    return 7


# What hangs.


async def test_threads_that_hang_are_replaced_up_to_a_bound(
    reactor: IReactorFromThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "HANGS_AFTER", 0.0)
    crew, gates = Crew(reactor, "crew", threads=1, waiting=10, spare=1), [Gate(), Gate()]
    with capturedLogs() as events:
        for gate in gates:
            assert await crew.ask(divmod, 7, 2) == (3, 1)
            given_up = crew.ask(gate.hold)
            gate.wait_until_entered()
            given_up.addErrback(lambda failure: failure.trap(CancelledError))
            given_up.cancel()
        assert crew.stuck == 2
        with pytest.raises(Overloaded, match="hang"):
            await crew.ask(divmod, 7, 2)
    assert [event["crew"] for event in events if event["log_level"] is LogLevel.error] == [
        "crew"
    ]
    for gate in gates:
        gate.open()
    while crew.stuck:
        await deferLater(reactor, 0)
    assert await crew.ask(divmod, 7, 2) == (3, 1)
    await crew.stop()
    assert crew.is_over


async def test_the_next_job_brings_the_thread_that_replaces_another(
    reactor: IReactorFromThreads,
) -> None:
    crew, gate = Crew(reactor, "crew", threads=1, waiting=10, spare=1), Gate()
    held = crew.ask(gate.hold).addErrback(lambda failure: failure.trap(CancelledError))
    gate.wait_until_entered()
    waits = crew.ask(divmod, 7, 2)
    held.cancel()
    assert await crew.ask(divmod, 8, 2) == (4, 0)
    assert await waits == (3, 1)
    gate.open()
    await crew.stop()


async def test_a_plugin_that_hangs_takes_nothing_from_the_others(
    reactor: IReactorOfWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "HANGS_AFTER", 0.0)
    workers, opened, entered = Workers(reactor), threading.Event(), list[int]()
    most = OF_AN_INSTANCE + REPLACED

    def hang(number: int) -> None:
        entered.append(number)
        opened.wait()

    for number in range(most):
        job = Deferred.fromCoroutine(workers.run_for("scanner", hang, number))
        job.addErrback(lambda failure: failure.trap(CancelledError))
        while len(entered) <= number:
            await deferLater(reactor, 0)
        job.cancel()
    with pytest.raises(Overloaded):
        await workers.run_for("scanner", divmod, 7, 2)
    assert await workers.run_for("tagger", divmod, 7, 2) == (3, 1)
    assert await workers.run(divmod, 7, 2) == (3, 1)
    workers.renew()
    assert await workers.run_for("scanner", divmod, 7, 2) == (3, 1)
    assert workers.stuck == {"scanner": most}
    opened.set()
    while workers.stuck:
        await deferLater(reactor, 0)
    await workers.stop()
