"""What it costs to edit one part of a large message: memory above all.

Run as ``python -m benchmarks.edits [MIB]``; it prints one line.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from itertools import pairwise

import attrs

from mailplat.mail.canonical import BodyHash, Canonicalization
from mailplat.mail.content import Content, Joined, Octets
from mailplat.mail.edit import Edits
from mailplat.mail.header import Header
from mailplat.mail.limits import KIB, MIB
from mailplat.mail.message import Message

CHUNK = 256 * KIB
_LINE = b64encode(bytes(range(57))) + b"\r\n"
_BEFORE = (
    b"From: a@example.net\r\nSubject: large\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
)
_TEXT = b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n--b\r\n"
_FILE = (
    b"Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
)
_AFTER = b"\r\n--b--\r\n"


@attrs.frozen
class Lines:
    """So many octets of Base64 that are made when they are read."""

    size: int

    async def read(self, start: int, stop: int) -> bytes:
        stop = min(stop, self.size)
        first = start // len(_LINE)
        count = (stop - 1) // len(_LINE) - first + 1
        begin = start - first * len(_LINE)
        return (_LINE * count)[begin : begin + stop - start]

    def close(self) -> None:
        """Nothing to let go of."""


def large(size: int, *, signed: bool = True) -> tuple[Header, Content]:
    """Return a message with a text and a file of that many octets, whose signature fits."""
    body = Joined(
        (Octets(_TEXT + _FILE), Lines(size // len(_LINE) * len(_LINE)), Octets(_AFTER))
    )
    header = _BEFORE
    if signed:
        bh = asyncio.run(_hash(body))
        header = (
            b"DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=one; h=from;\r\n"
            b" c=relaxed/relaxed; bh=%b; b=AAAA\r\n" % bh
        ) + _BEFORE
    return Header.parse(header), Joined((Octets(header), *body.pieces))


async def _hash(body: Content) -> bytes:
    digest = BodyHash(Canonicalization.RELAXED)
    async for chunk in chunks(body):
        digest.feed(chunk)
    return digest.digest()


async def chunks(content: Content) -> AsyncIterator[bytes]:
    """Yield a content piece by piece."""
    at = 0
    while octets := await content.read(at, min(at + CHUNK, content.size)):
        yield octets
        at += len(octets)


@attrs.frozen
class Cost:
    """Seconds of each step."""

    finding: float
    checking: float
    editing: float
    reading: float


async def cost(header: Header, content: Content) -> Cost:
    """Rewrite the text, add a part, ask what signatures that breaks, and read the result."""
    times = [time.perf_counter()]
    message = Message(header, content)
    await message.find_parts()
    times.append(time.perf_counter())
    plan = Edits().rewrite_texts(str.upper).add_part(b"\r\nseen")
    assert len(await message.find_broken(plan)) == header.count(b"DKIM-Signature")
    times.append(time.perf_counter())
    edited = await message.edited(plan)
    times.append(time.perf_counter())
    size = 0
    async for chunk in chunks(edited.content):
        size += len(chunk)
    times.append(time.perf_counter())
    assert size == edited.content.size > content.size
    return Cost(*(later - earlier for earlier, later in pairwise(times)))


def _peak() -> int:
    """Return the most memory that the process has ever had, in octets (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB


def main(size: int) -> None:
    """Print what a message of that many octets costs, and how much the process grew by it."""
    before = _peak()
    found = asyncio.run(cost(*large(size)))
    print(
        f"{size / MIB:.0f} MiB: parts found in {found.finding:.2f} s, signatures checked in"
        f" {found.checking:.2f} s, edited in {found.editing * 1000:.1f} ms, read in"
        f" {found.reading:.2f} s; memory +{(_peak() - before) / MIB:.1f} MiB"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) * MIB if len(sys.argv) > 1 else 1024 * MIB)
