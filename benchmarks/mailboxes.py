"""A mailbox of 100,000 messages: opening it, flags, moves, changes.

Beside each stands what SQLite takes for the same rows alone: one connection, one thread,
no reactor; what writes does so in a copy of the file.
``python -m benchmarks.mailboxes FOLDER`` prints all pairs.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import attrs

from benchmarks.beside import Pair, Turns
from benchmarks.contents import as_server

MESSAGES = 100_000
FLAGGED_AT_ONCE = 10_000
MOVED_AT_ONCE = 1000
CHANGED = 100
ROUNDS = 16  # flags are set and taken away in turns
HERE = "account = 'a' AND mailbox = 1"
ROWS = f"SELECT uid, flags, modseq FROM store_messages WHERE {HERE} ORDER BY uid"
CHANGES = (
    "SELECT mailbox, what, first, last FROM store_changes WHERE account = 'a' AND modseq > ?"
)


@attrs.define
class Sides:
    """The store with an account whose INBOX is full, and the same rows without it."""

    database: Any
    store: Any
    account: Any
    inbox: Any
    other: Any
    reader: Any  # of the same file
    copy: Any  # to write in


async def measure(folder: Path, reactor: Any) -> dict[str, Pair]:
    """Return all pairs of figures, by the keys of their rows."""
    sides = await filled(folder, reactor)
    pairs = {
        "open": await opening(sides),
        "open-again": await opening_again(sides),
        "index-memory": await memory(sides),
        "flag-range": await flagging(sides),
        "move": await moving(sides),
        "changes": await changes(sides),
    }
    sides.store.finish()
    sides.reader.close()
    sides.copy.close()
    await sides.database.close()
    return pairs


async def filled(folder: Path, reactor: Any) -> Sides:
    from mailplat.bus import Bus
    from mailplat.mail.people import AccountId
    from mailplat.sql import SqliteDatabase
    from mailplat.sql.connection import open_reader, open_writer
    from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
    from mailplat.testing.fakes import new_message

    database = SqliteDatabase(folder / "mail.db", reactor)
    await database.open()
    settings = IndexedStoreSettings(index=False)
    store = IndexedStore(settings, database, Bus(reactor), reactor, reactor)
    await store.prepare()
    account = await store.open(AccountId("a"))
    [inbox] = await account.mailboxes()
    other = await account.create("other")
    message = new_message(b"Subject: one of very many\r\n\r\nnothing\r\n")
    for _ in range(MESSAGES // 1000):
        await account.append(inbox.id, [message] * 1000)
    reader = open_reader(folder / "mail.db")
    frozen = await database.frozen()
    path = folder / "copy.db"
    path.write_bytes((folder / "mail.db").read_bytes())
    await frozen.close()
    copy = open_writer(path, durable=True)
    return Sides(database, store, account, inbox.id, other.id, reader, copy)


async def in_turns(
    ceiling: Callable[[], object], ours: Callable[[], Awaitable[object]]
) -> Pair:
    async def alone() -> None:
        ceiling()

    turns = Turns()
    for _ in range(ROUNDS):
        await turns.take("ceiling", alone)
        await turns.take("ours", ours)
    return turns.pair()


async def opening(sides: Sides) -> Pair:
    """Open the mailbox when nobody has it open."""
    from mailplat.portals.indexes import Indexes

    async def ours() -> None:
        opened = await Indexes().open(sides.store, sides.account, sides.inbox)
        opened.close()

    return await in_turns(lambda: sides.reader.all(ROWS), ours)


async def opening_again(sides: Sides) -> Pair:
    """Open it while another has it open, when a message has been flagged since."""
    from mailplat.mail.mailbox import SEEN, Change, FlagChange, UidSet
    from mailplat.portals.indexes import Indexes

    indexes, turns = Indexes(), Turns()
    other = await indexes.open(sides.store, sides.account, sides.inbox)

    async def ours() -> None:
        opened = await indexes.open(sides.store, sides.account, sides.inbox)
        opened.close()

    for uid in range(1, ROUNDS + 1):
        since = (await other.advance()).modseq

        async def alone(since: int = since) -> None:
            assert len(sides.reader.all(CHANGES, (since,))) == 1

        change = FlagChange(Change.ADD, frozenset([SEEN]))
        await sides.account.flag(sides.inbox, UidSet.of(uid), change)
        await turns.take("ceiling", alone)
        await turns.take("ours", ours)
    return turns.pair()


async def memory(sides: Sides) -> Pair:
    """Count the octets of a message in the index, mod-sequences apart, and of its UID alone."""
    index = await sides.account.index(sides.inbox)
    octets = sum(map(sys.getsizeof, (index.uids, index.flags, index.flag_sets)))
    uids = sys.getsizeof(array("I", list(index.uids)))
    return Pair(uids / len(index.uids), octets / len(index.uids))


async def flagging(sides: Sides) -> Pair:
    """Flag a range of ten thousand messages, or take the flag away."""
    from mailplat.mail.mailbox import FLAGGED, Change, FlagChange, UidSet

    first, last = 20_001, 20_000 + FLAGGED_AT_ONCE
    update = (
        f"UPDATE store_messages SET flags = ?, modseq = ? WHERE {HERE} AND uid BETWEEN ? AND ?"
    )
    numbers = count(1)

    def ceiling() -> None:
        number = next(numbers)
        assert sides.copy.execute(update, (number, number, first, last)) == FLAGGED_AT_ONCE

    async def ours() -> None:
        change = Change.ADD if next(numbers) % 4 == 2 else Change.REMOVE
        flagged = await sides.account.flag(
            sides.inbox, UidSet(((first, last),)), FlagChange(change, frozenset([FLAGGED]))
        )
        assert len(flagged.changed) == FLAGGED_AT_ONCE

    return await in_turns(ceiling, ours)


async def moving(sides: Sides) -> Pair:
    """Move a thousand messages into another mailbox, the next ones each time."""
    from mailplat.mail.mailbox import UidSet

    here, there = count(60_000, MOVED_AT_ONCE), count(60_000, MOVED_AT_ONCE)

    def ceiling() -> None:
        first = next(here)
        among = (first, first + MOVED_AT_ONCE - 1)
        sides.copy.run("BEGIN IMMEDIATE")
        sides.copy.run(
            "INSERT INTO store_messages SELECT account, 2, uid, modseq, flags, email, saved"
            f" FROM store_messages WHERE {HERE} AND uid BETWEEN ? AND ?",
            among,
        )
        sides.copy.run(
            f"DELETE FROM store_messages WHERE {HERE} AND uid BETWEEN ? AND ?", among
        )
        sides.copy.run("COMMIT")

    async def ours() -> None:
        first = next(there)
        uids = UidSet(((first, first + MOVED_AT_ONCE - 1),))
        moved = await sides.account.move(sides.inbox, uids, sides.other)
        assert len(moved.target) == MOVED_AT_ONCE

    return await in_turns(ceiling, ours)


async def changes(sides: Sides) -> Pair:
    """Ask what has happened since a hundred messages here and there were flagged."""
    from mailplat.mail.mailbox import DRAFT, Change, FlagChange, UidSet

    since = (await sides.account.changes(0)).modseq
    for number in range(CHANGED):
        change = FlagChange(Change.ADD, frozenset([DRAFT]))
        await sides.account.flag(sides.inbox, UidSet.of(40_000 + 37 * number), change)

    async def ours() -> None:
        found = await sides.account.changes(since, sides.inbox)
        assert len(found.mailboxes[0].changed) == CHANGED

    return await in_turns(lambda: sides.reader.all(CHANGES, (since,)), ours)


if __name__ == "__main__":
    found = as_server(measure, Path(sys.argv[1]))
    print(json.dumps({key: attrs.astuple(pair) for key, pair in found.items()}))
