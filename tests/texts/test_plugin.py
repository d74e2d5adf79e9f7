"""A handler of one's own: a file beside the configuration, and two tables in it."""

from __future__ import annotations

import smtplib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mailplat.app.config import check
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import discover
from mailplat.app.wiring import KINDS, draw
from mailplat.pytest_plugin import MemoryHouse, SocketHouse, configuration_text

NOTES = '''
"""Gives notes to the index: a line of theirs is a word and what it stands for."""

from pydantic import Field
from zope.interface import implementer

from mailplat.interfaces import House, ITextExtractor
from mailplat.plugin import InstanceName, Settings


class NoteSettings(Settings):
    """Keys of ``[extractors.NAME] use = "notes_of_test:Notes"``."""

    separator: str = Field("=", description="What stands between a word and its meaning.")


@implementer(ITextExtractor)
class Notes:
    """Gives the meanings."""

    def __init__(self, settings: NoteSettings, name: InstanceName) -> None:
        self.separator = settings.separator
        self.name = name

    def text(self, octets: bytes, media_type: str, charset: str, limit: int) -> str:
        lines = octets.decode(charset or "utf-8").splitlines()
        meanings = [line.partition(self.separator)[2] for line in lines]
        return "\\n".join([self.name, *meanings])[:limit]


class Neighbourly:
    def __init__(self, house: House) -> None: ...


def local():
    class Local:
        pass

    return Local


Local = local()
'''

FINDING = '''
"""Refuses messages in which a word can be found, whatever they are made of."""

from mailplat.interfaces import ITextReader
from mailplat.mail.errors import Refused
from mailplat.mail.transit import KEEP, Transit, Verdict


class Finding:
    def __init__(self, texts: ITextReader) -> None:
        self.texts = texts

    async def judge(self, transit: Transit) -> Verdict:
        found = await self.texts.text_of(transit.content, transit.id)
        return Verdict.reject(Refused("found")) if "secret" in found.body else KEEP
'''

TABLES = """
[extractors.notes]
use = "notes_of_test:Notes"
separator = ":"

[mime.handlers]
"Application/X-Note" = "notes"

[filters.finding]
use = "finding_of_test:Finding"
"""

ALICE = "alice@example.org"


def note(meaning: str) -> bytes:
    return b"Content-Type: application/x-note\r\n\r\nw=x:" + meaning.encode() + b"\r\n"


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes_of_test.py").write_text(NOTES)
    (tmp_path / "finding_of_test.py").write_text(FINDING)
    monkeypatch.syspath_prepend(tmp_path)


CHAIN = ["recipients", "finding"]


def test_in_a_house_for_tests(mailplat_house: Callable[..., MemoryHouse]) -> None:
    house = mailplat_house(TABLES, inbound=CHAIN)
    house.add_account(ALICE)
    assert house.deliver(note("harmless"), to=ALICE).startswith("250")
    assert house.deliver(note("a SECRET"), to=ALICE).startswith("550")
    assert house.deliver(b"\r\nno secret=x\r\n", to=ALICE).startswith("550")


async def test_in_a_child_process(
    mailplat_server: Callable[..., Awaitable[SocketHouse]],
) -> None:
    house = await mailplat_server(TABLES, inbound=CHAIN)
    await house.add_account(ALICE)
    run, port = house.foundation.workers.run, house.port("mx")
    assert await run(answer, port, note("harmless")) == 250
    assert await run(answer, port, note("a SECRET")) == 550


def answer(port: int, octets: bytes) -> int:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        smtp.helo("client.example.org")
        smtp.mail("")
        smtp.rcpt(ALICE)
        return smtp.data(octets)[0]


def mistakes(text: str) -> list[str]:
    with pytest.raises(BadConfiguration) as caught:
        draw(check(configuration_text(text), Path("/h/mailplat.toml"), discover()), KINDS)
    return [str(mistake).partition(": ")[2] for mistake in caught.value.mistakes]


def test_mistakes_in_handlers() -> None:
    text = """
[mime.handlers]
"application/x-a" = "notse"
"nonsense" = "calendar"
"application/x-b" = 5
[extractors.notes]
use = "notes_of_test:Notes"
separator = 5
"""
    assert mistakes(text) == [
        "mime.handlers.nonsense: expected a media type, such as application/pdf, not 'nonsense'",
        'mime.handlers."application/x-b": expected a valid string, not 5',
        "extractors.notes.separator: expected a valid string, not 5",
    ]
    [mistake] = mistakes('[mime.handlers]\n"application/x-a" = "calender"')
    assert mistake == (
        "mime.handlers.\"application/x-a\": there is no extractor 'calender'; "
        "did you mean 'calendar'?"
    )


@pytest.mark.parametrize(
    ("maker", "said"),
    [
        ("Neighbourly", "made in a child process, where there is nothing for its house"),
        ("Local", "can't be sent to a child process"),
    ],
)
def test_what_cannot_be_made_in_a_child_is_a_mistake(maker: str, said: str) -> None:
    [mistake] = mistakes(f'[extractors.x]\nuse = "notes_of_test:{maker}"')
    assert mistake.startswith("extractors.x.use: ")
    assert said in mistake


def test_handlers_may_be_none(mailplat_house: Callable[..., MemoryHouse]) -> None:
    house = mailplat_house(TABLES.replace('"Application/X-Note" = "notes"', ""), inbound=CHAIN)
    house.add_account(ALICE)
    assert house.deliver(note("a SECRET"), to=ALICE).startswith("250")
