"""``mailplat verify``: what is wrong with a whole house, beside a server and without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mailplat.interfaces import IDirectory
from mailplat.pytest_plugin import MemoryHouse
from mailplat.sql import Connection

BOB = "bob@example.org"


@pytest.fixture
def house(mailplat_house: Callable[..., MemoryHouse]) -> MemoryHouse:
    house = mailplat_house('[store.main]\nuse = "indexed"')
    house.add_account(BOB)
    for number in range(40):
        text = f"Subject: {number}\r\n\r\n{'x' * 3000}\r\n"
        assert house.deliver(text.encode(), to=BOB).startswith("250")
    return house


def verify(house: MemoryHouse, mend: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = house.operate("house.verify", mend=mend)
    json.dumps(found)
    return found


def run(db: Connection, sql: str) -> None:
    db.execute(sql)


async def change(house: MemoryHouse, sql: str) -> None:
    await house.foundation.database.write(run, sql)


def test_a_sound_house(house: MemoryHouse) -> None:
    assert verify(house) == {"findings": [], "more": 0, "mended": 0, "left": 0}


def test_what_can_be_mended_is(house: MemoryHouse) -> None:
    house.do(change(house, "UPDATE store_mailboxes SET messages = 7"))
    found = verify(house)
    assert (found["mended"], found["left"]) == (0, 1)
    assert (
        "INBOX: a mailbox has other counts than messages (7, 40,"
        in found["findings"][0]["text"]
    )
    mended = verify(house, mend=True)
    assert (mended["mended"], mended["left"]) == (1, 0)
    assert verify(house)["findings"] == []


def test_a_directory_that_cant_be_right(house: MemoryHouse) -> None:
    """What is wrong with people nobody but the operator can know."""
    broken = "UPDATE directory_accounts SET name = 'bob@example.net', password = 'x'"
    house.do(change(house, broken))
    whats = [one["what"] for one in verify(house, mend=True)["findings"]]
    assert whats == [
        "an account's name is not in its domain",
        "an account has no password, or is neither enabled nor disabled",
    ]


def test_mail_that_nobody_can_reach(house: MemoryHouse) -> None:
    house.add_account("carol@example.org")
    [carol] = [one for one in house.operate("account.list") if one["name"].startswith("carol")]
    house.do(house.tree.find(IDirectory).remove_account("carol@example.org"))
    [found] = verify(house)["findings"]
    assert found["text"] == f"{carol['id']}: there is mail of an account that nobody has"


def test_a_page_that_has_changed_is_traced_to_its_messages(house: MemoryHouse) -> None:
    frozen = house.do(house.foundation.database.frozen())  # which empties the log
    house.do(frozen.close())
    path = house.foundation.database.path
    octets = bytearray(path.read_bytes())
    octets[octets.index(b"Subject: 7\r\n\r\n") + 50] ^= 1
    path.write_bytes(octets)
    found = verify(house)["findings"]
    pages = [one for one in found if one["what"] == "the database is damaged"]
    assert "has changed since it was written" in pages[0]["detail"]
    messages = [one for one in found if one["uid"]]
    places = [(one["mailbox"], one["uid"]) for one in messages]
    assert ("INBOX", 8) in places
    assert len(places) <= 3  # others may lie on the same page
    assert "it can't be read" in messages[0]["detail"]
    assert verify(house, mend=True)["left"] == len(found)


def harm(house: MemoryHouse, table: str) -> None:
    """Change a bit in the first page of a table."""
    root = house.do(_root_of(house, table))
    frozen = house.do(house.foundation.database.frozen())  # which empties the log
    house.do(frozen.close())
    path = house.foundation.database.path
    octets = bytearray(path.read_bytes())
    octets[(root - 1) * frozen.page_size + 100] ^= 1
    path.write_bytes(octets)


async def _root_of(house: MemoryHouse, table: str) -> int:
    sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
    [[root]] = await house.foundation.database.read(lambda db: db.all(sql, (table,)))
    return int(root)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("directory_accounts", "the accounts can't be listed"),
        ("directory_domains", "can't tell whether two domains have one number"),
        ("store_removals", "can't tell whether there is mail of an account that nobody has"),
        ("store_keys", "can't tell whether octets are there behind M0"),
    ],
)
def test_a_page_of_any_table_keeps_nobody_from_looking_at_the_rest(
    mailplat_house: Callable[..., MemoryHouse], table: str, said: str
) -> None:
    house = mailplat_house('[store.main]\nuse = "indexed"\ncontents = "files"\n')
    house.add_account(BOB)
    assert house.deliver(b"Subject: any\r\n\r\ntext\r\n", to=BOB).startswith("250")
    house.do(change(house, "UPDATE store_mailboxes SET messages = 7"))
    harm(house, table)
    whats = [one["what"] for one in verify(house)["findings"]]
    assert "the database is damaged" in whats
    assert said in whats
    assert "a mailbox has other counts than messages" in whats
