"""When what failed is tried again, and what a destination bears."""

from __future__ import annotations

import pytest

from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import Status
from mailplat.queue.lanes import UNKNOWN, Lanes
from mailplat.queue.schedule import Kind, Life, Schedule
from mailplat.queue.settings import DestinationSettings, QueueSettings

DAY = 86400.0
HOST, NOTHING, BUSY = frozenset([Kind.HOST]), frozenset([Kind.NOTHING]), frozenset([Kind.BUSY])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status(2, 1, 5), Kind.NOTHING),
        (Status(5, 4, 1), Kind.NOTHING),
        (Status(4, 4, 1), Kind.HOST),
        (Status(4, 4, 3), Kind.HOST),
        (Status(4, 4, 5), Kind.BUSY),
        (Status(4, 3, 2), Kind.BUSY),
        (Status(4, 7, 0), Kind.BUSY),
        (Status(4, 7, 1), Kind.POLICY),
        (Status(4, 2, 2), Kind.RECIPIENT),
    ],
)
def test_kinds_of_failure(status: Status, kind: Kind) -> None:
    assert Kind.of(status) is kind


def test_pauses_grow_up_to_a_bound_and_differ() -> None:
    settings = QueueSettings()
    low, high = (Schedule(settings, lambda x=x: x) for x in (0.0, 1.0))
    pauses = [Schedule(settings, lambda: 0.5).pause(n) for n in range(1, 40)]
    assert pauses[:3] == [300, 600, 1200]
    assert pauses[-1] == 4 * 3600
    assert (low.pause(1), high.pause(1)) == (240, 360)
    assert high.pause(39) <= high.longest
    assert low.pause(1, Kind.POLICY) < low.pause(1)
    assert low.pause(9, Kind.POLICY) == low.pause(9)


@pytest.mark.parametrize(
    ("age", "attempts", "expires", "is_over"),
    [
        (4.9 * DAY, 100, True, False),
        (5 * DAY, 7, True, False),
        (5 * DAY, 8, True, True),
        (5 * DAY, 8, False, False),
        (-9 * DAY, 100, True, False),
    ],
)
def test_it_takes_age_and_attempts_to_expire(
    age: float, attempts: int, expires: bool, is_over: bool
) -> None:
    schedule = Schedule(QueueSettings(), lambda: 0.5)
    life = Life(now=1e9 + age, since=1e9, attempts=attempts, expires=expires)
    assert schedule.is_over(life) is is_over
    [fate] = schedule.fates(life, [0], [Outcome(Status(4, 2, 2), "full")], [False])
    assert fate.is_final is is_over


def test_a_destination_shows_how_much_it_bears() -> None:
    lane = Lanes(QueueSettings(destination_at_once=10)).lane(1, "example.net")
    assert lane.room(0) == 1
    for _ in range(200):
        for _ in range(lane.room(0)):
            lane.begin(0)
        while lane.on_the_way:
            assert not lane.end(NOTHING)
    assert lane.room(0) == 10
    lane.begin(0)
    lane.end(BUSY)
    assert lane.room(0) == 5
    verdicts = []
    for _ in range(4):
        lane.begin(0)
        verdicts.append(lane.end(HOST))
    assert verdicts == [False, False, True, True]
    assert lane.window == UNKNOWN


def test_a_rate_is_kept() -> None:
    settings = QueueSettings(destinations={"slow.example": DestinationSettings(a_minute=6)})
    lanes = Lanes(settings)
    lane = lanes.lane(1, "slow.example")
    begun = 0
    for second in range(121):
        while lane.room(second):
            lane.begin(second)
            lane.end(NOTHING)
            begun += 1
    assert begun == pytest.approx(12, abs=1)
    assert lanes.wait() == pytest.approx(10, abs=1)
    assert lanes.lane(2, "other.example").wait() is None
