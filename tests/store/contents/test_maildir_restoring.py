"""Restoring into maildirs: what is restored is not taken for what other programs did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mailplat.mail.mailbox import FLAGGED, INBOX, SEEN, ModSeq
from mailplat.testing.contracts.accounts import ALICE, flags, names
from mailplat.testing.contracts.restoring import BOXES, box, restored

FIRST = [restored(3, 11, 5, SEEN), restored(7, 10, 17)]
THEN = [restored(3, 11, 6, FLAGGED), restored(8, 12, 9), restored(9, 13, 10, SEEN)]
EXPECTED = {3: {FLAGGED}, 7: set[str](), 8: set[str](), 9: {SEEN}}


async def begun(scene: Any) -> tuple[Any, Any]:
    """Return an account in which something was restored and shown, and its INBOX."""
    account = await scene.store.open(ALICE)
    here = await account.restore_mailboxes(BOXES, (), ModSeq(30))
    await account.restore(here[0], FIRST)
    await account.restore_mailboxes(BOXES, (), ModSeq(30))
    await scene.agrees()
    return account, here[0]


async def end_well(scene: Any, account: Any, inbox: Any) -> None:
    for _ in range(2):
        await scene.store.open(ALICE)
        assert await flags(account, inbox) == EXPECTED
    await account.restore_mailboxes(BOXES, (), ModSeq(30))
    await scene.agrees()
    assert await flags(account, inbox) == EXPECTED


async def test_what_is_restored_is_shown_before_anybody_looks(scene: Any) -> None:
    account, inbox = await begun(scene)
    await account.restore(inbox, THEN)
    await end_well(scene, account, inbox)


async def test_what_a_crash_left_restored_stays(scene: Any) -> None:
    account, inbox = await begun(scene)
    await account.restore(inbox, THEN)
    await scene.stop()
    await scene.start()
    await end_well(scene, await scene.store.open(ALICE), inbox)


@pytest.mark.parametrize("step", ["look", "show"])
@pytest.mark.parametrize("is_before", [True, False], ids=["before", "behind"])
async def test_what_is_restored_just_then_stays(
    scene: Any, monkeypatch: pytest.MonkeyPatch, step: str, is_before: bool
) -> None:
    """Between what is read of the index, what is done to files, and what is made of it."""
    account, inbox = await begun(scene)
    original: Callable[..., Any] = getattr(scene.place, step)
    at_work: list[Deferred[None]] = []

    def restore() -> None:
        monkeypatch.undo()
        at_work.append(Deferred.fromCoroutine(account.restore(inbox, THEN)))

    async def beside(*args: Any) -> Any:
        if is_before:
            restore()
        found = await original(*args)
        if not is_before:
            restore()
        return found

    path = next(path for path in (scene.root / "cur").iterdir() if "U7K" in path.name)
    path.rename(path.with_name(f"{path.name}T"))  # so that something is to be taken over
    monkeypatch.setattr(scene.place, step, beside)
    await scene.store.open(ALICE)
    [uid] = [one.uid for one in await account.append(inbox, [restored(1, 90, 1).message])]
    for one in at_work:
        await one
    assert len(at_work) == 1
    assert (await flags(account, inbox)).keys() == {*EXPECTED, uid}
    await scene.agrees()
    assert (await flags(account, inbox)).keys() == {*EXPECTED, uid}


async def test_mailboxes_that_are_not_restored_do_not_come_back(scene: Any) -> None:
    account, _ = await begun(scene)
    exchanged = [box(1, INBOX), box(2, "a/b"), box(5, "a")]
    await account.restore_mailboxes(exchanged, (), ModSeq(60))
    await scene.agrees()
    await account.restore_mailboxes([box(1, INBOX)], (), ModSeq(61))
    await scene.agrees()
    assert await names(account) == [INBOX]


async def test_of_another_uidvalidity_nothing_stays(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, inbox = await begun(scene)
    anew = [box(1, INBOX, 10, validity=9000), *BOXES[1:]]
    with monkeypatch.context() as later:
        later.setattr(scene.store.showing, "changed", lambda _account: None)
        await account.restore_mailboxes(anew, (), ModSeq(31))
        await account.restore(inbox, [restored(3, 77, 31)])
    await account.restore_mailboxes(anew, (), ModSeq(31))
    await scene.agrees()
    assert await flags(account, inbox) == {3: set()}
