"""A file whose bits have flipped, or whose end is gone, never answers wrongly in silence.

Each case ends in one of these ways.  Anything else fails, as would a process that
crashes or hangs:

- refused: the file can't be opened, and words say why;
- found: ``mailplat verify`` tells of it, and itself comes to its end;
- nothing: all rows are as they were, and the flipped bit was in no page that has a use.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock

from mailplat.app.operations.keeping import verify
from mailplat.bus import Bus
from mailplat.directory.directory import Directory, DirectorySettings
from mailplat.interfaces import House
from mailplat.mail.content import Octets
from mailplat.mail.errors import StoreFailed
from mailplat.mail.mailbox import (
    SEEN,
    Change,
    Delivery,
    FlagChange,
    NewMessage,
    Placement,
    UidSet,
)
from mailplat.mail.summary import summarise
from mailplat.queue.queue import Queue
from mailplat.sql import Connection, SqliteDatabase, UnusableDatabase, steps_of
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once, workers_at_once

ROOMS = {
    "directory": "mailplat.directory",
    "store": "mailplat.store.indexed",
    "queue": "mailplat.queue",
}
SECONDS = 10  # that one case may take
PAGE = 4096


def message(number: int) -> NewMessage:
    head = f"Subject: {number}\r\nMessage-ID: <{number}@x>\r\nReferences: <{number // 4}@x>\r\n"
    size = 150_000 if number % 20 == 7 else 300 * (number % 11 + 1)
    octets = head.encode() + b"\r\n" + random.Random(number).randbytes(size)
    return NewMessage(Octets(octets), summarise(octets))


@async_yield_fixture
async def sound(tmp_path: Path) -> AsyncIterator[Path]:
    """Return a file with mail in use, flags, expunged messages and free pages."""
    clock: Any = Clock()
    database = database_at_once(tmp_path / "sound.db")
    await database.open()
    for room, package in ROOMS.items():
        await database.migrate(room, steps_of(package))
    store = IndexedStore(IndexedStoreSettings(), database, Bus(clock), clock, clock)
    await store.prepare()
    directory = Directory(DirectorySettings(), database, workers_at_once(), Bus(clock))
    await directory.add_domain("x.example", "alice@x.example")
    alice = await directory.add_account("alice@x.example", b"secret")
    bob = await directory.add_account("bob@x.example", b"secret")
    for number in range(60):
        account = (alice if number % 3 else bob).id
        place = Placement("Work" if number % 5 else "INBOX", create=True)
        await store.deliver([Delivery(str(number), account, message(number), (place,))])
    mail = await store.open(alice.id)
    for box in await mail.mailboxes():
        await mail.flag(box.id, UidSet(((1, 4),)), FlagChange(Change.ADD, frozenset({SEEN})))
        await mail.expunge(box.id, UidSet(((2, 3),)))
    store.finish()
    await database.close()
    yield tmp_path / "sound.db"


# What happens to a file ------------------------------------------------------


def flip(octets: bytearray, luck: random.Random) -> bytearray:
    octets[luck.randrange(len(octets))] ^= 1 << luck.randrange(8)
    return octets


def flip_some(octets: bytearray, luck: random.Random) -> bytearray:
    for _ in range(luck.randrange(2, 20)):
        flip(octets, luck)
    return octets


def flip_in_front(octets: bytearray, luck: random.Random) -> bytearray:
    """The header of the file, and the front of its schema."""
    octets[luck.randrange(200)] ^= 1 << luck.randrange(8)
    return octets


def cut(octets: bytearray, luck: random.Random) -> bytearray:
    return octets[: luck.randrange(len(octets))]


def cut_pages(octets: bytearray, luck: random.Random) -> bytearray:
    return octets[: luck.randrange(len(octets) // PAGE) * PAGE]


def zero_page(octets: bytearray, luck: random.Random) -> bytearray:
    """What a disk gives back for a block that it has lost, or never wrote."""
    at = luck.randrange(len(octets) // PAGE) * PAGE
    octets[at : at + PAGE] = bytes(PAGE)
    return octets


def swap_pages(octets: bytearray, luck: random.Random) -> bytearray:
    """What comes of a write that went to another place."""
    at, other = (luck.randrange(len(octets) // PAGE) * PAGE for _ in range(2))
    octets[at : at + PAGE] = octets[other : other + PAGE]
    return octets


HARM: dict[str, Callable[[bytearray, random.Random], bytearray]] = {
    "one bit": flip,
    "some bits": flip_some,
    "one bit in front": flip_in_front,
    "zero page": zero_page,
    "swapped": swap_pages,
    "cut": cut,
    "cut at a page": cut_pages,
}


# What is seen of it ----------------------------------------------------------


def rows(db: Connection) -> list[Any]:
    tables = [name for [name] in db.all("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return [(name, db.all(f"SELECT * FROM {name}")) for name in sorted(tables)]


async def findings(database: SqliteDatabase) -> int:
    """Say what ``mailplat verify`` finds, which itself may not fail."""
    clock: Any = Clock()
    bus = Bus(clock)
    directory = Directory(DirectorySettings(), database, workers_at_once(), bus)
    store = IndexedStore(IndexedStoreSettings(), database, bus, clock, clock)
    ground = SimpleNamespace(database=database)
    desk: Any = SimpleNamespace(
        ground=ground,
        directory=directory,
        people=directory,
        stores={"main": store},
        queue=Queue(database, House("mail.example.org", database.path.parent), clock, clock),
    )
    return len((await verify(desk))["findings"])


async def outcome(path: Path, before: list[Any]) -> str:
    database = database_at_once(path)
    try:
        await database.open()
        for room, package in ROOMS.items():
            await database.migrate(room, steps_of(package))
    except (UnusableDatabase, StoreFailed):
        await database.close()
        return "refused"
    try:
        if await findings(database):
            return "found"
        return "nothing" if await database.read(rows) == before else "SILENT"
    finally:
        await database.close()


def cases(count: int, seed: int) -> Iterator[tuple[int, str]]:
    names = list(HARM)
    for number in range(count):
        yield seed + number, names[number % len(names)]


async def harmed(sound: Path, count: int, seed: int) -> dict[str, Counter[str]]:
    whole = sound.read_bytes()
    database = database_at_once(sound)
    await database.open()
    before = await database.read(rows)
    assert not await findings(database)
    await database.close()
    path = sound.with_name("harmed.db")
    found: dict[str, Counter[str]] = {name: Counter() for name in HARM}
    for number, name in cases(count, seed):
        for left in path.parent.glob("harmed.db*"):
            left.unlink()
        path.write_bytes(HARM[name](bytearray(whole), random.Random(number)))
        began = time.monotonic()
        came = await outcome(path, before)
        assert time.monotonic() - began < SECONDS, (name, number)
        if came == "SILENT":
            shutil.copy(path, path.with_name(f"silent-{number}.db"))
        found[name][came] += 1
    for name, counts in found.items():
        print(f"{name:20}", dict(counts))
    return found


async def test_no_harm_is_silent(sound: Path) -> None:
    found = await harmed(sound, 200, 0)
    assert not any(counts["SILENT"] for counts in found.values()), found


@pytest.mark.long
async def test_no_harm_of_ten_thousand_is_silent(sound: Path) -> None:
    """About ten minutes."""
    found = await harmed(sound, 10_000, 1_000_000)
    silent = {name: counts["SILENT"] for name, counts in found.items()}
    assert silent.pop("swapped") <= 5, found  # the end of one content in another's place
    assert not any(silent.values()), found
