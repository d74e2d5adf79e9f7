"""Whatever a component does, its instance's on_error says what comes of it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, succeed
from twisted.logger import capturedLogs, formatEvent

from mailplat.mail.edit import Edits
from mailplat.mail.errors import MailError, NotNow, Overloaded, Refused, RoutingLoop
from mailplat.mail.transit import KEEP, Disposition, Stage, Transit, Verdict
from mailplat.pipeline.judge import FEW, Judge, may_block
from mailplat.testing.transits import new_transit
from mailplat.workers import Workers


def raises(error: BaseException) -> Any:
    raise error


@attrs.define
class Says:
    """A filter that returns or raises what it was made with."""

    answer: Any

    async def judge(self, _transit: Transit) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


async def ask(judge: Judge, transit: Transit) -> Verdict:
    return await judge.judge(Stage.CONTENT, transit, transit)


WRONG = [
    pytest.param(ValueError("boom\nat line 2"), "ValueError: boom at line 2", id="bug"),
    pytest.param(SystemExit(3), "SystemExit: 3", id="exit"),
    pytest.param(None, "Nonsense: returned None, which is no Verdict", id="none"),
    pytest.param("keep", "Nonsense: returned 'keep', which is no Verdict", id="text"),
    pytest.param(Verdict, "Nonsense: returned <class", id="class"),
    pytest.param(
        attrs.evolve(KEEP, disposition="keep"),
        "Nonsense: returned a Verdict whose disposition",
        id="disposition",
    ),
    pytest.param(
        attrs.evolve(KEEP, edits=[]), "Nonsense: returned a Verdict whose edits", id="edits"
    ),
    pytest.param(Verdict.keep(Edits(("x",))), "Nonsense: returned edits", id="steps"),  # type: ignore[arg-type]
    pytest.param(
        attrs.evolve(KEEP, error="no"), "Nonsense: returned a Verdict whose error", id="error"
    ),
    pytest.param(Verdict(recipients={"a@b": "no"}), "Nonsense: returned 'no'", id="single"),  # type: ignore[dict-item]
    pytest.param(
        Verdict(recipients={"a@b": Verdict.keep(Edits().remove(b"X"))}),
        "Nonsense: returned a verdict on one",
        id="edits for one",
    ),
    pytest.param(CancelledError(), "Withdrawn", id="cancelled"),
    pytest.param(GeneratorExit(), "Escaped: GeneratorExit()", id="generator exit"),
    pytest.param(
        Verdict.keep(Edits((lambda _lines: raises(GeneratorExit()),))),
        "Escaped: GeneratorExit()",
        id="generator exit of an edit",
    ),
]


@pytest.mark.parametrize(("answer", "detail"), WRONG)
@pytest.mark.parametrize(
    ("on_error", "disposition", "status"),
    [("defer", "defer", "4.3.0"), ("reject", "reject", "5.7.1"), ("keep", "keep", None)],
)
async def test_what_goes_wrong_is_treated_as_on_error_says(
    bench: Any, answer: object, detail: str, on_error: Any, disposition: str, status: str | None
) -> None:
    transit = new_transit()
    verdict = await ask(bench.judge(Says(answer), on_error=on_error), transit)
    assert verdict.disposition.value == disposition
    assert (str(verdict.error.status) if verdict.error else None) == status
    [decision] = transit.decisions
    assert decision.component == "says"
    assert decision.disposition.value == disposition
    assert decision.detail.startswith(detail)
    assert decision.detail.endswith(f", therefore {on_error}")


@pytest.mark.parametrize(
    ("error", "on_error", "heard"),
    [
        (Overloaded("pool"), "defer", Overloaded),
        (Overloaded("pool"), "reject", Refused),
        (RoutingLoop("x"), "reject", RoutingLoop),
        (RoutingLoop("x"), "defer", MailError),
    ],
)
async def test_the_peer_hears_of_an_error_that_fits(
    bench: Any, error: MailError, on_error: Any, heard: type
) -> None:
    verdict = await ask(bench.judge(Says(error), on_error=on_error), new_transit())
    assert type(verdict.error) is heard


async def test_what_was_meant_for_the_sender_stays(bench: Any) -> None:
    error = Refused("inside", public="outside")
    verdict = await ask(bench.judge(Says(Verdict.defer(error))), new_transit())
    assert isinstance(verdict.error, NotNow)
    assert verdict.error.public == "outside"


# Hanging.


class Hangs:
    """Waits for ever; ``stubborn`` goes on waiting when it is cancelled."""

    def __init__(self, stubborn: bool = False) -> None:
        self.stubborn = stubborn
        self.cancelled = 0

    async def judge(self, _transit: Transit) -> Verdict:
        while True:
            try:
                await Deferred()
            except CancelledError:
                self.cancelled += 1
                if not self.stubborn:
                    raise


@pytest.mark.parametrize("stubborn", [False, True])
async def test_what_hangs_is_cancelled_after_its_time(bench: Any, stubborn: bool) -> None:
    transit = new_transit()
    hangs = Hangs(stubborn)
    answer = Deferred.fromCoroutine(ask(bench.judge(hangs, timeout=5.0), transit))
    bench.clock.advance(4.9)
    assert not answer.called
    bench.clock.advance(0.2)
    verdict = await answer
    assert verdict.disposition is Disposition.DEFER
    assert hangs.cancelled == 1
    [decision] = transit.decisions
    assert decision.detail == "OutOfTime: no answer within 5 s, therefore defer"
    assert decision.seconds == pytest.approx(5.1)
    assert not bench.clock.getDelayedCalls()


@pytest.mark.parametrize("stubborn", [False, True])
async def test_when_the_peer_leaves_nobody_is_waited_for(bench: Any, stubborn: bool) -> None:
    hangs = Hangs(stubborn)
    answer = Deferred.fromCoroutine(ask(bench.judge(hangs, on_error="keep"), new_transit()))
    answer.cancel()
    with pytest.raises(CancelledError):
        await answer
    assert hangs.cancelled == 1
    assert not bench.clock.getDelayedCalls()


async def test_an_answer_that_comes_later_is_taken(bench: Any) -> None:
    waiting: list[Deferred[Verdict]] = [Deferred(), Deferred()]

    class Later:
        async def judge(self, _transit: Transit) -> Verdict:
            with pytest.raises(ValueError, match="passing"):
                await waiting[0]
            return await waiting[1]

    answer = Deferred.fromCoroutine(ask(bench.judge(Later()), new_transit()))
    waiting[0].errback(ValueError("passing"))
    assert not answer.called
    waiting[1].callback(Verdict.junk())
    assert (await answer).disposition is Disposition.JUNK
    assert not bench.clock.getDelayedCalls()


async def test_a_cancelling_from_within_is_an_error(bench: Any) -> None:
    waiting: Deferred[Verdict] = Deferred()

    class Waits:
        async def judge(self, _transit: Transit) -> Verdict:
            return await waiting

    transit = new_transit()
    answer = Deferred.fromCoroutine(ask(bench.judge(Waits()), transit))
    waiting.cancel()
    assert (await answer).disposition is Disposition.DEFER
    assert transit.decisions[0].detail.startswith("Withdrawn")


class Evil(BaseException):
    """Nothing that anybody should catch."""


@pytest.mark.parametrize("error", [GeneratorExit("evil"), Evil("evil"), SystemExit("evil")])
@pytest.mark.parametrize("on_error", ["defer", "keep"])
async def test_whatever_is_raised_later_is_an_answer(
    bench: Any, error: BaseException, on_error: Any
) -> None:
    waiting: list[Deferred[None]] = [Deferred(), Deferred()]

    class Waits:
        async def judge(self, _transit: Transit) -> Verdict:
            await waiting[0]
            await waiting[1]
            raise error

    class Blocks:
        def judge(self, _transit: Transit) -> Verdict:
            raise error

    transit = new_transit()
    answer = Deferred.fromCoroutine(ask(bench.judge(Waits(), on_error=on_error), transit))
    for one in waiting:
        assert not answer.called
        one.callback(None)
    assert (await answer).disposition.value == on_error
    verdict = await ask(bench.judge(Blocks(), on_error=on_error), transit)
    assert verdict.disposition.value == on_error
    for decision in transit.decisions:
        assert "evil" in decision.detail


async def test_what_has_its_answer_at_once_arms_no_timer(bench: Any) -> None:
    def no_timer(*_args: object) -> None:
        raise AssertionError("a timer was armed")

    bench.clock.callLater = no_timer
    assert await ask(bench.judge(Says(KEEP)), new_transit()) is KEEP


async def test_who_holds_the_reactor_is_named(bench: Any, monkeypatch: Any) -> None:
    class Busy:
        async def judge(self, _transit: Transit) -> Verdict:
            bench.clock.advance(0.06)
            return KEEP

    warned: list[dict[str, Any]] = []
    log = SimpleNamespace(warn=lambda _text, **values: warned.append(values))
    monkeypatch.setattr(Judge, "log", log)
    await ask(bench.judge(Busy()), new_transit())
    assert warned == [{"name": "busy", "held": pytest.approx(0.06)}]


# Plain functions.


class Plain:
    """Blocks its thread until it may go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.thread: threading.Thread | None = None

    def judge(self, _transit: Transit) -> Verdict:
        self.thread = threading.current_thread()
        self.go_on.wait(10)
        return Verdict.junk()


async def test_a_plain_function_may_block(bench: Any, reactor: Any) -> None:
    plain = Plain()
    workers = Workers(reactor)
    judge = Judge("plain", plain, reactor, workers)
    answer = Deferred.fromCoroutine(ask(judge, new_transit()))
    plain.go_on.set()
    assert (await answer).disposition is Disposition.JUNK
    assert plain.thread is not threading.main_thread()
    await workers.stop()


async def test_a_plain_function_that_sleeps_is_left_behind(bench: Any, reactor: Any) -> None:
    plain, transit = Plain(), new_transit()
    workers = Workers(reactor)
    judge = Judge("plain", plain, bench.clock, workers, timeout=1.0)
    answer = Deferred.fromCoroutine(ask(judge, transit))
    bench.clock.advance(1.1)
    assert (await answer).disposition is Disposition.DEFER
    assert not plain.go_on.is_set()
    assert transit.decisions[0].detail.startswith("OutOfTime")
    plain.go_on.set()
    await workers.stop()


async def test_a_plain_function_may_raise_or_return_nonsense(bench: Any) -> None:
    class Raises:
        def judge(self, _transit: Transit) -> Verdict:
            raise ValueError("boom")

    class Nonsense:
        def judge(self, _transit: Transit) -> None:
            return None

    for component in (Raises(), Nonsense()):
        transit = new_transit()
        verdict = await ask(bench.judge(component, on_error="reject"), transit)
        assert verdict.disposition is Disposition.REJECT
        assert transit.decisions[0].detail.endswith("therefore reject")


class Ways:
    """Every way to write a function that waits, and some that don't."""

    async def a_coroutine(self) -> Verdict:
        return KEEP

    @inlineCallbacks
    def b_inline(self) -> Any:
        yield succeed(None)
        return KEEP

    def c_deferred(self) -> Deferred[Verdict]:
        return succeed(KEEP)

    def d_awaitable(self) -> Awaitable[Verdict]:
        return self.a_coroutine()

    def e_plain(self) -> Verdict:
        return KEEP

    def f_unannotated(self):  # type: ignore[no-untyped-def]
        return KEEP

    g_around_a_coroutine = lambda self: self.a_coroutine()  # noqa: E731


@pytest.mark.parametrize(
    "name", [name for name in vars(Ways) if name[1] == "_" and name[0] != "_"]
)
async def test_every_way_to_judge_is_welcome(bench: Any, name: str) -> None:
    function = getattr(Ways(), name)
    assert may_block(function) is (name[0] in "efg")
    component = type("Component", (), {"judge": lambda _self, _transit: function()})()
    component.judge = lambda _transit: function()
    assert await ask(bench.judge(component), new_transit()) is KEEP


TWO_PARTS = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\n\r\nhello\r\n--b\r\nContent-Type: image/png; name=a.png\r\n\r\n"
    + b"x" * 1000
    + b"\r\n--b--\r\n"
)


async def test_parts_are_edited_and_the_next_sees_it(bench: Any, reactor: Any) -> None:
    transit = new_transit(TWO_PARTS)
    bench.workers = Workers(reactor)
    threads: list[threading.Thread] = []

    def shout(text: str) -> str:
        threads.append(threading.current_thread())
        return text.upper()

    class Shouts:
        async def judge(self, transit: Transit) -> Verdict:
            return Verdict.keep(transit.edit().rewrite_texts(shout))

    class Strips:
        def judge(self, transit: Transit) -> Verdict:
            assert transit.message.text == "HELLO"
            [image] = transit.message.attachments
            return Verdict.keep(transit.edit().remove_part(image.number).add(b"X", "1"))

    await ask(bench.judge(Shouts()), transit)
    await ask(bench.judge(Strips()), transit)
    await bench.workers.stop()
    assert threads[0] is not threading.main_thread()
    assert transit.message.attachments == ()
    assert await transit.content.read(0, 1000) == (
        b"X: 1\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHELLO\r\n--b--\r\n"
    )
    assert [one.edits for one in transit.decisions] == [
        ("rewrites texts",),
        ("removes part 2", "adds X"),
    ]


async def test_a_plain_filter_reads_what_lies_in_a_file(bench: Any, reactor: Any) -> None:
    transit = new_transit(TWO_PARTS)
    bench.workers = Workers(reactor)
    crew = bench.workers.files

    class InAFile:
        size = len(TWO_PARTS)

        def read(self, start: int, stop: int) -> Any:
            assert threading.current_thread() is threading.main_thread()
            return crew.ask(TWO_PARTS.__getitem__, slice(start, stop))

        def close(self) -> None:
            pass

    class Reads:
        def judge(self, transit: Transit) -> Verdict:
            return Verdict.keep(text=transit.message.text)

    class Loads:
        async def judge(self, transit: Transit) -> Verdict:
            message = await transit.message.load()
            return Verdict.keep(text=message.text, octets=await message.attachments[0].read())

    for component in (Reads(), Loads()):
        transit.content = InAFile()
        verdict = await ask(bench.judge(component), transit)
        assert verdict.facts["text"] == "hello"
    assert verdict.facts["octets"] == b"x" * 1000
    await bench.workers.stop()


async def test_edits_that_cannot_be_made_change_nothing(bench: Any) -> None:
    transit = new_transit(TWO_PARTS)
    content, header = transit.content, transit.header
    for plan, why in (
        (Edits().add(b"X", "1").remove_part(9), "ValueError: no part 9: there are 3"),
        (
            Edits().add(b"X", "1").rewrite_texts(lambda text: text * (1 // 0)),
            "ZeroDivisionError",
        ),
    ):
        verdict = await ask(bench.judge(Says(Verdict.keep(plan)), on_error="keep"), transit)
        assert verdict is KEEP
        assert transit.decisions[-1].detail.startswith(why)
        assert transit.content is content
        assert transit.header is header


async def test_a_rewrite_that_hangs_is_given_up(bench: Any, reactor: Any) -> None:
    transit, begun, opened = new_transit(TWO_PARTS), Deferred[None](), threading.Event()
    content = transit.content
    bench.workers = Workers(reactor)

    def hang(text: str) -> str:
        reactor.callFromThread(begun.callback, None)
        return text + str(opened.wait(10))

    judge = bench.judge(Says(Verdict.keep(Edits().rewrite_texts(hang))), timeout=5.0)
    answer = Deferred.fromCoroutine(ask(judge, transit))
    await begun
    bench.clock.advance(5.1)
    opened.set()
    assert (await answer).disposition is Disposition.DEFER
    assert "OutOfTime" in transit.decisions[-1].detail
    await bench.workers.stop()
    assert transit.content is content


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), NotNow("no")])
async def test_who_fails_again_and_again_is_counted(bench: Any, error: Exception) -> None:
    judge = bench.judge(Says(error))
    with capturedLogs() as events:
        for _ in range(100):
            await ask(judge, new_transit())
        assert len(events) == FEW
        judge.finish()
    assert formatEvent(events[FEW]).endswith("; 95 times more in this minute")
    is_bug = isinstance(error, ZeroDivisionError)
    assert ["log_failure" in event for event in events] == [is_bug] * FEW + [False]
