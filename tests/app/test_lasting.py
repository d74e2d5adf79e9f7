"""Work that takes long tells how far it has come, and ends with whoever asked for it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from mailplat.app.conversation import Conversation
from mailplat.app.operations.lasting import EACH, Lasting
from mailplat.mail.errors import BadParameter, InUse

GO_ON = {"do": "go on"}


class Work:
    """Counts, and waits to be told to end."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.files = 0
        self.over: Deferred[None] = Deferred()
        self.ended = ""
        self.lasting = Lasting(self.clock, self._run(), lambda: {"files": self.files})

    async def _run(self) -> dict[str, Any]:
        try:
            await self.over
        except CancelledError:
            self.ended = "cancelled"
            raise
        return {"files": self.files}

    def say(self, said: dict[str, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.lasting.answer(said, b""))


def told(answer: Deferred[Any]) -> Any:
    found: list[Any] = []
    answer.addCallback(found.append)
    return found[0][0]


def test_how_far_it_has_come_is_told_now_and_then() -> None:
    work = Work()
    assert isinstance(work.lasting, Conversation)
    first = work.say(GO_ON)
    assert not first.called
    work.files = 7
    work.clock.advance(EACH)
    assert told(first) == {"done": False, "files": 7}
    last = work.say(GO_ON)
    work.over.callback(None)
    assert told(last) == {"done": True, "result": {"files": 7}}
    assert not work.clock.getDelayedCalls()


def test_what_fails_is_told() -> None:
    work = Work()
    answer = work.say(GO_ON)
    work.over.errback(InUse("a backup is under way"))
    failures: list[Any] = []
    answer.addErrback(failures.append)
    [failure] = failures
    assert failure.check(InUse)


def test_it_ends_with_whoever_asked() -> None:
    work = Work()
    answer = work.say(GO_ON)
    answer.addErrback(lambda _failure: None)
    answer.cancel()
    work.lasting.end()
    assert work.ended == "cancelled"
    assert not work.clock.getDelayedCalls()
    Work().lasting.end()  # which has not begun


def test_nothing_else_is_known() -> None:
    failures: list[Any] = []
    work = Work()
    work.say({"do": "stop"}).addErrback(failures.append)
    assert failures[0].check(BadParameter)
    work.lasting.end()
