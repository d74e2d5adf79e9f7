"""A place of contents that shows mailboxes agrees with the index, whatever happens."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailplat.interfaces import IAccount, IContentStore, IPlacedContents
from mailplat.mail.errors import MailError, StoreFailed
from mailplat.mail.mailbox import (
    DELETED,
    FLAGGED,
    INBOX,
    SEEN,
    Delivery,
    MailboxEdit,
    UidSet,
    Wanted,
)
from mailplat.mail.people import AccountId
from mailplat.mail.placing import Placed, Shown
from mailplat.plugin import Instance
from mailplat.sql.postgres import PostgresDatabase, Target
from mailplat.store.indexed import queries
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.contracts.accounts import ALICE, HELLO, add, numbered, records
from mailplat.testing.disk import quick_folder
from mailplat.testing.fakes import FakeBus, FakeContents
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once

BOB = AccountId("bob")


@implementer(IContentStore, IPlacedContents)
@attrs.define
class FakeMaildir(FakeContents):
    """Shows mailboxes in memory; fails, or waits, when it is told to."""

    folders: dict[str, dict[str, dict[int, Placed]]] = attrs.field(factory=dict)
    names: dict[str, dict[str, str]] = attrs.field(factory=dict)
    fails: bool = False
    hangs: Any = None
    told: int = 0

    async def show(self, account: AccountId, mailboxes: Sequence[Shown]) -> None:
        self.told += 1
        folders = self.folders.setdefault(account, {})
        names = self.names.setdefault(account, {})
        for at, shown in enumerate(mailboxes):
            if self.fails and at == len(mailboxes) // 2:
                raise StoreFailed("made to fail half-way")
            if self.hangs:
                await self.hangs
            if shown.name is None:
                folders.pop(shown.mailbox, None)
                names.pop(shown.mailbox, None)
                continue
            names[shown.mailbox] = shown.name
            folder = folders.setdefault(shown.mailbox, {})
            if shown.is_whole:
                folder.clear()
            for uid in shown.removed.among(sorted(folder)):
                del folder[uid]
            folder.update({placed.uid: placed for placed in shown.placed})

    async def forget(self, account: AccountId) -> None:
        if self.fails:
            raise StoreFailed("made to fail")
        if self.hangs:
            await self.hangs
        self.folders.pop(account, None)
        self.names.pop(account, None)


@attrs.define
class Scene:
    path: Path
    place: Any = attrs.field(factory=FakeMaildir)
    database: Any = None
    store: Any = None

    async def start(self) -> None:
        self.database = database_at_once(self.path)
        await self.database.open()
        settings = IndexedStoreSettings(contents=Instance("maildir"))
        self.store = IndexedStore(
            settings, self.database, FakeBus(), Clock(), Clock(), self.place
        )
        await self.store.prepare()

    async def stop(self) -> None:
        self.store.finish()
        await self.database.close()

    async def agrees(self, who: AccountId = ALICE) -> None:
        """See that everything is shown as it is, and that no content is missing there."""
        account = await self.store.open(who)
        boxes = await account.mailboxes()
        assert self.place.names[who] == {box.id: box.name for box in boxes}
        for box in boxes:
            expected = {
                record.uid: set(record.flags)
                for record in await records(account, box.id, wanted=Wanted.FLAGS)
            }
            shown = self.place.folders[who][box.id]
            assert {uid: set(placed.flags) for uid, placed in shown.items()} == expected
            assert {placed.key for placed in shown.values()} <= self.place.kept.keys()


@async_yield_fixture
async def scene() -> AsyncIterator[Scene]:
    with quick_folder() as folder:
        scene = Scene(folder / "mail.db")
        await scene.start()
        yield scene
        await scene.stop()


async def test_it_is_what_it_says() -> None:
    assert verifyObject(IPlacedContents, FakeMaildir())


async def act(scene: Scene, account: IAccount, chance: random.Random) -> None:
    """Do something or other to an account."""
    boxes = await account.mailboxes()
    box, other = chance.choice(boxes), chance.choice(boxes)
    some = UidSet.of(*chance.sample(range(1, 12), 3))
    name = chance.choice(["a", "b", "c", "a/b"])
    match chance.randrange(9):
        case 0 | 1:
            await account.append(box.id, [numbered(chance.randrange(9), SEEN), HELLO])
        case 2:
            await scene.store.deliver([Delivery(f"{chance.random()}", ALICE, HELLO)])
        case 3:
            await account.flag(box.id, some, add(chance.choice([DELETED, FLAGGED])))
        case 4:
            await account.move(box.id, some, other.id, keep=chance.random() < 0.5)
        case 5:
            await account.expunge(box.id, some)
        case 6:
            await account.create(name)
        case 7:
            await account.edit(box.id, MailboxEdit(name=name))
        case 8:
            await account.remove(box.id)


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_is_shown(scene: Scene, seed: int) -> None:
    """Also when it fails half-way, or the server stops before it is told."""
    chance = random.Random(seed)
    account = await scene.store.open(ALICE)
    for _ in range(40):
        scene.place.fails = chance.random() < 0.3
        try:
            await act(scene, account, chance)
        except MailError:
            pass
        if chance.random() < 0.1:
            await scene.stop()
            scene.place.fails = False
            await scene.start()
            account = await scene.store.open(ALICE)
            await scene.agrees()
    scene.place.fails = False
    await account.append((await account.mailboxes())[0].id, [HELLO])
    await scene.agrees()


async def test_a_place_that_remembers_nothing_is_shown_everything(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many changes the oldest are forgotten; then it is told all there is."""
    monkeypatch.setattr(queries.changes, "KEPT_CHANGES", 3)
    scene.place.fails = True
    account = await scene.store.open(ALICE)
    [inbox] = await account.mailboxes()
    await account.create("box")
    for n in range(10):
        await account.append(inbox.id, [numbered(n)])
    await account.expunge(inbox.id, UidSet.of(2, 5))
    scene.place.folders = {ALICE: {inbox.id: {2: "gone", 99: "never there"}}}
    await scene.database.write(queries.changes.forget_changes, "")
    scene.place.fails = False
    await scene.stop()
    await scene.start()
    await scene.agrees()


async def test_one_telling_comes_after_the_other(scene: Scene) -> None:
    """What happens while it is under way is told together, when it is over."""
    account = await scene.store.open(ALICE)
    [inbox] = await account.mailboxes()
    scene.place.hangs = Deferred()
    told = scene.place.told
    for n in range(10):
        await account.append(inbox.id, [numbered(n)])
    hung, scene.place.hangs = scene.place.hangs, None
    assert scene.place.told == told + 1
    hung.callback(None)
    assert scene.place.told == told + 2
    await scene.agrees()


async def test_a_removed_account_is_shown_no_more(scene: Scene) -> None:
    for who in (ALICE, BOB):
        await scene.store.deliver([Delivery("1", who, HELLO)])
    await scene.store.remove(ALICE)
    assert scene.place.folders.keys() == {BOB}
    await scene.store.deliver([Delivery("2", ALICE, HELLO)])
    for who in (ALICE, BOB):
        await scene.agrees(who)
    account = await scene.store.open(ALICE)
    assert [box.name for box in await account.mailboxes()] == [INBOX]


async def test_a_removal_that_cannot_be_shown_keeps_no_house_from_opening(
    scene: Scene,
) -> None:
    await scene.store.deliver([Delivery("1", ALICE, HELLO), Delivery("2", BOB, HELLO)])
    scene.place.fails = True
    with pytest.raises(StoreFailed):
        await scene.store.remove(ALICE)
    await scene.stop()
    await scene.start()
    await scene.stop()
    scene.place.fails = False
    await scene.start()
    assert set(scene.place.folders) == {BOB}


async def test_nothing_is_shown_while_an_account_is_forgotten(scene: Scene) -> None:
    """It may come back meanwhile."""
    await scene.store.deliver([Delivery("1", ALICE, HELLO)])
    scene.place.hangs = Deferred()
    removed = Deferred.fromCoroutine(scene.store.remove(ALICE))
    told = scene.place.told
    await scene.store.deliver([Delivery("2", ALICE, HELLO)])
    assert scene.place.told == told
    scene.place.hangs.callback(None)
    scene.place.hangs = None
    await removed
    await scene.agrees()


async def test_it_is_the_same_on_postgres(reactor: Any, postgres: Target) -> None:
    place = FakeMaildir()
    database = PostgresDatabase(postgres, reactor)
    await database.open()
    settings = IndexedStoreSettings(contents=Instance("maildir"))
    store = IndexedStore(settings, database, FakeBus(), Clock(), Clock(), place)
    await store.prepare()
    scene = Scene(Path(), place, database, store)
    account = await store.open(ALICE)
    [inbox] = await account.mailboxes()
    await account.append(inbox.id, [numbered(n, SEEN) for n in range(9)])
    await account.expunge(inbox.id, UidSet.of(2, 5))
    box = await account.create("a/b")
    await account.move(inbox.id, UidSet.of(1, 3), box.id)
    assert store.showing
    await DeferredList(list(store.showing._under_way.values()))
    await scene.agrees()
    await scene.stop()
