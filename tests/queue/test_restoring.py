"""A queue that comes from a backup sends nothing by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mailplat.app.keeping.restoring import HELD, _renew
from mailplat.mail.queued import Selection, Standing
from mailplat.queue.queries.audit import RULES
from mailplat.testing.audit import wrong_in
from mailplat.testing.queues import FULL, new_posting
from mailplat.testing.workers import database_at_once


async def test_what_was_queued_is_held(make_scene: Any, tmp_path: Path) -> None:
    """Also what was being tried when the backup was made."""
    scene = make_scene(lambda: database_at_once(tmp_path / "mail.db", durable=False))
    await scene.open()
    scene.relay.waits.add("slow.example")
    scene.relay.answers["later.example"] = FULL
    for number, domain in enumerate(("slow", "slow", "later")):
        await scene.queue.enqueue(new_posting(f"x@{domain}.example", key=f"k{number}"))
    scene.pass_time()
    await scene.crash()  # a start that holds nothing yet
    await scene.database.close()
    _renew(tmp_path, nothing_served=False)
    await scene.open()
    scene.pass_time(86400)
    found = await scene.queue.messages(Selection())
    assert {one.standing for m in found for one in m.recipients} <= {Standing.HELD}
    assert [m.held for m in found] == [HELD] * 3
    assert len(scene.relay.tried) == 2
    assert not await scene.database.read(wrong_in, RULES, at_rest=False)
    scene.relay.waits.clear()
    scene.relay.answers.clear()
    assert await scene.queue.release(Selection()) == len(found)
    scene.pass_time()
    assert not await scene.queue.messages(Selection())
    await scene.close()


async def test_what_can_not_be_right_is_found(scene: Any) -> None:
    scene.relay.usual = FULL
    await scene.queue.enqueue(new_posting("x@a.example"))
    scene.pass_time()
    assert not await scene.queue.verify(mend=True)
    await scene.database.write(lambda db: db.execute("DELETE FROM queue_contents"))
    [finding] = await scene.queue.verify(mend=True)
    assert "queue: a message has no content" in str(finding)
