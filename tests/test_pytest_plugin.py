"""A whole house in memory, and the same house on sockets."""

from __future__ import annotations

import poplib
import smtplib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from twisted.internet.threads import deferToThread  # noqa: TID251 - clients that block

from mailplat.pytest_plugin import PASSWORD, MemoryHouse, SocketHouse

HELLO = b"From: bob@example.net\r\nSubject: hello\r\n\r\nhello\r\n.dot\r\n"
Make = Callable[..., MemoryHouse]


def test_mail_goes_in_and_comes_out(mailplat_house: Make) -> None:
    house = mailplat_house()
    house.add_account("alice@example.org")
    answer = house.deliver(HELLO, to="alice@example.org", sender="bob@example.net")
    assert answer.startswith("250 2.")
    [message] = house.messages("alice@example.org")
    assert message.endswith(HELLO)
    assert message.startswith(b"Return-Path: <bob@example.net>\r\n")


def test_lmtp_answers_for_each_recipient(mailplat_house: Make) -> None:
    house = mailplat_house()
    house.add_account("alice@example.org")
    house.add_account("bob@example.org")
    everyone = ["alice@example.org", "bob@example.org"]
    answer = house.deliver(HELLO, to=everyone, portal="lmtp")
    assert [line[:3] for line in answer.splitlines()] == ["250", "250"]


@pytest.mark.parametrize(
    ("recipient", "code"), [("nobody@example.org", "550"), ("bob@example.net", "55")]
)
def test_what_is_not_ours_is_refused(mailplat_house: Make, recipient: str, code: str) -> None:
    house = mailplat_house()
    house.add_account("alice@example.org")
    assert house.deliver(HELLO, to=recipient).startswith(code)


TAG = (Path(__file__).parent.parent / "examples/subject_tag.py").read_text()

BROKEN = """
import time
from twisted.internet.defer import Deferred

class Raises:
    async def judge(self, transit):
        raise ZeroDivisionError("the filter is broken")

class Hangs:
    async def judge(self, transit):
        await Deferred()

class Nonsense:
    async def judge(self, transit):
        return "keep"
"""


@pytest.fixture
def filters(tmp_path: Path) -> None:
    (tmp_path / "subject_tag.py").write_text(TAG)
    (tmp_path / "broken_filters.py").write_text(BROKEN)


def test_a_filter_beside_the_configuration(mailplat_house: Make, filters: None) -> None:
    tag = '[filters.tag]\nuse = "subject_tag:SubjectTag"'
    house = mailplat_house(tag, inbound=["recipients", "tag"])
    house.add_account("alice@example.org")
    house.deliver(HELLO, to="alice@example.org")
    [message] = house.messages("alice@example.org")
    assert b"\r\nSubject: [external] hello\r\n" in message


@pytest.mark.parametrize("fault", ["Raises", "Nonsense"])
@pytest.mark.parametrize(
    ("on_error", "answer", "kept"),
    [("keep", "250", 1), ("defer", "451", 0), ("reject", "55", 0)],
)
def test_a_broken_filter(
    mailplat_house: Make, filters: None, fault: str, on_error: str, answer: str, kept: int
) -> None:
    table = f'[filters.bad]\nuse = "broken_filters:{fault}"\non_error = "{on_error}"'
    house = mailplat_house(table, inbound=["recipients", "bad"])
    house.add_account("alice@example.org")
    assert house.deliver(HELLO, to="alice@example.org").startswith(answer)
    assert len(house.messages("alice@example.org")) == kept


def test_a_filter_that_hangs(mailplat_house: Make, filters: None) -> None:
    table = '[filters.bad]\nuse = "broken_filters:Hangs"\ntimeout = "5 s"'
    house = mailplat_house(table, inbound=["recipients", "bad"])
    house.add_account("alice@example.org")
    client = house.connect("mx")
    client.say(b"EHLO x\r\n")
    client.say(b"MAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n")
    assert client.say(HELLO.replace(b"\r\n.", b"\r\n..") + b".\r\n") == b""
    house.clock.advance(4.9)
    assert client.heard() == b""
    house.clock.advance(0.2)
    assert client.heard().startswith(b"451 ")


async def test_the_house_on_sockets(
    mailplat_server: Callable[..., Awaitable[SocketHouse]],
) -> None:
    house = await mailplat_server()
    await house.add_account("alice@example.org")

    def talk() -> list[bytes]:
        with smtplib.SMTP("127.0.0.1", house.port("mx")) as smtp:
            smtp.sendmail("bob@example.net", ["alice@example.org"], HELLO)
        pop3 = poplib.POP3("127.0.0.1", house.port("pop3"))
        pop3.user("alice@example.org")
        pop3.pass_(PASSWORD)
        lines: list[bytes] = pop3.retr(1)[1]
        pop3.quit()
        return lines

    lines = await deferToThread(talk)
    assert lines[-2:] == [b"hello", b".dot"]
