"""What the operator is told of the store."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.pytest_plugin import MemoryHouse
from mailplat.testing.programs import LOOPBACK, House

BOB = "bob@example.org"
FILES = '[store.main]\nuse = "indexed"\ncontents = "files"\n'


@pytest.fixture
def house(mailplat_house: Callable[..., MemoryHouse]) -> MemoryHouse:
    house = mailplat_house(FILES)
    house.add_account(BOB)
    for text in (b"one\r\n", b"two\r\n", b"three\r\n"):
        assert house.deliver(b"Subject: any\r\n\r\n" + text, to=BOB).startswith("250")
    return house


def test_usage_is_told_by_mailbox_and_place(house: MemoryHouse) -> None:
    found = house.operate("store.usage")
    [inbox] = found["mailboxes"]
    assert (inbox["account"], inbox["mailbox"], inbox["messages"]) == (BOB, "INBOX", 3)
    [place] = found["contents"]
    assert (place["place"], place["contents"]) == ("contents.files", 4)
    folder = house.foundation.state / "contents"
    assert place["octets"] == sum(path.stat().st_size for path in folder.glob("*/*/*"))
    assert 0 < inbox["octets"] < place["octets"]


def test_what_is_damaged_is_named(house: MemoryHouse) -> None:
    assert house.operate("house.verify")["findings"] == []
    folder = house.foundation.state / "contents"
    path = max(folder.glob("*/*/*"), key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    [found] = house.operate("house.verify")["findings"]
    assert (found["mailbox"], found["detail"]) == (
        "INBOX",
        "its octets are not what they were",
    )


def test_the_commands_when_the_server_is_down(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    house.make({"ann": "secret enough"}, contents="files")
    with house.start(), smtplib.SMTP(LOOPBACK, house.port("smtp")) as client:
        assert not client.sendmail(
            "b@example.net", ["ann@example.org"], b"Subject: any\r\n\r\n"
        )
    house.run("account", "disable", "ann@example.org")
    said = house.run("store", "usage")
    assert "ann@example.org         1  " in said
    assert "contents.files: 2 contents, " in said
    rows = json.loads(house.run("store", "usage", "--json"))["mailboxes"]
    assert [row["mailbox"] for row in rows] == ["INBOX", "INBOX"]
