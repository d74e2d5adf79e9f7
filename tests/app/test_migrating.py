"""A house's mail goes from one store to another, while it is used and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from mailplat.app.mistakes import BadConfiguration
from mailplat.app.operations import OPERATIONS, Desk
from mailplat.interfaces import IAccount
from mailplat.mail.content import whole
from mailplat.mail.errors import BadParameter, NotPermitted
from mailplat.mail.mailbox import (
    FLAGGED,
    SEEN,
    Change,
    FlagChange,
    MailboxId,
    Role,
    UidSet,
    Wanted,
)
from mailplat.mail.restoring import Restored
from mailplat.pytest_plugin import MemoryHouse
from mailplat.testing.fakes import new_message

TWO = """
[store.main]
use = "{0}"

[store.other]
use = "{1}"
{2}

[agents.local]
use = "local"
store = "main"

[portals.pop3]
use = "pop3"
listen = ["127.0.0.1:0"]
tls = "off"
store = "main"

[portals.imap]
use = "imap"
listen = ["127.0.0.1:0"]
tls = "off"
store = "main"
"""
ANN = "ann@example.org"


KINDS = [
    ("memory", "indexed", ""),
    ("indexed", "memory", ""),
    ("memory", "indexed", 'contents = "maildir"'),
]


@pytest.fixture(params=KINDS, ids="-".join)
def house(
    mailplat_house: Callable[..., MemoryHouse], request: pytest.FixtureRequest
) -> MemoryHouse:
    house = mailplat_house(TWO.format(*request.param))
    for name in (ANN, "ben@example.org"):
        house.add_account(name)
    return house


def migrate(house: MemoryHouse, source: str = "main", target: str = "other") -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        desk = Desk(house.tree)
        conversation = await OPERATIONS["store.migrate"](desk, source=source, target=target)
        while True:
            told: dict[str, Any]
            told, _ = await conversation.answer({"do": "go on"}, b"")
            if told["done"]:
                conversation.end()
                return told

    return house.do(run())


def account(house: MemoryHouse, store: str = "main") -> IAccount:
    async def run() -> IAccount:
        desk = Desk(house.tree)
        found = await desk.directory.account(ANN)
        assert found
        opened: IAccount = await desk.stores[store].open(found.id)
        return opened

    return house.do(run())


async def all_of(mail: IAccount) -> list[Any]:
    found: list[Any] = [set(await mail.subscriptions())]
    for box in await mail.mailboxes():
        found.append((box.name, box.role, box.uid_validity, box.uid_next, box.messages,
                      box.unseen, box.deleted, box.size))  # fmt: skip
        wanted = Wanted.FLAGS | Wanted.SUMMARY
        async with mail.records(box.id, UidSet.all(), wanted) as cursor:
            while (batch := await cursor.next_batch()) is not None:
                for one in batch.records():
                    octets = await whole(await mail.content(one))
                    found.append((one.uid, one.modseq, one.flags, one.received, one.saved,
                                  one.summary, octets))  # fmt: skip
    return found


async def fill(mail: IAccount) -> None:
    sent = await mail.create("a/Sent", Role.SENT)
    inbox = (await mail.mailboxes())[0]
    for start in range(0, 120, 30):
        letters = [
            b"Subject: %d\r\n\r\n%d\r\n" % (n, n) * (1 + n * n)
            for n in range(start, start + 30)
        ]
        await mail.append(inbox.id, [new_message(one, "$Work") for one in letters])
    await mail.expunge(inbox.id, UidSet(((5, 9), (120, 120))))
    await mail.move(inbox.id, UidSet(((20, 29),)), sent.id, keep=True)
    await mail.flag(inbox.id, UidSet(((1, 50),)), FlagChange(Change.ADD, frozenset({SEEN})))
    await mail.subscribe(["a/Sent", "gone"], True)


async def change(mail: IAccount) -> None:
    inbox, above, sent = await mail.mailboxes()
    await mail.expunge(inbox.id, UidSet(((1, 10),)))
    await mail.flag(
        inbox.id, UidSet(((30, 40),)), FlagChange(Change.REPLACE, frozenset({FLAGGED}))
    )
    await mail.remove(sent.id)
    await mail.create("new")
    await mail.append(above.id, [new_message(b"a: b\r\n\r\n")])


def test_all_of_it_is_there_with_its_numbers(house: MemoryHouse) -> None:
    mail, other = account(house), account(house, "other")
    house.do(fill(mail))
    told = migrate(house)
    assert (told["accounts"], told["messages"], told["written"]) == (2, 124, 124)
    assert house.do(all_of(other)) == house.do(all_of(mail))
    assert migrate(house)["written"] == 0
    assert house.do(all_of(other)) == house.do(all_of(mail))


def test_a_house_with_two_stores_is_looked_after(house: MemoryHouse, tmp_path: Path) -> None:
    """What is asked of one store is asked of the main one, the rest of both."""
    mail = account(house)
    house.do(fill(mail))
    used = house.operate("store.usage")["mailboxes"]
    inboxes = {(row["store"], row["messages"]) for row in used if row["account"] == ANN}
    assert {("main", 114), ("other", 0)} <= inboxes
    assert house.operate("house.verify")["findings"] == []
    assert house.operate("account.quota", name=ANN)["name"] == ANN
    assert house.operate("account.list")
    house.tree.configuration.source.file.write_text("")
    house.operate("house.backup", target=str(tmp_path / "kept"))
    back = house.operate("house.restore", target=str(tmp_path / "kept"), account=ANN)
    counts = {box["mailbox"]: box["added"] for box in back["mailboxes"]}
    assert "Restored/INBOX" in counts
    there = {box.name: box.messages for box in house.do(boxes(mail))}
    assert all(there.get(name, 0) == count for name, count in counts.items())


async def boxes(mail: IAccount) -> Any:
    return await mail.mailboxes()


def test_what_has_changed_since_is_taken_over(house: MemoryHouse) -> None:
    mail, other = account(house), account(house, "other")
    house.do(fill(mail))
    migrate(house)
    house.do(change(mail))
    told = migrate(house)
    assert (told["written"], told["removed"]) == (12, 5)
    assert house.do(all_of(other)) == house.do(all_of(mail))


async def arrive(mail: IAccount) -> None:
    """Let mail come into a mailbox that lies nowhere else."""
    box = (await mail.mailboxes())[-1]
    await mail.append(box.id, [new_message(b"a: %d\r\n\r\n" % n) for n in range(100, 110)])


async def begin_anew(mail: IAccount) -> None:
    """Let another mailbox, with other mail, have the name of one whose mail has moved."""
    boxes = {box.name: box for box in await mail.mailboxes()}
    last = await mail.create("z")
    await mail.move(boxes["a/Sent"].id, UidSet.all(), last.id)
    await mail.remove(boxes["a/Sent"].id)
    sent = await mail.create("a/Sent")
    await mail.append(sent.id, [new_message(b"a: %d\r\n\r\n" % n) for n in range(30)])


def test_a_mailbox_that_was_made_anew_is_another(house: MemoryHouse) -> None:
    mail, other = account(house), account(house, "other")
    house.do(fill(mail))
    house.do(arrive(mail))
    migrate(house)
    house.clock.advance(10)
    house.do(begin_anew(mail))
    assert migrate(house)["left_out"] == 0
    assert house.do(all_of(other)) == house.do(all_of(mail))


def test_what_reads_differently_is_tried_again(
    house: MemoryHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail, other = account(house), account(house, "other")
    house.do(fill(mail))
    restore = type(other).restore

    async def mistake(self: Any, mailbox: MailboxId, messages: Sequence[Restored]) -> None:
        others = [
            attrs.evolve(one, message=new_message(b"x" * one.record.size))
            if one.record.uid in (13, 14)
            else one
            for one in messages
        ]
        await restore(self, mailbox, others)

    monkeypatch.setattr(type(other), "restore", mistake)
    told = migrate(house)
    assert (told["written"], told["left_out"]) == (122, 2)
    assert [one["place"] for one in told["named"]] == [
        f"{ANN}: INBOX, UID 13",
        f"{ANN}: INBOX, UID 14",
    ]
    monkeypatch.undo()
    assert migrate(house)["written"] == 2
    assert house.do(all_of(other)) == house.do(all_of(mail))


def test_one_that_is_cut_off_goes_on(house: MemoryHouse) -> None:
    mail, other = account(house), account(house, "other")
    house.do(fill(mail))

    async def begin() -> None:
        conversation = await OPERATIONS["store.migrate"](
            Desk(house.tree), source="main", target="other"
        )
        for _ in range(3):
            await conversation.answer({"do": "go on"}, b"")
        conversation.end()

    house.do(begin())
    assert 0 < migrate(house)["written"] < 124
    assert house.do(all_of(other)) == house.do(all_of(mail))


def test_what_can_not_be_is_refused(house: MemoryHouse) -> None:
    with pytest.raises(BadParameter, match="there is no store third; there are main, other"):
        migrate(house, "main", "third")
    with pytest.raises(NotPermitted, match="into itself"):
        migrate(house, "main", "main")
    house.clock.advance(5000)  # so that another UIDVALIDITY comes of it
    other = account(house, "other")

    async def stray() -> None:
        made = await other.create("stray")
        await other.append(made.id, [new_message(b"a: b\r\n\r\n")])

    house.do(stray())
    with pytest.raises(NotPermitted, match=f"{ANN} has 1 other messages in the target"):
        migrate(house)


def test_two_stores_on_one_database_are_refused(
    mailplat_house: Callable[..., MemoryHouse],
) -> None:
    """Each would sweep away what the other is just taking in."""
    with pytest.raises(BadConfiguration, match=r"store\.other\.use: there may be one indexed"):
        mailplat_house(TWO.format("indexed", "indexed", ""))
