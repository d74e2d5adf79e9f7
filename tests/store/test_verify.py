"""What is wrong in an index is found, with its place, and mended without losing a message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from mailplat.bus import Bus
from mailplat.mail.content import Octets, whole
from mailplat.mail.events import AccountChanged
from mailplat.mail.finding import Finding
from mailplat.mail.mailbox import (
    FLAGGED,
    SEEN,
    Change,
    Delivery,
    FlagChange,
    NewMessage,
    Placement,
    UidSet,
    Wanted,
)
from mailplat.mail.people import AccountId
from mailplat.mail.summary import read_summary, summarise
from mailplat.sql import Connection
from mailplat.store.indexed.queries import audit
from mailplat.store.indexed.queries.mending import MENDING, mending_of
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.audit import wrong_in
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once

ALICE, BOB = AccountId("alice"), AccountId("bob")
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 10_000


def message(number: int, text: bytes = b"") -> NewMessage:
    head = f"Subject: {number}\r\nMessage-ID: <{number}@x>\r\nReferences: <{number % 3}@x>\r\n"
    octets = text or head.encode() + b"\r\n" + b"x" * 500 + b"\r\n"
    return NewMessage(Octets(octets), summarise(octets))


async def filled(folder: Path) -> IndexedStore:
    clock: Any = Clock()
    database = database_at_once(folder / "mail.db")
    await database.open()
    store = IndexedStore(IndexedStoreSettings(), database, Bus(clock), clock, clock)
    await store.prepare()
    for account in (ALICE, BOB):
        for number in range(8):
            flags = frozenset({SEEN}) if number % 2 else frozenset({FLAGGED, "later"})
            box = Placement("Work/New" if number > 5 else "INBOX", flags=flags, create=True)
            key = f"{account} {number}"
            await store.deliver([Delivery(key, account, message(number), (box,))])
        await store.deliver([Delivery("large", account, message(9, LARGE))])
        mail = await store.open(account)
        inbox = (await mail.mailboxes())[0]
        await mail.flag(inbox.id, UidSet(((1, 2),)), FlagChange(Change.ADD, frozenset({SEEN})))
        await mail.expunge(inbox.id, UidSet(((3, 3),)))
        del mail
        store.sweeper.catch_up()
    return store


@async_yield_fixture
async def store(tmp_path: Path) -> AsyncIterator[IndexedStore]:
    store = await filled(tmp_path)
    yield store
    store.finish()
    await store.database.close()


def run(db: Connection, sql: str) -> None:
    db.execute("PRAGMA defer_foreign_keys = ON")
    db.execute(sql)


async def octets_of(store: IndexedStore) -> dict[str, list[bytes]]:
    """Return the octets of all messages of each account, whatever their place."""
    found: dict[str, list[bytes]] = {}
    for account in (ALICE, BOB):
        mail = await store.open(account)
        for box in await mail.mailboxes():
            async with mail.records(box.id, UidSet.all(), Wanted.SUMMARY) as cursor:
                while batch := await cursor.next_batch():
                    for record in batch.records():
                        octets = await whole(await mail.content(record))
                        assert read_summary(record.summary or b"")
                        found.setdefault(account, []).append(octets)
        found[account].sort()
    return found


BROKEN = {
    "other counts": "UPDATE store_mailboxes SET unseen = 7, size = 1 WHERE mailbox = 1",
    "a UID": "UPDATE store_mailboxes SET uid_next = 2 WHERE account = 'bob' AND mailbox = 1",
    "a UID or": "UPDATE store_messages SET modseq = 900 WHERE account = 'bob' AND uid = 1",
    "a UID or a": "DELETE FROM store_mailboxes WHERE account = 'alice' AND name = 'Work/New'",
    "flags that": "DELETE FROM store_flag_sets WHERE account = 'bob'",
    "other places": "UPDATE store_emails SET places = 3 WHERE account = 'bob'",
    "other places than": "DELETE FROM store_messages WHERE account = 'bob' AND uid = 4",
    "other places than it": "INSERT INTO store_unnamed SELECT account, email, 5"
    " FROM store_emails WHERE account = 'bob'",
    "a number that was": "UPDATE store_numbers SET email = 3",
    "a thread that": "UPDATE store_emails SET thread = 4711 WHERE email = 2",
    "has joined": "INSERT INTO store_joined_threads SELECT account, thread, 1"
    " FROM store_emails WHERE thread IS NOT NULL GROUP BY account, thread",
    "no email": "DELETE FROM store_emails WHERE account = 'bob'",
    "to no email": "DELETE FROM store_emails WHERE account = 'bob';"
    " DELETE FROM store_messages WHERE account = 'bob'",
    "waited for": "INSERT INTO store_unnamed VALUES ('bob', 4711, 3)",
    "has changed": "DELETE FROM store_changes WHERE account = 'bob'",
    "was removed": "INSERT INTO store_changes VALUES ('bob', 2, 1, 6, 1, 9)",
    "has gone": "INSERT INTO store_changes VALUES ('bob', 2, 1, 3, 0, 0)",
    "out of": "UPDATE store_accounts SET forgotten = 5000",
    "has not given": "UPDATE store_accounts SET modseq = 2, number = 1, uid_validity = 0",
    "a change has": "INSERT INTO store_changes VALUES ('bob', 5000, 1, 5, 1, 1)",
    "one INBOX": "DELETE FROM store_mailboxes WHERE account = 'bob' AND mailbox = 1",
    "one role": "UPDATE store_mailboxes SET role = '\\Archive' WHERE mailbox > 1",
    "a role": "UPDATE store_mailboxes SET role = 'nonsense' WHERE mailbox = 2",
    "one UIDVALIDITY": "UPDATE store_mailboxes SET uid_validity = 1",
    "not there": "DELETE FROM store_mailboxes WHERE name = 'Work'",
    "an account that": "DELETE FROM store_accounts WHERE account = 'bob'",
    "all of it": "DELETE FROM store_accounts; DELETE FROM store_mailboxes",
}
"""Each a way to break the index from which no octet is lost."""


@pytest.mark.parametrize("name", BROKEN)
async def test_it_is_found_and_mended_and_nothing_is_lost(
    store: IndexedStore, name: str
) -> None:
    before = await octets_of(store)
    assert await store.verify(mend=False) == []
    await store.database.write(run, BROKEN[name])
    found = await store.verify(mend=False)
    assert found
    assert not any(one.mended for one in found)
    assert await store.verify(mend=False) == found  # looking changes nothing
    mended = await store.verify(mend=True)
    assert mended
    assert [one for one in mended if not one.mended] == []
    assert await store.verify(mend=False) == []
    assert await store.database.read(wrong_in, audit.RULES) == []
    assert await octets_of(store) == before


async def test_findings_say_where(store: IndexedStore) -> None:
    await store.database.write(
        run,
        "UPDATE store_messages SET flags = 99 WHERE account = 'bob' AND mailbox = 1 AND uid = 2",
    )
    [counts, flags] = await store.verify(mend=False)
    assert counts.what == "a mailbox has other counts than messages"
    assert flags == Finding(
        "a message has flags that nobody knows", "bob", "INBOX", 2, detail="99"
    )
    assert str(flags) == "bob, INBOX, UID 2: a message has flags that nobody knows (99)"
    found = await store.verify(mend=True)
    assert any(str(one).endswith("(99); mended: it has no flags now") for one in found)


@pytest.mark.parametrize("summary", ["x''", "x'01'", "x'02'", "substr(summary, 1, 60)"])
async def test_a_summary_that_cant_be_read_is_made_again(
    store: IndexedStore, summary: str
) -> None:
    before = await octets_of(store)
    await store.database.write(run, f"UPDATE store_emails SET summary = {summary}")
    found = await store.verify(mend=False)
    assert len(found) == 16
    assert {one.mailbox for one in found} == {"INBOX", "Work/New"}
    assert "its summary" in found[0].detail
    mended = await store.verify(mend=True)
    assert {one.mended for one in mended} == {"its summary was made again of its octets"}
    assert await store.verify(mend=False) == []
    assert await octets_of(store) == before


async def test_octets_that_are_gone_are_told_and_nothing_is_dropped(
    store: IndexedStore,
) -> None:
    lost = "DELETE FROM store_contents WHERE account = 'bob' AND piece >> 20 IN (9, 10)"
    await store.database.write(run, lost)
    found = await store.verify(mend=False)
    again = await store.verify(mend=True)
    assert again == found
    assert {(one.account, one.mailbox, one.uid) for one in found} == {
        ("bob", "INBOX", 1),
    } | {(one.account, one.mailbox, one.uid) for one in found}
    assert all(one.what.startswith("an email has not all of its octets") for one in found)
    mail = await store.open(BOB)
    assert (await mail.mailboxes())[0].messages == 6


async def test_an_email_of_which_nothing_is_left_is_told(store: IndexedStore) -> None:
    await store.database.write(
        run,
        "DELETE FROM store_contents WHERE account = 'bob';"
        "DELETE FROM store_emails WHERE account = 'bob'",
    )
    found = await store.verify(mend=True)
    left = [one for one in found if not one.mended]
    assert {one.what for one in left} == {"a message has no email"}
    assert len(left) == 8


async def test_mail_of_an_account_that_nobody_has(store: IndexedStore) -> None:
    assert await store.verify(False, [ALICE, BOB]) == []
    [found] = await store.verify(False, [ALICE])
    assert found == Finding("there is mail of an account that nobody has", "bob")


async def test_watchers_are_told_of_what_was_mended(store: IndexedStore) -> None:
    told: list[AccountChanged] = []
    store._wall.advance(0)
    store._bus.subscribe(AccountChanged, told.append)
    await store.database.write(run, BROKEN["flags that"])
    await store.verify(mend=True)
    store._wall.advance(0)
    assert {one.account for one in told} == {BOB}


def test_all_rules_but_some_are_mended() -> None:
    """What is not: octets that are gone, and keys that only tell of a bug."""
    left = [rule for rule in audit.RULES if mending_of(rule) is None]
    assert [rule.split(",")[0] for rule in left] == [
        "an email has not all of its octets",
        "a key belongs to no email of its account",
        "a key is that of two contents",
        "a key was given for a delivery at a time that is none",
    ]
    for begins in MENDING:
        assert any(rule.startswith(begins) for rule in audit.RULES), begins
