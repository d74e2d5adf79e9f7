"""A store whose `contents` are changed: all that may be changed keeps all mail."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from twisted.internet.task import Clock

from mailplat.interfaces import IAccount
from mailplat.mail.mailbox import INBOX, SEEN, UidSet
from mailplat.plugin import ConfigError, Instance
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.contracts.accounts import (
    ALICE,
    BIG,
    HELLO,
    add,
    flags,
    named,
    numbered,
    octets,
)
from mailplat.testing.fakes import FakeContents, new_message

PLACES = ["database", "files", "maildir"]


async def start(scene: Any, contents: str) -> IAccount:
    """Open the store with its contents there, and an account in it."""
    clock = Clock()
    clock.advance(1_700_000_000)
    settings, place = IndexedStoreSettings(), None
    if contents != "database":
        settings = IndexedStoreSettings(contents=Instance(contents))
        place = scene.place if contents == "maildir" else scene.files
    scene.store = IndexedStore(settings, scene.database, scene.bus, clock, clock, place)
    await scene.store.prepare()
    opened: IAccount = await scene.store.open(ALICE)
    return opened


@pytest.fixture
def changing(empty: Any) -> Any:
    """A database, a maildir, and another place, with no store yet."""
    empty.files = FakeContents()
    return empty


async def fill(account: IAccount) -> dict[int, set[str]]:
    inbox = await named(account, INBOX)
    box = await account.create("box")
    some = [numbered(1), new_message(BIG), HELLO]
    await account.append(inbox.id, some)
    await account.append(box.id, some)
    await account.flag(inbox.id, UidSet.of(2), add(SEEN))
    return {1: set(), 2: {SEEN}, 3: set()}


async def end(scene: Any) -> None:
    scene.store.finish()


@pytest.mark.parametrize("contents", ["files", "maildir"])
async def test_what_lies_in_the_database_stays_there(changing: Any, contents: str) -> None:
    expected = await fill(await start(changing, "database"))
    await end(changing)
    account = await start(changing, contents)
    for number in range(4, 7):
        inbox, box = await named(account, INBOX), await named(account, "box")
        assert await flags(account, inbox.id) == expected
        assert len(await octets(account, inbox.id)) == number - 1
        assert len(await octets(account, box.id)) == 3
        await account.append(inbox.id, [numbered(number)])
        expected[number] = set()
        await end(changing)
        account = await start(changing, contents)


async def test_what_others_take_away_is_what_they_saw(changing: Any) -> None:
    """A folder that was empty to them, and a message among those that they never had."""
    await fill(await start(changing, "database"))
    await end(changing)
    account = await start(changing, "maildir")
    inbox, box = await named(account, INBOX), await named(account, "box")
    await account.append(inbox.id, [numbered(4)])
    await account.append(box.id, [numbered(4)])
    [path] = (changing.root / "cur").iterdir()
    path.unlink()
    shutil.rmtree(changing.root / ".box")
    for _ in range(2):
        account = await changing.store.open(ALICE)
        assert list((await account.index(inbox.id)).uids) == [1, 2, 3]
        assert list((await account.index(box.id)).uids) == [1, 2, 3]


@pytest.mark.parametrize("before", ["files", "maildir"])
@pytest.mark.parametrize("contents", PLACES)
async def test_from_elsewhere_nothing_is_left(
    changing: Any, before: str, contents: str
) -> None:
    """As long as there is anything, since nobody could read it any more."""
    expected = await fill(await start(changing, before))
    await end(changing)
    if contents != before:
        with pytest.raises(ConfigError, match=f"lie in \\[contents.{before}\\]"):
            await start(changing, contents)
        contents = before
    account = await start(changing, contents)
    assert await flags(account, (await named(account, INBOX)).id) == expected


async def test_a_maildir_may_be_left_and_come_back(changing: Any) -> None:
    """What came meanwhile lies in the database, and was never shown."""
    account = await start(changing, "maildir")
    inbox = await named(account, INBOX)
    await account.append(inbox.id, [numbered(1)])
    await account.expunge(inbox.id, UidSet.all())
    del account
    changing.store.sweeper.catch_up()
    await end(changing)
    account = await start(changing, "database")
    await account.append(inbox.id, [numbered(2), numbered(3)])
    await end(changing)
    for _ in range(2):
        account = await start(changing, "maildir")
        assert list((await account.index(inbox.id)).uids) == [2, 3]
        assert len(await octets(account, inbox.id)) == 2
        await end(changing)
