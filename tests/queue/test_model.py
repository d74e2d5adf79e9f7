"""Whatever happens to the queue, in whatever order: nothing is lost, and nobody is left in doubt."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import Deferred

from mailplat.mail.queued import Selection, Standing
from mailplat.queue.queries.audit import RULES
from mailplat.queue.queries.legs import INFLIGHT
from mailplat.testing.audit import wrong_in
from mailplat.testing.disk import quick_folder
from mailplat.testing.queues import FULL, GREYLISTED, NO_HOST, SERVED, UNKNOWN, new_posting
from mailplat.testing.workers import database_at_once

DAY = 86400.0
DOMAINS = ("a.example", "b.example", "example.org")
PEOPLE = tuple(f"{name}@{domain}" for domain in DOMAINS for name in ("x", "y"))
SENDERS = ("carol@example.org", "eve@example.com", "")
OUTCOMES = {
    "served": SERVED,
    "no host": NO_HOST,
    "greylisted": GREYLISTED,
    "full": FULL,
    "unknown": UNKNOWN,
}


def now(work: Any) -> Any:
    """Return the answer of work that waits for nothing."""

    async def wait() -> Any:
        return await work

    results: list[Any] = []
    Deferred.fromCoroutine(wait()).addBoth(results.append)
    [result] = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


class Model(RuleBasedStateMachine):
    """A queue, and what is known to have become of each message's recipients."""

    make_scene: Any
    folder: Path
    files = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        path = self.folder / f"{next(self.files)}.db"
        self.scene = self.make_scene(lambda: database_at_once(path, durable=False))
        now(self.scene.open())
        self.keys = itertools.count()
        self.owed: Counter[tuple[str, str]] = Counter()  # kept, and not yet accounted for
        self.removed: set[str] = set()
        self.seen = 0

    @initialize()
    def begin(self) -> None:
        self.scene.pass_time()

    @rule(
        to=st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4, unique=True),
        sender=st.sampled_from(SENDERS),
        hold=st.sampled_from(["", "", "odd"]),
        priority=st.integers(-9, 9),
    )
    def enqueue(self, to: list[str], sender: str, hold: str, priority: int) -> None:
        key = f"k{next(self.keys)}"
        proven = sender == SENDERS[0]
        posting = new_posting(
            *to, sender=sender, key=key, hold=hold, may_bounce=proven, flow=sender or "-"
        )
        assert now(self.scene.queue.enqueue(posting)) == key
        assert now(self.scene.queue.enqueue(posting)) == key
        self.owed.update((key, one) for one in to)

    @rule(domain=st.sampled_from(DOMAINS), outcome=st.sampled_from(list(OUTCOMES)))
    def change_answer(self, domain: str, outcome: str) -> None:
        for agent in (self.scene.relay, self.scene.local):
            agent.answers[domain] = OUTCOMES[outcome]

    @rule(who=st.sampled_from(PEOPLE), outcome=st.sampled_from(list(OUTCOMES)))
    def change_one_answer(self, who: str, outcome: str) -> None:
        for agent in (self.scene.relay, self.scene.local):
            agent.answers[who] = OUTCOMES[outcome]

    @rule(domain=st.sampled_from(DOMAINS), waits=st.booleans())
    def let_wait(self, domain: str, waits: bool) -> None:
        for agent in (self.scene.relay, self.scene.local):
            (agent.waits.add if waits else agent.waits.discard)(domain)

    @rule()
    def go_on(self) -> None:
        self.scene.relay.go_on()
        self.scene.local.go_on()
        self.scene.pass_time()

    @rule(seconds=st.sampled_from([0.0, 1.0, 400.0, 3600.0, DAY, 6 * DAY]))
    def pass_time(self, seconds: float) -> None:
        self.scene.pass_time(seconds)

    @rule(days=st.integers(-400, 400))
    def set_the_date(self, days: int) -> None:
        self.scene.wall.rightNow = max(DAY, self.scene.wall.rightNow + days * DAY)

    @rule()
    def crash(self) -> None:
        now(self.scene.crash())

    @rule(number=st.integers(0, 9))
    def hold_one(self, number: int) -> None:
        now(self.scene.queue.hold(Selection(ids=(f"k{number}",)), "why not"))

    @rule(number=st.integers(0, 9))
    def remove_one(self, number: int) -> None:
        if now(self.scene.queue.remove(Selection(ids=(f"k{number}",)), report=False)):
            self.removed.add(f"k{number}")

    @rule()
    def release_all(self) -> None:
        now(self.scene.queue.release(Selection()))
        self.scene.pass_time()

    @rule()
    def retry_all(self) -> None:
        now(self.scene.queue.retry(Selection()))
        self.scene.pass_time()

    @rule()
    def work_anew(self) -> None:
        """Reload the configuration."""
        old = self.scene.runner
        now(self.scene.work())
        Deferred.fromCoroutine(old.finish()).addErrback(lambda _failure: None)
        self.scene.pass_time(6)

    @invariant()
    def nobody_is_forgotten(self) -> None:
        """Each recipient is in the queue, or was served, or its failure was told."""
        waiting = {
            (message.id, one.address): one.standing
            for message in now(self.scene.queue.messages(Selection(most=10_000)))
            for one in message.recipients
        }
        told = {
            (event.id, one.recipient)
            for event in self.scene.bus.events
            for one in event.recipients
            if one.then.startswith(("delivered", "relayed", "failed"))
        }
        for name, who in self.owed:
            standing = waiting.get((name, who))
            if standing is None or standing.is_final:
                assert (name, who) in told or name in self.removed, (name, who)

    @invariant()
    def the_tables_are_right(self) -> None:
        assert not now(self.scene.database.read(wrong_in, RULES, at_rest=False))

    @invariant()
    def what_is_in_flight_is_being_tried(self) -> None:
        """Nothing stays in the hands of a node that has died."""
        rows = now(
            self.scene.database.read(
                lambda db: db.all(f"SELECT holder FROM queue_legs WHERE state = {INFLIGHT}")
            )
        )
        assert {holder for [holder] in rows} <= {self.scene.queue.node}

    def teardown(self) -> None:
        """In the end all goes well, and nothing is left but what nobody may be told."""
        scene = self.scene
        for agent in (scene.relay, scene.local):
            agent.waits.clear()
            agent.answers.clear()
            agent.go_on()
        now(scene.queue.release(Selection()))
        scene.pass_time(DAY)
        left = now(scene.queue.messages(Selection()))
        standings = {one.standing for message in left for one in message.recipients}
        assert standings <= {Standing.UNDELIVERABLE, Standing.DELIVERED, Standing.FAILED}
        now(scene.close())


def test_the_queue_keeps_what_it_has_promised(make_scene: Any) -> None:
    with quick_folder() as folder:
        places = {"make_scene": make_scene, "folder": folder}
        run_state_machine_as_test(
            type("QueueModel", (Model,), places),
            settings=settings(
                max_examples=25,
                stateful_step_count=30,
                deadline=None,
                phases=[Phase.explicit, Phase.reuse, Phase.generate],
            ),
        )
