"""Mail for whom it is for: junk, aliases, several recipients, the postmaster, loops."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailplat.interfaces import IDirectory, IMailStore
from mailplat.pytest_plugin import PASSWORD, MemoryHouse

HELLO = b"From: bob@example.net\r\nSubject: hello\r\n\r\nhello\r\n"
FILTERS = """
from mailplat.mail.errors import Refused
from mailplat.mail.transit import KEEP, Stage, Verdict


class Junk:
    async def judge(self, transit):
        return Verdict.junk(5.5)


class NotForBob:
    async def judge(self, transit):
        no = Verdict.reject(Refused("bob does not want it"))
        return Verdict(recipients={"bob@example.org": no})


class Nobody:
    stages = (Stage.SENDER, Stage.RECIPIENT)

    async def judge(self, stage, transit):
        return Verdict.reject(Refused("nobody gets anything"))
"""

Make = Callable[..., MemoryHouse]


@pytest.fixture(params=["memory", "indexed"])
def house_with(
    request: pytest.FixtureRequest, mailplat_house: Make, tmp_path: Path
) -> Callable[..., MemoryHouse]:
    (tmp_path / "some_judges.py").write_text(FILTERS)

    def make(more: str = "", *inbound: str) -> MemoryHouse:
        store = f'[store.main]\nuse = "{request.param}"\n'
        house = mailplat_house(
            store + more, inbound=["recipients", "relaying", *inbound, "loops"]
        )
        for name in ("alice", "bob"):
            house.add_account(f"{name}@example.org")
        return house

    return make


def counts(house: MemoryHouse, address: str) -> dict[str, int]:
    """Return how many messages lie in each mailbox, by its role or else its name."""
    store, directory = house.tree.find(IMailStore), house.tree.find(IDirectory)
    found: Any = house.do(directory.account(address))
    account = house.do(store.open(found.id))
    return {one.name: one.messages for one in house.do(account.mailboxes()) if one.messages}


def test_junk_lies_in_its_own_mailbox(house_with: Callable[..., MemoryHouse]) -> None:
    house = house_with('[filters.junk]\nuse = "some_judges:Junk"', "junk")
    assert house.deliver(HELLO, "alice@example.org").startswith("250")
    assert house.deliver(HELLO, "alice@example.org").startswith("250")
    assert counts(house, "alice@example.org") == {"Junk": 2}


def test_smtp_files_a_refused_copy_as_junk(house_with: Callable[..., MemoryHouse]) -> None:
    house = house_with('[filters.not_for_bob]\nuse = "some_judges:NotForBob"', "not_for_bob")
    both = ["alice@example.org", "bob@example.org"]
    assert house.deliver(HELLO, both).startswith("250")
    assert counts(house, "alice@example.org") == {"INBOX": 1}
    assert counts(house, "bob@example.org") == {"Junk": 1}
    assert house.deliver(HELLO, "bob@example.org").startswith("550")
    assert [line[:3] for line in house.deliver(HELLO, both, portal="lmtp").splitlines()] == [
        "250",
        "550",
    ]
    assert counts(house, "bob@example.org") == {"Junk": 1}


def test_one_account_gets_one_copy(house_with: Callable[..., MemoryHouse]) -> None:
    house = house_with()
    house.operate("alias.add", source="info@example.org", targets=["alice@example.org"])
    everyone = ["alice@example.org", "bob@example.org"]
    house.operate("alias.add", source="all@example.org", targets=everyone)
    to = ["info@example.org", "alice+tag@example.org", "all@example.org"]
    assert house.deliver(HELLO, to).startswith("250")
    [message] = house.messages("alice@example.org")
    header = message.partition(b"From:")[0].splitlines()
    assert header[:4] == [
        b"Return-Path: <>",
        b"Delivered-To: info@example.org",
        b"Delivered-To: alice+tag@example.org",
        b"Delivered-To: all@example.org",
    ]
    assert counts(house, "bob@example.org") == {"INBOX": 1}


def test_an_alias_that_leads_outside_is_refused(house_with: Callable[..., MemoryHouse]) -> None:
    house = house_with()
    targets = ["alice@example.org", "carol@example.net"]
    house.do(house.tree.find(IDirectory).add_alias("out@example.org", targets))
    assert house.deliver(HELLO, "out@example.org").startswith("550 5.4.4")
    assert counts(house, "alice@example.org") == {}


def test_a_message_that_comes_round_is_refused(house_with: Callable[..., MemoryHouse]) -> None:
    house = house_with()
    assert house.deliver(HELLO, "alice@example.org").startswith("250")
    [message] = house.messages("alice@example.org")
    assert house.deliver(message, "alice@example.org").startswith("554 5.4.6")
    assert house.deliver(message, "bob@example.org").startswith("250")
    circling = b"Received: by there; some day\r\n" * 101 + HELLO
    assert house.deliver(circling, "bob@example.org").startswith("554 5.4.6")


@pytest.mark.parametrize("address", ["postmaster", "PostMaster@example.org"])
def test_the_postmaster_is_always_there(
    house_with: Callable[..., MemoryHouse], address: str
) -> None:
    house = house_with('[policies.nobody]\nuse = "some_judges:Nobody"', "nobody")
    house.operate("domain.add", name="example.com", postmaster="alice@example.org")
    assert house.deliver(HELLO, "alice@example.org").startswith("550")
    assert house.deliver(HELLO, address, sender="bob@example.net").startswith("250")


def test_those_who_log_in_use_their_own_addresses(
    house_with: Callable[..., MemoryHouse],
) -> None:
    house = house_with()
    secret = base64.b64encode(f"\0alice@example.org\0{PASSWORD}".encode())

    def submit(sender: str, to: str) -> bytes:
        client = house.connect("submission")
        client.heard()
        client.say(b"EHLO x\r\n")
        assert client.say(b"AUTH PLAIN " + secret + b"\r\n").startswith(b"235")
        client.say(f"MAIL FROM:<{sender}>\r\n".encode())
        return client.say(f"RCPT TO:<{to}>\r\n".encode())

    assert submit("alice@example.org", "bob@example.org").startswith(b"250")
    assert submit("alice+tag@example.org", "bob@example.org").startswith(b"250")
    assert submit("", "bob@example.org").startswith(b"250")
    assert submit("bob@example.org", "bob@example.org").startswith(b"550 5.7.1")
    assert submit("alice@example.org", "carol@example.net").startswith(b"550 5.4.4")
