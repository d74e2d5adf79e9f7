"""A message is indexed whatever its handlers do, and without what they can't read."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from mailplat.mail.content import Octets
from mailplat.mail.errors import ShuttingDown
from mailplat.mail.limits import MIB, Limits
from mailplat.mail.search import SearchText
from mailplat.testing.fakes import FakeContent
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import workers_at_once
from mailplat.texts import reader as module
from mailplat.texts.calendar import CalendarText
from mailplat.texts.extractors import Extractor
from mailplat.texts.reader import TextReader
from mailplat.workers import Workers

EXTRACTORS = '''
"""Extractors of every kind."""

import os
import time


class Shouting:
    def __init__(self, word="loud"):
        self.word = word

    def text(self, octets, media_type, charset, limit):
        return f"{self.word} {media_type} {charset} {octets.decode()}"


class Raising:
    def text(self, octets, media_type, charset, limit):
        raise ValueError("no such document")


class Crashing:
    def text(self, octets, media_type, charset, limit):
        os.abort()


class Hanging:
    def text(self, octets, media_type, charset, limit):
        while True:
            time.sleep(0.01)


class Hungry:
    def text(self, octets, media_type, charset, limit):
        return "x" * (1 << 40)


class Flooding:
    def text(self, octets, media_type, charset, limit):
        return "flood " * 1000000


class Odd:
    def text(self, octets, media_type, charset, limit):
        return octets


class Surrogate:
    def text(self, octets, media_type, charset, limit):
        return "before \\ud800 behind"


class Unmade:
    def __init__(self):
        raise RuntimeError("no library")
'''

MESSAGE = b"""\
Subject: hello\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: text/plain\r
\r
the body\r
--b\r
Content-Type: application/x-note; charset=utf-8; name=note.txt\r
Content-Transfer-Encoding: base64\r
\r
V29yZHM=\r
--b--\r
"""


@pytest.fixture
def extractors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "extractors_for_tests.py").write_text(EXTRACTORS)
    monkeypatch.syspath_prepend(tmp_path)
    import extractors_for_tests  # type: ignore[import-not-found]

    yield extractors_for_tests
    del sys.modules["extractors_for_tests"]


@async_yield_fixture
async def workers(reactor: Any) -> AsyncIterator[Workers]:
    workers = Workers(reactor)
    yield workers
    await workers.stop()


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_format"):
            lines.append(event["log_format"].format_map(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


async def read(
    workers: Workers, octets: bytes = MESSAGE, limits: Limits | None = None, **handlers: Any
) -> SearchText:
    by_type = {
        f"application/x-{name}": Extractor.of(name, maker, {})
        for name, maker in handlers.items()
    }
    return await TextReader(workers, limits or Limits(), by_type).text_of(
        Octets(octets), "4f2a"
    )


async def test_a_handler_gives_the_text_of_its_type(workers: Workers, extractors: Any) -> None:
    found = await read(workers, note=extractors.Shouting)
    assert found == SearchText(
        "hello", "", "note.txt", "the body loud application/x-note utf-8 words"
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Raising", "ValueError: no such document"),
        ("Crashing", "it was ended by SIGABRT"),
        ("Hanging", "over 0.5 s"),
        ("Hungry", "MemoryError"),
        ("Odd", "bytes in place of a text"),
        ("Unmade", "RuntimeError: no library"),
    ],
)
async def test_what_a_handler_cannot_read_is_left_out(
    workers: Workers, extractors: Any, said: list[str], name: str, why: str
) -> None:
    patience = 0.5 if name == "Hanging" else 30.0
    limits = Limits(handler_patience=patience, handler_memory=256 * MIB)
    found = await read(workers, limits=limits, note=getattr(extractors, name))
    assert found == SearchText("hello", "", "note.txt", "the body")
    [line] = [line for line in said if line.startswith("4f2a: ")]
    assert line.startswith("4f2a: no text of a part of type application/x-note by note: ")
    assert why in line


async def test_what_a_handler_gives_is_bounded(workers: Workers, extractors: Any) -> None:
    found = await read(workers, limits=Limits(index_text=1000), note=extractors.Flooding)
    assert len(found.body) <= 1000
    assert not found.is_whole
    found = await read(workers, note=extractors.Surrogate)
    assert found.body == "the body before ? behind"


async def test_a_large_part_is_not_for_handlers(
    workers: Workers, extractors: Any, said: list[str]
) -> None:
    found = await read(workers, limits=Limits(handler_part=8), note=extractors.Shouting)
    assert "words" in found.body
    found = await read(workers, limits=Limits(handler_part=7), note=extractors.Shouting)
    assert found.body == "the body"
    assert "it has 8 octets" in "".join(said)
    large = MESSAGE.replace(b"V29yZHM=", b"V29yZHM=" * 1000)
    found = await read(workers, large, Limits(handler_part=7), note=extractors.Shouting)
    assert found.body == "the body"


def many(count: int) -> bytes:
    part = b"--b\r\nContent-Type: application/x-note\r\n\r\nx\r\n"
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * count + b"--b--\r\n"


async def test_many_parts_are_not_for_handlers(workers: Workers, extractors: Any) -> None:
    found = await read(workers, many(100), note=extractors.Shouting)
    assert found.body.count("loud") == module.HANDLED


async def test_one_that_hangs_does_so_once_a_message(
    workers: Workers, extractors: Any, said: list[str]
) -> None:
    await read(workers, many(5), Limits(handler_patience=0.1), note=extractors.Hanging)
    assert len([line for line in said if "over 0.1 s" in line]) == 1


async def test_settings_go_to_the_child(workers: Workers, extractors: Any) -> None:
    handler = Extractor.of("note", extractors.Shouting, {"word": "quiet"})
    reader = TextReader(workers, Limits(), {"application/x-note": handler})
    assert "quiet application/x-note" in (await reader.text_of(Octets(MESSAGE))).body


async def test_large_texts_are_reduced_in_a_child(workers: Workers, said: list[str]) -> None:
    body = b"<p>Words</p>\r\n" * 10000
    octets = b"Subject: large\r\nContent-Type: text/html\r\n\r\n" + body
    found = await read(workers, octets)
    assert found == SearchText("large", "", "", " ".join(["words"] * 10000))
    assert len(workers.children._children) == 1


async def test_where_the_reading_child_fails_the_header_is_found(
    workers: Workers, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "gathered", divmod)  # which takes no such arguments
    octets = (
        b"Subject: large\r\nContent-Type: text/plain; name=a.txt\r\n\r\n" + b"words " * 10000
    )
    assert await read(workers, octets) == SearchText("large", "", "a.txt", "", is_whole=False)
    [line] = said
    assert "no text of its body: TypeError" in line


async def test_a_content_is_read_in_pieces_and_only_where_there_is_text() -> None:
    """Attachments that nobody reads aren't held in memory."""
    octets = MESSAGE.replace(b"V29yZHM=", b"V29yZHM=" * 500000)
    largest = 0

    class Watched(FakeContent):
        async def read(self, start: int, stop: int) -> bytes:
            nonlocal largest
            largest = max(largest, stop - start)
            return await super().read(start, stop)

    reader = TextReader(workers_at_once(), Limits(), {})
    assert (await reader.text_of(Watched(octets))).body == "the body"
    assert largest <= MIB


async def test_calendars_in_a_message() -> None:
    octets = (
        b"Content-Type: text/calendar; charset=utf-8\r\n\r\n"
        b"BEGIN:VEVENT\r\nSUMMARY:T\xc3\xa9a\r\nDTSTART:20261123\r\nEND:VEVENT\r\n"
    )
    handlers = {"text/calendar": Extractor.of("calendar", CalendarText, {})}
    reader = TextReader(workers_at_once(), Limits(), handlers)
    assert (await reader.text_of(Octets(octets))).body == "te\u0301a"
    reader = TextReader(workers_at_once(), Limits(), {})
    assert "dtstart:20261123" in (await reader.text_of(Octets(octets))).body


async def test_nothing_is_read_once_all_is_ended(workers: Workers) -> None:
    await workers.stop()
    with pytest.raises(ShuttingDown):
        await read(workers, b"Content-Type: text/plain\r\n\r\n" + b"x " * 100000)
