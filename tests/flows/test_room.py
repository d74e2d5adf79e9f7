"""Room for accounts: limits, what a sender hears of them, and what was deleted."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pytest

from mailplat.mail.errors import BadParameter, NoSuchAccount
from mailplat.pytest_plugin import PASSWORD, MemoryHouse

ALICE, BOB = "alice@example.org", "bob@example.org"
LETTER = b"Subject: letter\r\n\r\nletter\r\n"
STORES = ["memory", "indexed"]
A_DAY = 24 * 3600


@pytest.fixture(params=STORES)
def make(
    request: pytest.FixtureRequest, mailplat_house: Callable[..., MemoryHouse]
) -> Callable[[str], MemoryHouse]:
    def made(quota: str) -> MemoryHouse:
        house = mailplat_house(f'[store.main]\nuse = "{request.param}"\n\n[quota]\n{quota}')
        house.clock.advance(1_700_000_000)
        house.add_account(ALICE)
        house.add_account(BOB)
        return house

    return made


def fill(house: MemoryHouse, account: str) -> None:
    house.operate("account.quota", name=account, messages="0")


def rcpt(house: MemoryHouse, to: str, size: int = 0) -> str:
    client = house.connect("mx")
    client.heard()
    client.say(b"EHLO client.example.org\r\n")
    client.say(b"MAIL FROM:<c@example.net>" + (b" SIZE=%d" % size if size else b"") + b"\r\n")
    answer = client.say(b"RCPT TO:<" + to.encode() + b">\r\n").decode()
    client.say(b"QUIT\r\n")
    return answer


def test_a_sender_hears_of_a_full_account_before_it_sends(
    make: Callable[[str], MemoryHouse],
) -> None:
    house = make('storage = "2 KiB"')
    assert rcpt(house, ALICE, 2048).startswith("250")
    assert rcpt(house, ALICE, 2049).startswith("452 4.2.2")
    house.operate("account.quota", name=ALICE, storage="1MiB")
    assert rcpt(house, ALICE, 2049).startswith("250")
    assert rcpt(house, BOB, 2049).startswith("452 4.2.2")
    fill(house, BOB)
    assert rcpt(house, BOB).startswith("452 4.2.2")


def test_what_does_not_fit_is_refused_after_its_content(
    make: Callable[[str], MemoryHouse],
) -> None:
    house = make('storage = "2 KiB"')
    large = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" * 2000
    assert house.deliver(large, to=ALICE).startswith("452 4.2.2")
    assert house.messages(ALICE) == []


def test_after_some_days_mail_is_refused_for_good(make: Callable[[str], MemoryHouse]) -> None:
    house = make('reject_after = "2 days"')
    fill(house, ALICE)
    assert rcpt(house, ALICE).startswith("452 4.2.2")
    house.clock.advance(A_DAY)
    assert rcpt(house, ALICE).startswith("452 4.2.2")
    house.clock.advance(A_DAY)
    assert rcpt(house, ALICE).startswith("552 5.2.2")
    house.operate("account.quota", name=ALICE, messages="none")
    assert house.deliver(LETTER, to=ALICE).startswith("250")
    fill(house, ALICE)
    assert rcpt(house, ALICE).startswith("452 4.2.2")


def test_the_postmaster_is_never_refused(make: Callable[[str], MemoryHouse]) -> None:
    house = make("messages = 1")
    fill(house, ALICE)
    assert house.deliver(LETTER, to="postmaster@example.org").startswith("250")
    assert len(house.messages(ALICE)) == 2  # and the letter that warns


def test_an_account_hears_once_that_it_is_nearly_full(
    make: Callable[[str], MemoryHouse],
) -> None:
    house = make("messages = 10")
    for _ in range(9):
        assert house.deliver(LETTER, to=ALICE).startswith("250")
    assert len(house.messages(ALICE)) == 9
    house.deliver(LETTER, to=ALICE)
    *_, warning = house.messages(ALICE)
    assert b"Subject: Your mailbox is nearly full\r\n" in warning
    assert b"From: postmaster@example.org\r\n" in warning
    assert b"Auto-Submitted: auto-generated\r\n" in warning
    assert b"it has 10 of 10 messages" in warning
    assert house.deliver(LETTER, to=ALICE).startswith("452 4.2.2")
    assert len(house.messages(ALICE)) == 11


def test_domains_have_limits_of_their_own(make: Callable[[str], MemoryHouse]) -> None:
    house = make('messages = 5\n[quota.domains."Other.example"]\nmessages = 7\n')
    house.operate("domain.add", name="other.example", postmaster=ALICE)
    house.operate("account.add", name="c@other.example", password="x")
    rows = {row["name"]: row["messages"] for row in house.operate("account.list")}
    assert {name: row["limit"] for name, row in rows.items()} == {
        ALICE: 5,
        BOB: 5,
        "c@other.example": 7,
    }


def test_an_operator_sets_limits_and_sees_what_is_taken(
    make: Callable[[str], MemoryHouse],
) -> None:
    house = make('storage = "1 MiB"\nmessages = 5')
    house.deliver(LETTER, to=ALICE)
    [alice, bob] = house.operate("account.list")
    assert alice["storage"]["used"] > len(LETTER)
    assert alice["messages"] == {"used": 1, "limit": 5, "is_own": False}
    assert bob["messages"]["used"] == 0
    found = house.operate("account.quota", name=ALICE, storage="none", messages="8")
    assert found["messages"] == {"used": 1, "limit": 8, "is_own": True}
    assert found["storage"]["limit"] is None
    found = house.operate("account.quota", name=ALICE, messages="house")
    assert found["messages"] == {"used": 1, "limit": 5, "is_own": False}
    assert found["storage"] == {**alice["storage"], "limit": None, "is_own": True}
    assert house.operate("account.quota", name=ALICE) == found
    for wrong in ("many", "-1", "5 GiB"):
        with pytest.raises(BadParameter):
            house.operate("account.quota", name=ALICE, messages=wrong)
    with pytest.raises(BadParameter):
        house.operate("account.quota", name=ALICE, storage="much")
    with pytest.raises(NoSuchAccount):
        house.operate("account.quota", name="nobody@example.org")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("messages = 0", "messages"),
        ("warn_at = 101", "warn_at"),
        ('[quota.domains."no domain"]\nmessages = 1', "no domain"),
        ('[quota.domains."a.example"]\nmesages = 1', "mesages"),
    ],
)
def test_mistakes_are_named(
    mailplat_house: Callable[..., MemoryHouse], text: str, problem: str
) -> None:
    with pytest.raises(Exception, match=re.escape(problem)):
        mailplat_house(text if text.startswith("[") else f"[quota]\n{text}")


# Undelete --------------------------------------------------------------------


def expunge(house: MemoryHouse) -> None:
    client = house.connect("pop3")
    secret = base64.b64encode(f"\0{ALICE}\0{PASSWORD}".encode())
    client.say(b"AUTH PLAIN " + secret + b"\r\n")
    for number in range(1, 3):
        client.say(b"DELE %d\r\n" % number)
    assert client.say(b"QUIT\r\n").startswith(b"+OK")


def test_what_a_client_deleted_comes_back(make: Callable[[str], MemoryHouse]) -> None:
    house = make("")
    for number in range(3):
        house.deliver(b"From: Carol <c@example.net>\r\nSubject: %d\r\n\r\n" % number, to=ALICE)
    before = house.messages(ALICE)
    expunge(house)
    assert len(house.messages(ALICE)) == 1
    listed = house.operate("account.expunged", name=ALICE)
    assert {(row["mailbox"], row["from"], row["subject"]) for row in listed} == {
        ("INBOX", "CAROL", "0"),
        ("INBOX", "CAROL", "1"),
    }
    [alice] = house.operate("store.usage")["expunged"]
    assert (alice["messages"], alice["account"]) == (2, ALICE)
    assert house.operate("account.undelete", name=ALICE, mailbox="Elsewhere")["messages"] == 0
    assert house.operate("account.undelete", name=ALICE, since="2999-01-01")["messages"] == 0
    found = house.operate("account.undelete", name=ALICE, since="2001-01-01")
    assert found == {"name": ALICE, "messages": 2, "mailboxes": ["INBOX"]}
    assert sorted(house.messages(ALICE)) == sorted(before)
    assert house.operate("account.undelete", name=ALICE)["messages"] == 0
    with pytest.raises(BadParameter):
        house.operate("account.undelete", name=ALICE, since="yesterday")
