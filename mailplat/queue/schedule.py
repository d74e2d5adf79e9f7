"""When what could not be delivered is tried again, and what comes of each attempt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

import attrs

from mailplat.mail.deliverystatus import Action
from mailplat.mail.envelope import DeliverBy
from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import Status
from mailplat.queue.settings import QueueSettings

TIME_IS_UP = Status(5, 4, 7)
JITTER = 0.2  # of each pause, to either side, so that what failed together comes apart
SOONER = 0.2  # of a pause, where the obstacle is likely to pass soon
LONGEST_DETAIL = 1000  # characters of an outcome's that are kept


class Kind(Enum):
    """What kept a recipient from being served."""

    NOTHING = "nothing"  # it was served, or has failed for good
    HOST = "host"  # nobody there takes anything now
    BUSY = "busy"  # too much at once, or too fast
    POLICY = "policy"  # it wants to be asked again later: greylisting, for one
    RECIPIENT = "recipient"  # this one only

    @classmethod
    def of(cls, status: Status) -> Kind:
        """Return what a status says of that (RFC 3463 section 3)."""
        if not status.is_transient:
            return cls.NOTHING
        if status.subject == 4 and status.detail != 5:
            return cls.HOST
        if (status.subject, status.detail) in ((4, 5), (3, 2), (7, 0)):
            return cls.BUSY
        return cls.POLICY if status.subject == 7 else cls.RECIPIENT


@attrs.frozen
class Fated:
    """What an attempt means for one recipient: who is to be told, and whether it goes on."""

    place: int
    outcome: Outcome
    action: Action
    is_final: bool
    is_due: bool  # whether a report is to be made, as far as the sender wants one


@attrs.frozen(kw_only=True)
class Life:
    """What counts of a leg for how long it goes on; times are the queue's, in seconds."""

    now: float
    since: float
    attempts: int  # with the one that has just been made
    expires: bool = True  # nothing does while the clock is not to be trusted
    deliver_by: DeliverBy | None = None


class Schedule:
    """The operator's patience, in numbers."""

    def __init__(self, settings: QueueSettings, chance: Callable[[], float]) -> None:
        self._first = settings.first_retry.total_seconds()
        self._longest = settings.longest_retry.total_seconds()
        self._lifetime = settings.lifetime.total_seconds()
        self._least_attempts = settings.least_attempts
        self._notice = settings.delay_notice.total_seconds()
        self._chance = chance

    @property
    def longest(self) -> float:
        """The longest pause that there is, in seconds."""
        return self._longest * (1 + JITTER)

    def pause(self, attempts: int, kind: Kind = Kind.HOST) -> float:
        """Return for how long to wait after so many attempts, in seconds."""
        pause = min(self._first * 2.0 ** min(max(attempts, 1) - 1, 30), self._longest)
        if kind in (Kind.POLICY, Kind.BUSY) and attempts <= 3:
            pause *= SOONER
        return pause * (1 + JITTER * (2 * self._chance() - 1))

    def is_over(self, life: Life) -> bool:
        """Say whether a leg's time is up: by its age, and only after enough attempts."""
        late = life.deliver_by
        if late and late.returns and life.now >= late.at.timestamp():
            return True
        is_old = life.now - life.since >= self._lifetime
        return life.expires and is_old and life.attempts >= self._least_attempts

    def is_late(self, life: Life) -> bool:
        """Say whether the sender is to hear that it takes long."""
        late = life.deliver_by
        if late and not late.returns and life.now >= late.at.timestamp():
            return True
        return bool(self._notice) and life.now - life.since >= self._notice

    def next_attempt(self, life: Life, outcomes: Sequence[Outcome]) -> float:
        """Return when those are tried again who are left, by the queue's clock."""
        kinds = {Kind.of(outcome.status) for outcome in outcomes} - {Kind.NOTHING}
        kind = kinds.pop() if len(kinds) == 1 else Kind.HOST
        due = life.now + self.pause(life.attempts, kind)
        late = life.deliver_by
        if late and life.now < late.at.timestamp() < due:
            return late.at.timestamp()
        return due

    def retries_until(self, life: Life) -> float:
        """Return when, at the earliest, it is given up."""
        end = life.since + self._lifetime
        late = life.deliver_by
        return min(end, late.at.timestamp()) if late and late.returns else end

    def fates(
        self,
        life: Life,
        places: Sequence[int],
        outcomes: Sequence[Outcome],
        told: Sequence[bool],
    ) -> list[Fated]:
        """Return what an attempt means for each recipient."""
        is_over, is_late = self.is_over(life), self.is_late(life)
        return [
            self._fate(place, outcome, is_over, is_late and not has_heard)
            for place, outcome, has_heard in zip(places, outcomes, told, strict=True)
        ]

    def _fate(self, place: int, outcome: Outcome, is_over: bool, tell: bool) -> Fated:
        status = outcome.status
        if status.is_success:
            if outcome.reports:
                return Fated(place, outcome, Action.RELAYED, is_final=True, is_due=False)
            action = Action.RELAYED if outcome.relayed else Action.DELIVERED
            return Fated(place, outcome, action, is_final=True, is_due=True)
        if not status.is_transient:
            return Fated(place, outcome, Action.FAILED, is_final=True, is_due=True)
        if is_over:
            detail = f"given up: {status} {outcome.detail}"
            over = attrs.evolve(outcome, status=TIME_IS_UP, detail=detail)
            return Fated(place, over, Action.FAILED, is_final=True, is_due=True)
        return Fated(place, outcome, Action.DELAYED, is_final=False, is_due=tell)


def given_up(place: int, status: Status) -> Fated:
    """Return what it means for a recipient that the operator gives a message up."""
    outcome = Outcome(status, "given up by the operator")
    return Fated(place, outcome, Action.FAILED, is_final=True, is_due=True)
