"""Does whatever may be done to mail until it is killed, and says each step before and after it.

    python at_work.py CONFIG SEED [DELIVERIES]

opens the store of a configuration, makes again the deliveries that were cut short, says what
each account has, and works.  Each line that it writes is an object of JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import react

from mailplat.app.config import read
from mailplat.app.foundation import Foundation, the_reactor
from mailplat.app.lock import Lock
from mailplat.app.registry import discover
from mailplat.app.tables import PORTALS
from mailplat.app.wiring import build
from mailplat.interfaces import IAccount, IDirectoryAdmin, IMailStore
from mailplat.mail.mailbox import (
    INBOX,
    Change,
    Delivery,
    FlagChange,
    MailboxId,
    Placement,
    Replaced,
    UidSet,
    Wanted,
)
from mailplat.mail.people import AccountId
from mailplat.testing.fakes import new_message

PEOPLE = [f"worker-{number}@example.org" for number in range(8)]
NAMES = ("a", "a/b", "b")
FLAGS = (r"\Seen", r"\Flagged", r"\Deleted", "$Work", "$Home")
LARGE = 150_000  # octets; what a message of every fiftieth number has
ENOUGH = 40  # messages of a mailbox, of which most go then


def say(**words: object) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def octets_of(number: int) -> bytes:
    """Return the message of a number, which is like no other."""
    line = blake2b(b"%d" % number).hexdigest().encode() + b"\r\n"
    lines = LARGE // len(line) if number % 50 == 0 else number % 30
    return b"Subject: %d\r\n\r\n" % number + line * lines


async def read_number(account: IAccount, octets: bytes | None, record: Any) -> int:
    """Return which message that is; -1 for one that is damaged."""
    if octets is None:
        content = await account.content(record)
        octets = await content.read(0, content.size)
        content.close()
    head = octets.partition(b"\r\n")[0].removeprefix(b"Subject: ")
    number = int(head) if head.isdigit() else -1
    return number if number >= 0 and octets == octets_of(number) else -1


async def state_of(account: IAccount) -> dict[str, Any]:
    """Return all that an account has, mailbox by mailbox."""
    found = {}
    for box in await account.mailboxes():
        messages = {}
        async with account.records(box.id, UidSet.all(), Wanted.FLAGS | Wanted.CONTENT) as all_:
            while batch := await all_.next_batch():
                for record in batch.records():
                    number = await read_number(account, record.content, record)
                    messages[record.uid] = [number, sorted(record.flags or ()), record.modseq]
        found[box.id] = {
            "name": box.name,
            "validity": box.uid_validity,
            "next": box.uid_next,
            "modseq": box.highest_modseq,
            "messages": messages,
        }
    return found


@attrs.define
class Worker:
    """Changes one account, step by step."""

    store: IMailStore
    id: AccountId
    chance: random.Random
    numbers: itertools.count[int]
    account: Any = None

    async def work(self) -> None:
        self.account = await self.store.open(self.id)
        while True:
            boxes = await self.account.mailboxes()
            box, other = self.chance.choice(boxes), self.chance.choice(boxes)
            uids = list((await self.account.index(box.id)).uids)
            steps = [self.append, self.append, self.deliver, self.flag, self.flag, self.move]
            steps += [self.expunge, self.replace, self.make_or_remove]
            step = self.expunge if len(uids) > ENOUGH else self.chance.choice(steps)
            await step(box.id, uids, other)

    def begin(self, does: str, **words: object) -> None:
        say(account=self.id, does=does, **words)

    def end(self, **words: object) -> None:
        say(account=self.id, done=words)

    def some(self, uids: list[int], least: int = 1) -> UidSet:
        most = max(least, len(uids) // 2)
        count = min(len(uids), self.chance.randint(least, most))
        return UidSet.of(*self.chance.sample(uids, count))

    def flags(self) -> list[str]:
        return sorted(self.chance.sample(FLAGS, self.chance.randrange(3)))

    async def append(self, box: MailboxId, _uids: list[int], _other: Any) -> None:
        numbers = [next(self.numbers) for _ in range(self.chance.randint(1, 3))]
        flags = self.flags()
        self.begin("append", box=box, numbers=numbers, flags=flags)
        messages = [new_message(octets_of(number), *flags) for number in numbers]
        kept = await self.account.append(box, messages)
        self.end(uids=[one.uid for one in kept], modseq=kept[0].modseq)

    async def replace(self, box: MailboxId, uids: list[int], other: Any) -> None:
        if not uids:
            return
        number, uid = next(self.numbers), self.chance.choice(uids)
        self.begin("replace", box=other.id, numbers=[number], flags=[], source=box, uid=uid)
        message = new_message(octets_of(number))
        kept = await self.account.append(other.id, [message], Replaced(box, uid))
        self.end(uids=[one.uid for one in kept], modseq=kept[0].modseq)

    async def deliver(self, _box: MailboxId, _uids: list[int], other: Any) -> None:
        number = next(self.numbers)
        self.begin("deliver", number=number, names=sorted({INBOX, other.name}))
        await deliver(self.store, self.id, number, {INBOX, other.name})
        self.end()

    async def flag(self, box: MailboxId, uids: list[int], _other: Any) -> None:
        if not uids:
            return
        chosen, change, flags = self.some(uids), self.chance.choice(list(Change)), self.flags()
        listed = list(chosen.among(uids))
        self.begin("flag", box=box, uids=listed, change=change.name, flags=flags)
        done = await self.account.flag(box, chosen, FlagChange(change, frozenset(flags)))
        self.end(modseq=done.modseq)

    async def move(self, box: MailboxId, uids: list[int], other: Any) -> None:
        if not uids:
            return
        chosen, keep = self.some(uids), self.chance.random() < 0.5
        listed = list(chosen.among(uids))
        self.begin("move", box=box, uids=listed, target=other.id, keep=keep)
        done = await self.account.move(box, chosen, other.id, keep)
        self.end(modseq=done.modseq)

    async def expunge(self, box: MailboxId, uids: list[int], _other: Any) -> None:
        if not uids:
            return
        chosen = self.some(uids, least=len(uids) // 3 + 1)
        self.begin("expunge", box=box, uids=list(chosen.among(uids)))
        await self.account.expunge(box, chosen)
        self.end()

    async def make_or_remove(self, _box: MailboxId, _uids: list[int], other: Any) -> None:
        boxes = await self.account.mailboxes()
        names = {box.name for box in boxes}
        missing = sorted({*NAMES} - names)
        if missing and ("a" in names or missing[0] != "a/b"):
            self.begin("make", name=missing[0])
            made = await self.account.create(missing[0])
            self.end(box=made.id, validity=made.uid_validity, modseq=made.highest_modseq)
        elif other.name in ("a/b", "b"):
            self.begin("remove", box=other.id)
            await self.account.remove(other.id)
            self.end()


async def deliver(store: IMailStore, account: AccountId, number: int, names: set[str]) -> None:
    placements = tuple(Placement(name) for name in sorted(names))
    delivery = Delivery(f"key-{number}", account, new_message(octets_of(number)), placements)
    [outcome] = await store.deliver([delivery])
    assert outcome.status.is_success, outcome


async def accounts_of(directory: IDirectoryAdmin) -> list[AccountId]:
    """Return who works, each of whom is made where there is nobody yet."""
    there = {account.name: account.id for account in await directory.accounts()}
    for name in PEOPLE:
        if name not in there:
            there[name] = (await directory.add_account(name, b"secret enough")).id
    return [there[name] for name in PEOPLE]


async def work(_reactor: object, config: str, seed: str, cut_short: str = "[]") -> None:
    configuration = read(Path(config), discover())
    entries = tuple(one for one in configuration.entries if one.room is not PORTALS)
    configuration = attrs.evolve(configuration, entries=entries, pipelines={})
    lock = Lock.take(configuration.house.state)
    foundation = Foundation.lay(configuration, the_reactor(), lock)
    await foundation.open()
    tree = build(configuration, foundation)
    await tree.prepare()
    for account, number, names in json.loads(cut_short):
        await deliver(tree.store, AccountId(account), number, set(names))
    accounts = await accounts_of(tree.find(IDirectoryAdmin))
    for account in accounts:
        say(account=account, has=await state_of(await tree.store.open(account)))
    start = int(seed) * 1_000_000
    workers = [
        Worker(tree.store, account, random.Random(start + at), itertools.count(start + at, 8))
        for at, account in enumerate(accounts)
    ]
    tasks = [Deferred.fromCoroutine(one.work()) for one in workers]
    await DeferredList(tasks, fireOnOneErrback=True, consumeErrors=True)


if __name__ == "__main__":
    react(work, sys.argv[1:])
