"""A filter beside the configuration changes a message; a broken one does as on_error says."""

from __future__ import annotations

import poplib
import shutil
import smtplib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread  # noqa: TID251 - clients that block

from mailplat.pytest_plugin import PASSWORD, SocketHouse
from mailplat.workers import OF_AN_INSTANCE

EXAMPLES = Path(__file__).parents[2] / "examples"
HELLO = b"From: bob@example.net\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n\r\nhello\r\n"
MISBEHAVING = """
import time

from subject_tag import SubjectTag
from twisted.internet.defer import Deferred


class Raises(SubjectTag):
    def judge(self, transit):
        raise ZeroDivisionError("the filter is broken")


class Hangs(SubjectTag):
    async def judge(self, transit):
        await Deferred()


class Sleeps(SubjectTag):
    def judge(self, transit):
        time.sleep(1)
        return super().judge(transit)


class SleepsOverCafes(SubjectTag):
    def judge(self, transit):
        if b"caf" in transit.header.octets:
            time.sleep(2)
        return super().judge(transit)


class Nonsense(SubjectTag):
    def judge(self, transit):
        return "keep"
"""
WHY = {
    "Raises": "ZeroDivisionError: the filter is broken",
    "Hangs": "OutOfTime: no answer within 0.2 s",
    "Sleeps": "OutOfTime: no answer within 0.2 s",
    "Nonsense": "Nonsense: returned 'keep', which is no Verdict",
}
CODES = {"keep": 250, "defer": 451, "reject": 550}

Serve = Callable[..., Awaitable[SocketHouse]]


async def house_with(serve: Serve, folder: Path, use: str, conduct: str = "") -> SocketHouse:
    """Open a house with a filter of a file beside its configuration, and one account."""
    folder.mkdir()
    shutil.copy(EXAMPLES / "subject_tag.py", folder)
    (folder / "misbehaving.py").write_text(MISBEHAVING)
    table = f'[filters.tag]\nuse = "{use}"\n{conduct}'
    house = await serve(table, inbound=["recipients", "relaying", "tag"])
    await house.add_account("alice@example.org")
    return house


def send(port: int, message: bytes = HELLO) -> tuple[int, bytes]:
    """Send the message, and return what the server answers to it."""
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        smtp.ehlo()
        smtp.mail("bob@example.net")
        smtp.rcpt("alice@example.org")
        return smtp.data(message)


def read(port: int) -> list[list[bytes]]:
    """Return the lines of all messages in the INBOX."""
    pop3 = poplib.POP3("127.0.0.1", port)
    pop3.user("alice@example.org")
    pop3.pass_(PASSWORD)
    count, _ = pop3.stat()
    messages: list[list[bytes]] = [pop3.retr(number)[1] for number in range(1, count + 1)]
    pop3.quit()
    return messages


async def explain(house: SocketHouse) -> str:
    [record] = await house.operate("message.explain", message="alice@example.org")
    text: str = record["text"]
    return text


async def test_the_example_tags_a_message(mailplat_server: Serve, tmp_path: Path) -> None:
    house = await house_with(mailplat_server, tmp_path / "server0", "subject_tag:SubjectTag")
    code, _ = await deferToThread(send, house.port("mx"))
    [lines] = await deferToThread(read, house.port("pop3"))
    assert code == 250
    assert b"Subject: [external] =?utf-8?q?caf=C3=A9?=" in lines
    assert lines[-2:] == [b"", b"hello"]
    text = await explain(house)
    assert "replaces Subject" in text
    assert "Subject  [external] café" in text
    assert "alice@example.org  2.1.5" in text


@pytest.mark.parametrize("on_error", CODES)
@pytest.mark.parametrize("fault", WHY)
async def test_one_that_misbehaves_does_what_on_error_says(
    mailplat_server: Serve, tmp_path: Path, fault: str, on_error: str
) -> None:
    conduct = f'timeout = "200 ms"\non_error = "{on_error}"'
    if fault in ("Raises", "Nonsense"):
        conduct = f'on_error = "{on_error}"'
    use = f"misbehaving:{fault}"
    house = await house_with(mailplat_server, tmp_path / "server0", use, conduct)
    code, _ = await deferToThread(send, house.port("mx"))
    messages = await deferToThread(read, house.port("pop3"))
    assert code == CODES[on_error]
    assert len(messages) == (on_error == "keep")
    text = await explain(house)
    [decision] = [line for line in text.splitlines() if line.startswith("    content ")]
    assert decision.split()[:3] == ["content", "tag", on_error]
    assert decision.endswith(f"{WHY[fault]}, therefore {on_error}")


async def test_one_that_hangs_holds_up_no_other_message(
    mailplat_server: Serve, tmp_path: Path
) -> None:
    """Neither while it hangs in more threads than it may use at once, nor afterwards."""
    house = await house_with(
        mailplat_server,
        tmp_path / "server0",
        "misbehaving:SleepsOverCafes",
        'timeout = "200 ms"',
    )
    port = house.port("mx")
    sent = [deferToThread(send, port) for _ in range(OF_AN_INSTANCE + 1)]
    assert [code for code, _ in await gatherResults(sent)] == [451] * len(sent)
    assert [await deferToThread(send, port, b"Subject: tea\r\n\r\n") for _ in range(3)]
    assert len(await deferToThread(read, house.port("pop3"))) == 3
