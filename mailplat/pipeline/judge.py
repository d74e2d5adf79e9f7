"""One policy or filter: asked in its own way, within its time, whatever it does."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Literal, get_origin

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailplat.mail.draft import Run
from mailplat.mail.edit import Edits
from mailplat.mail.errors import MailError, NotNow, Refused
from mailplat.mail.message import waiting_by
from mailplat.mail.transit import KEEP, Decision, Disposition, Stage, Transit, Verdict
from mailplat.pipeline.waiting import NO_ACCIDENT, Escaped, Withdrawn, begin, within
from mailplat.tally import Tally
from mailplat.workers import Workers

FEW = 5  # failures of a kind that are told one by one in a minute
SLOW = 0.05  # seconds for which nobody may hold the reactor unnamed

OnError = Literal["defer", "keep", "reject"]


@attrs.frozen
class _Complaint:
    """What went wrong with a message, and whether components may fail so."""

    id: str
    detail: str
    foreseen: bool


class Nonsense(TypeError):
    """A component returned something that is no verdict."""


@attrs.frozen(eq=False)
class Judge:
    """An instance of a policy or filter, with what its table says of its conduct.

    A component's ``judge`` may be an ``async def``, or a function that returns a
    Deferred and says so by its annotation, or is made by ``inlineCallbacks``;
    any other plain function may block, and runs in a worker thread.

    What raises, takes longer than ``timeout`` seconds, returns nonsense or
    wants edits that can't be made is treated as ``on_error`` says: ``defer``
    refuses for now, ``reject`` for good, ``keep`` goes on as if nobody had been
    asked.  That holds for a `MailError` too, whose words the peer then hears if
    they fit: who means to refuse returns a verdict.
    """

    log = Logger()

    name: str
    component: Any
    clock: IReactorTime
    workers: Workers
    timeout: float = 30.0
    on_error: OnError = "defer"
    _waits: bool = attrs.field(init=False)
    _failures: Tally[type, _Complaint] = attrs.field(init=False)

    @_waits.default
    def _says_that_it_waits(self) -> bool:
        return not may_block(self.component.judge)

    @_failures.default
    def _not_failed_yet(self) -> Tally[type, _Complaint]:
        return Tally(self.clock, self._complain, few=FEW)

    def finish(self) -> None:
        """Tell of failures that were not told of yet."""
        self._failures.finish()

    async def judge(self, stage: Stage, transit: Transit, *question: object) -> Verdict:
        """Return the verdict on ``question``, and put it on the transit's record.

        What it wants changed is changed at once if there is content.

        Raises `CancelledError` if cancelled, and nothing else.
        """
        began = self.clock.seconds()
        detail = ""
        has_waited = False
        transit.run = self.workers.run
        try:
            answer = self._ask(question)
            if isinstance(answer, Deferred):
                has_waited = True
                answer = await within(answer, self.timeout, self.clock)
            verdict = checked(answer)
            if stage is Stage.CONTENT and verdict.edits:
                amending = begin(amend(transit, verdict.edits, self._run))
                if isinstance(amending, Deferred):
                    has_waited = True
                    await within(amending, self.timeout, self.clock)
            if verdict.error:
                detail = described(verdict.error)
        except CancelledError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - on_error says what it means
            detail = f"{described(error)}, therefore {self.on_error}"
            self._tell(transit, error, detail)
            verdict = self._instead(error)
        seconds = self.clock.seconds() - began
        if seconds > SLOW and not has_waited:
            self.log.warn(
                "{name} held the reactor for {held:.3f} s", name=self.name, held=seconds
            )
        self._put_on_record(stage, transit, verdict, detail, seconds)
        return verdict

    def _put_on_record(
        self, stage: Stage, transit: Transit, verdict: Verdict, detail: str, seconds: float
    ) -> None:
        about = transit.recipient if stage is Stage.RECIPIENT else None
        decision = Decision(
            stage,
            self.name,
            verdict.disposition,
            detail,
            seconds,
            verdict.facts,
            str(about.address) if about else "",
            tuple(map(str, verdict.edits.steps)),
        )
        transit.decisions.append(decision)
        for key, single in verdict.recipients.items():
            why = described(single.error) if single.error else ""
            transit.decisions.append(
                Decision(stage, self.name, single.disposition, why, recipient=key)
            )

    def _ask(self, question: tuple[object, ...]) -> object:
        """Return the answer, or a Deferred for it."""
        if not self._waits:
            return Deferred.fromCoroutine(self._ask_in_a_thread(question))
        try:
            answer = self.component.judge(*question)
            return begin(answer) if inspect.iscoroutine(answer) else answer
        except CancelledError as error:
            raise Withdrawn("it was cancelled before it waited") from error
        except NO_ACCIDENT:
            raise
        except BaseException as error:
            raise Escaped(repr(error)) from error

    async def _ask_in_a_thread(self, question: tuple[object, ...]) -> object:
        answer = await self._run(self._judge_here, question)
        if inspect.iscoroutine(answer) or isinstance(answer, Deferred):
            return await answer  # a plain function around one that waits
        return answer

    async def _run(self, function: Callable[..., Any], *args: object) -> Any:
        """Call what may block in a thread of this instance's."""
        return await self.workers.run_for(self.name, function, *args)

    def _judge_here(self, question: tuple[object, ...]) -> object:
        """Ask in this thread, where a message may be read by waiting for the reactor."""
        with waiting_by(self.workers.wait):
            return self.component.judge(*question)

    def _tell(self, transit: Transit, error: BaseException, detail: str) -> None:
        foreseen = isinstance(error, (MailError, Nonsense))
        self._failures.add(type(error), _Complaint(transit.id, detail, foreseen))

    def _complain(self, about: _Complaint, counted: int) -> None:
        """Log a failure where it is raised, or with a number the last of those counted."""
        words = {"id": about.id, "name": self.name, "detail": about.detail}
        if counted:
            self.log.warn(
                "{id}: {name}: {detail}; {counted} times more in this minute",
                counted=counted,
                **words,
            )
        elif about.foreseen:
            self.log.warn("{id}: {name}: {detail}", **words)
        else:
            self.log.failure("{id}: {name} failed", id=about.id, name=self.name)

    def _instead(self, error: BaseException) -> Verdict:
        """Return the verdict that stands for an error."""
        said = error if isinstance(error, MailError) else None
        if self.on_error == "keep":
            return KEEP
        if self.on_error == "reject":
            permanent = said if said and not said.status.is_transient else None
            return Verdict.reject(permanent or Refused(f"{self.name} failed"))
        passing = said if said and said.status.is_transient else None
        return Verdict.defer(passing or MailError(f"{self.name} failed"))


async def amend(transit: Transit, edits: Edits, run: Run) -> None:
    """Make these changes to the content; raises what a step raises, and then changes nothing.

    What may block is called by ``run``.
    """
    if edits:
        try:
            edited = await transit.message.edited(edits, run)
        except NO_ACCIDENT:
            raise
        except BaseException as error:
            raise Escaped(repr(error)) from error
        transit.content, transit.header = edited


def may_block(function: Callable[..., object]) -> bool:
    """Say whether a component's function has to run in a thread: a plain ``def``.

    ``async def`` doesn't, what ``inlineCallbacks`` has made doesn't, nor what
    says by its annotation that it returns an awaitable.
    """
    inner = inspect.unwrap(function)
    if inspect.iscoroutinefunction(inner) or inspect.isgeneratorfunction(inner):
        return False
    annotation = getattr(inner, "__annotations__", {}).get("return")
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2] not in _AWAITABLES
    kind = get_origin(annotation) or annotation
    return not (isinstance(kind, type) and issubclass(kind, (Deferred, Awaitable)))


_AWAITABLES = {kind.__name__ for kind in (Deferred, Awaitable, Coroutine)}


def checked(answer: object) -> Verdict:
    """Return a component's answer if it makes sense; raises `Nonsense`.

    A refusal gets an error that fits it, and a verdict on one recipient is
    looked at as closely as one on all.
    """
    if answer is KEEP:
        return KEEP
    if not isinstance(answer, Verdict):
        raise Nonsense(f"returned {answer!r:.100}, which is no Verdict")
    for name, kind in _KINDS.items():
        if not isinstance(value := getattr(answer, name), kind):
            raise Nonsense(f"returned a Verdict whose {name} is {value!r:.100}")
    if not all(callable(step) or hasattr(step, "draft") for step in answer.edits.steps):
        raise Nonsense(f"returned edits that are none: {answer.edits.steps!r:.100}")
    if not answer.recipients:
        return fitting(answer)
    singles = {key: checked(single) for key, single in answer.recipients.items()}
    if any(single.edits or single.recipients for single in singles.values()):
        raise Nonsense("returned a verdict on one recipient that speaks of more")
    return fitting(attrs.evolve(answer, recipients=singles))


_KINDS: dict[str, Any] = {
    "disposition": Disposition,
    "error": (MailError, type(None)),
    "edits": Edits,
    "facts": Mapping,
    "score": (int, float),
    "recipients": Mapping,
}


def fitting(verdict: Verdict) -> Verdict:
    """Return the verdict with an error that says what the disposition says."""
    error = verdict.error
    public = error.public if error else ""
    words = str(error or "")
    match verdict.disposition:
        case Disposition.REJECT if not error or error.status.klass != 5:
            return attrs.evolve(verdict, error=Refused(words, public=public))
        case Disposition.DEFER | Disposition.HOLD if not error or error.status.klass != 4:
            return attrs.evolve(verdict, error=NotNow(words, public=public))
    return verdict


def described(error: BaseException) -> str:
    """Return an error's kind and words, in one line for the record."""
    words = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
