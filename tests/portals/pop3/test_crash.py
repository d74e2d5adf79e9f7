"""Whenever the machine stops around QUIT, all marked messages are gone or none is."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from mailplat.interfaces import IAccount
from mailplat.mail.mailbox import INBOX, UidSet, Wanted
from mailplat.portals.pop3.columns import HIDDEN
from mailplat.sql import SqliteDatabase
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.crash import explore
from mailplat.testing.disk import FakeVfs, Tape, quick_folder
from mailplat.testing.fakes import FakeBus
from mailplat.testing.workers import database_at_once

MESSAGES = frozenset(range(1, 7))
MARKED = frozenset({1, 2, 5})
TRASH = "Trash"


async def opened(database: SqliteDatabase) -> IndexedStore:
    await database.open()
    store = IndexedStore(IndexedStoreSettings(), database, FakeBus(), Clock(), Clock())
    await store.prepare()
    return store


async def subjects(account: IAccount, name: str, *, shown: bool = False) -> frozenset[int]:
    """Return the numbers in the Subject fields of a mailbox's messages."""
    found = [box for box in await account.mailboxes() if box.name == name]
    if not found:
        return frozenset()
    numbers = set()
    async with account.records(
        found[0].id, UidSet.all(), Wanted.CONTENT | Wanted.FLAGS
    ) as cursor:
        while (batch := await cursor.next_batch()) is not None:
            for record in batch.records():
                if not (shown and HIDDEN in (record.flags or ())):
                    numbers.add(int((record.content or b"").split()[1]))
    return frozenset(numbers)


@pytest.mark.parametrize("on_delete", ["remove", "keep", "move:Trash"])
async def test_every_crash_around_quit(scene: Any, on_delete: str) -> None:
    async def play(folder: Path, tape: Tape) -> None:
        with FakeVfs(tape) as vfs:
            database = database_at_once(folder / "mail.db", vfs=vfs.name)
            here = attrs.evolve(scene, store=await opened(database))
            await here.fill(*[b"Subject: %d\r\n\r\nhello\r\n" % n for n in sorted(MESSAGES)])
            tape.acknowledge("filled")
            portal = here.portal(on_delete=on_delete)
            client = here.client(portal)
            await client.log_in()
            await client.say(*[f"DELE {n}" for n in sorted(MARKED)])
            assert (await client.say("QUIT")).startswith(b"+OK")
            tape.acknowledge("removed")
            client.leave()
            other = here.client(portal)
            assert (await other.log_in()).startswith(b"+OK 3 messages")
            await other.say("DELE 1", "DELE 2")
            other.leave()
            tape.acknowledge("not removed")
            await database.close()

    async def recover(folder: Path) -> Collection[Hashable]:
        database = database_at_once(folder / "mail.db")
        account = await (await opened(database)).open(scene.people.accounts["alice"].id)
        shown = await subjects(account, INBOX, shown=True)
        kept = await subjects(account, INBOX) | await subjects(account, TRASH)
        await database.close()
        assert shown in (frozenset(), MESSAGES, MESSAGES - MARKED)
        if shown and on_delete != "remove":
            assert kept == MESSAGES
        facts = {"filled"} if shown else set()
        return facts | ({"removed", "not removed"} if shown == MESSAGES - MARKED else set())

    with quick_folder() as folder:
        tape = Tape(folder)
        await play(folder, tape)
        explored = await explore(tape, recover)
    assert explored.folders > 20
