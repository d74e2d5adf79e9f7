"""Editing one part of a message takes no more memory for a large one than for a small one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import attrs
import pytest

from mailplat.mail.content import Content, Joined, Octets
from mailplat.mail.edit import Edits
from mailplat.mail.header import Header
from mailplat.mail.limits import KIB, MIB
from mailplat.mail.message import Message
from mailplat.mail.partsteps import AddPart, PartStep, RemovePart, ReplacePart, RewriteTexts
from mailplat.testing.growth import in_linear_time

CHUNK = 256 * KIB
LINE = b"aGVs" * 19 + b"\r\n"
HEADER = (
    b"DKIM-Signature: d=example.net; s=one; h=from; l=0;\r\n"
    b" bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; c=relaxed/relaxed\r\n"
    b"DKIM-Signature: d=example.net; s=two; h=from; bh=no; c=relaxed/relaxed\r\n"
    b"From: a@example.net\r\nContent-Type: multipart/mixed; boundary=b\r\n"
)
FRONT = (
    b"\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    b"--b\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
)


@attrs.define
class Lines:
    """Many octets of Base64 that are made when they are read; knows how many were at once."""

    size: int
    most: int = 0
    times: int = 0

    async def read(self, start: int, stop: int) -> bytes:
        self.most = max(self.most, stop - start)
        self.times += 1
        begin = start % len(LINE)
        return (LINE * ((stop - start) // len(LINE) + 2))[begin : begin + stop - start]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "size", [12 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.long)], ids=["small", "large"]
)
async def test_memory_does_not_grow_with_the_message(size: int) -> None:
    lines = Lines(size // len(LINE) * len(LINE))
    content: Content = Joined((Octets(HEADER + FRONT), lines, Octets(b"\r\n--b--\r\n")))
    tracemalloc.start()
    try:
        message = Message(Header.parse(HEADER + b"\r\n"), content)
        plan = Edits().add(b"X-Seen", "yes").rewrite_texts(str.upper).add_part(b"\r\nseen")
        assert not await message.find_broken(plan)
        edited = await message.edited(plan)
        at = 0
        while octets := await edited.content.read(at, at + CHUNK):
            at += len(octets)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert at == edited.content.size
    assert peak < 4 * MIB
    assert lines.most <= CHUNK
    assert b"HELLO\r\n--b\r\n" in await edited.content.read(0, 1000)


async def test_an_attachment_that_is_replaced_is_never_read_again() -> None:
    lines = Lines(100 * len(LINE))
    content: Content = Joined((Octets(HEADER + FRONT), lines, Octets(b"\r\n--b--\r\n")))
    message = await Message(Header.parse(HEADER + b"\r\n"), content).load()
    times = lines.times
    [attachment] = message.attachments
    edited = await message.edited(Edits().replace_part(attachment.number, b"\r\ngone"))
    octets = await edited.content.read(0, edited.content.size)
    assert octets.endswith(b"hello\r\n--b\r\n\r\ngone\r\n--b--\r\n")
    assert lines.times == times


STEPS: dict[str, Callable[[int], PartStep]] = {
    "remove_part": RemovePart,
    "replace_part": lambda number: ReplacePart(number, Octets(b"\r\ngone")),
    "rewrite_text": lambda number: RewriteTexts(str.upper, number, MIB),
    "add_part": lambda number: AddPart(Octets(b"\r\nnew"), number, b"new%d" % number),
}


@pytest.mark.parametrize("step", STEPS)
def test_time_is_linear_in_the_number_of_parts(step: str) -> None:
    def edited(count: int) -> None:
        octets = HEADER + b"\r\n" + b"--b\r\n\r\nhello\r\n" * count + b"--b--\r\n"
        message = Message.of(octets)
        message.after(Edits(tuple(STEPS[step](number) for number in range(1, count))))
        assert message.attachments or message.parts

    in_linear_time(edited, int, 1900)
