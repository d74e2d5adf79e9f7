"""What a crash at any step leaves of the queue: all that anybody had been told."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

from mailplat.mail.content import whole
from mailplat.mail.queued import Selection
from mailplat.queue.queries.audit import RULES
from mailplat.testing.audit import wrong_in
from mailplat.testing.crash import explore
from mailplat.testing.disk import FakeVfs, Tape, quick_folder
from mailplat.testing.fakes import FakeContent
from mailplat.testing.queues import FULL, UNKNOWN, new_posting
from mailplat.testing.transits import HELLO
from mailplat.testing.workers import database_at_once

ALL = Selection()
BIG = HELLO + b"and more of it, up to the end of the line\r\n" * 8000  # in two pieces
SENDER = "carol@example.com"  # whose reports stay in the queue, since nobody takes them
LEFT = {"octets wait to be swept": "SELECT message FROM queue_leftovers"}


async def play(scene: Any, tape: Tape) -> None:
    """Let messages come, wait, fail, be held and be served, and say each time what is told."""
    scene.relay.usual = FULL
    scene.relay.answers["x@dead.example"] = UNKNOWN
    await scene.queue.enqueue(new_posting("x@a.example", key="waits", sender=SENDER))
    tape.acknowledge(("there", "waits"))
    scene.pass_time()
    big = new_posting("x@a.example", key="large", sender=SENDER, content=FakeContent(BIG))
    await scene.queue.enqueue(big)
    tape.acknowledge(("there", "large"))
    failing = new_posting("x@dead.example", "x@b.example", key="fails", sender=SENDER)
    await scene.queue.enqueue(failing)
    tape.acknowledge(("told", "fails"))
    scene.pass_time()
    scene.relay.answers["x@b.example"] = UNKNOWN
    scene.pass_time(3600)
    await scene.queue.enqueue(new_posting("alice@example.org", key="local", sender=SENDER))
    tape.acknowledge(("known", "local"))
    scene.pass_time()
    tape.acknowledge(("over", "local"))
    await scene.queue.hold(Selection(ids=("waits",)), "why not")
    tape.acknowledge(("held", "waits"))
    await scene.queue.remove(Selection(ids=("large",)), report=False)


async def facts_in(scene: Any) -> set[Hashable]:
    """Return what is true of the queue that a start finds."""
    facts: set[Hashable] = set()
    messages = await scene.queue.messages(ALL)
    for message in messages:
        octets = await whole(await scene.queue.content(message.id))
        assert octets == BIG if message.id == "large" else octets
        facts.add(("there", message.id))
        facts.add(("told", message.id))
        if message.held:
            facts.add(("held", message.id))
        if b"Final-Log-ID: fails" in octets:
            facts.add(("told", "fails"))
    known = await scene.database.read(lambda db: db.all("SELECT key FROM queue_keys"))
    facts |= {("known", key) for [key] in known}
    if not any(message.id == "local" for message in messages):
        facts.add(("over", "local"))
    if ("known", "local") in facts and ("there", "large") not in facts:
        facts.add(("there", "large"))  # which was removed behind that
    return facts


async def recover(make_scene: Any, folder: Path) -> set[Hashable]:
    """Start on what a crash has left, and look around."""
    scene = make_scene(lambda: database_at_once(folder / "mail.db"))
    scene.relay.usual = scene.local.usual = FULL
    await scene.open()
    try:
        assert not await scene.database.read(wrong_in, {**RULES, **LEFT}, at_rest=False)
        return await facts_in(scene)
    finally:
        await scene.close()


async def test_a_crash_at_any_step_loses_nothing(make_scene: Any) -> None:
    with quick_folder() as root:
        tape = Tape(root)
        with FakeVfs(tape) as vfs:
            scene = make_scene(lambda: database_at_once(root / "mail.db", vfs=vfs.name))
            await scene.open()
            since = len(tape.operations)
            await play(scene, tape)
            await scene.close()

        async def look(folder: Path) -> set[Hashable]:
            return await recover(make_scene, folder)

        explored = await explore(tape, look, since=since, at_most=200)
    assert explored.folders > 50
