"""Substrings in ten thousand messages, with an index and without: ``python -m benchmarks.search``.

The mail is plain text, alternatives of text and HTML in quoted-printable, text with
accents, and base64, in that order of frequency.  Words that many, few and no
messages have are looked for in turns, in one thread; what is printed is the best of
many, in time of the processor, so that other work on the machine counts less.  Beside
the index stands its own table alone, beside reading the octets alone, as they are written.
"""

from __future__ import annotations

import argparse
import base64
import gc
import itertools
import json
import quopri
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from benchmarks.beside import Pair, Turns
from mailplat.app.service import GARBAGE
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import UidSet, Wanted
from mailplat.mail.people import AccountId
from mailplat.mail.searching import Column
from mailplat.mail.seeking import Seeker
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.store.search.indexer import SearchFile
from mailplat.store.search.queries import EMAILS
from mailplat.testing.fakes import FakeBus, new_message
from mailplat.testing.workers import database_at_once, workers_at_once
from mailplat.texts.reader import TextReader

ALICE = AccountId("alice")
RARE = "needleword"
BODY = (Column.BODY,)
HEADER = """\
From: Alice Example <alice@example.org>
To: Bob <bob@example.net>
Subject: {subject}
Message-ID: <{number}@example.org>
MIME-Version: 1.0
"""
PARAGRAPH = '<p class="MsoNormal"><span style="font-size:11.0pt">{}<o:p></o:p></span></p>\n'


class Writer:
    """Writes letters in a language of its own, whose words are as frequent as in others."""

    def __init__(self) -> None:
        self.chance = random.Random(1)
        syllables = [
            a + b
            for a in [
                "b",
                "d",
                "f",
                "g",
                "l",
                "m",
                "n",
                "p",
                "r",
                "s",
                "t",
                "v",
                "st",
                "tr",
                "ch",
            ]
            for b in "aeiou"
        ]
        words = {"".join(self.chance.choices(syllables, k=n % 4 + 1)) for n in range(20_000)}
        self.words = sorted(words)
        self.chance.shuffle(self.words)
        weights = [1 / (rank + 2) for rank in range(len(self.words))]
        self.weights = list(itertools.accumulate(weights))

    def text(self, size: int) -> str:
        words = self.chance.choices(self.words, cum_weights=self.weights, k=size // 6)
        lines = [" ".join(words[at : at + 11]) for at in range(0, len(words), 11)]
        return "\n".join(lines) + "\n"

    def letters(self, count: int) -> Iterator[tuple[str, bytes]]:
        """Yield messages, each with its kind."""
        for number in range(count):
            kind = ("plain", "html", "plain", "html", "accents", "plain", "html", "plain", "html", "base64")[
                number % 10
            ]  # fmt: skip
            text = self.text(self.chance.choice((600, 1200, 2400, 4800)))
            if number % 1000 == 0:
                text += f"xx{RARE}yy\n"
            head = HEADER.format(subject=self.text(30).strip(), number=number)
            body = BODIES[kind](text)
            yield kind, (head.encode() + body).replace(b"\n", b"\r\n")


def plain(text: str) -> bytes:
    return b"Content-Type: text/plain; charset=us-ascii\n\n" + text.encode()


def html(text: str) -> bytes:
    marked = "".join(PARAGRAPH.format(line) for line in text.splitlines())
    parts = (("plain", text + "it\u2019s\n"), ("html", f"<html><body>{marked}</body></html>\n"))
    octets = b'Content-Type: multipart/alternative; boundary="x-1"\n\n'
    for kind, body in parts:
        octets += (
            b"--x-1\nContent-Type: text/%b; charset=utf-8\n" % kind.encode()
            + b"Content-Transfer-Encoding: quoted-printable\n\n"
            + quopri.encodestring(body.encode())
            + b"\n"
        )
    return octets + b"--x-1--\n"


def accents(text: str) -> bytes:
    head = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
    return head + text.replace("e", "é").encode()


def in_base64(text: str) -> bytes:
    head = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
    return head + base64.encodebytes(text.encode())


BODIES = {"plain": plain, "html": html, "accents": accents, "base64": in_base64}


class Bench:
    """A mailbox with all the letters, its index filled."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.mail = database_at_once(folder / "mail.db", durable=False)
        self.file = database_at_once(folder / "search.db", durable=False)
        self.store = IndexedStore(
            IndexedStoreSettings(),
            self.mail,
            FakeBus(),
            self.clock,
            self.clock,
            file=SearchFile(self.file),
            reader=TextReader(workers_at_once(), Limits(), {}),
        )

    async def fill(self, letters: Sequence[bytes]) -> float:
        """Append the letters and index them; return how long the index took, in seconds."""
        await self.mail.open()
        await self.store.prepare()
        account = await self.store.open(ALICE)
        [inbox] = await account.mailboxes()
        for at in range(0, len(letters), 500):
            messages = [new_message(octets) for octets in letters[at : at + 500]]
            await account.append(inbox.id, messages)
        began = time.process_time()
        self.clock.pump([1.0] + [0.0] * (len(letters) // 16))
        took = time.process_time() - began
        found = await account.search_text(inbox.id, [RARE])
        assert not found.unsure, "not all is indexed"
        return took

    async def indexed(self, word: str) -> int:
        """Find a word in bodies by the index; return in how many messages."""
        account = await self.store.open(ALICE)
        [inbox] = await account.mailboxes()
        found = await account.search_text(inbox.id, [word], BODY)
        return len(found.uids)

    async def scanned(self, word: str) -> int:
        """Return the same where every message is read."""
        account = await self.store.open(ALICE)
        [inbox] = await account.mailboxes()
        seeker, count = Seeker([word], BODY), 0
        async with account.records(inbox.id, UidSet.all(), Wanted.CONTENT) as cursor:
            while (batch := await cursor.next_batch()) is not None:
                count += sum(seeker.holds(octets or b"") for octets in batch.contents)
        return count


async def alone(bench: Bench, word: str) -> object:
    """Ask the index's own table, and nothing else."""
    sql = "SELECT rowid FROM search_texts WHERE search_texts MATCH ? AND rowid BETWEEN ? AND ?"
    values = (f'body : "{word}"', EMAILS, 2 * EMAILS - 1)
    return await bench.file.read(lambda db: db.all(sql, values))


async def read_alone(bench: Bench, word: str) -> int:
    """Read all octets, and look for a word in them as they are written."""
    octets = word.encode()

    def count_of(db: Any) -> int:
        rows = db.all("SELECT octets FROM store_contents ORDER BY piece")
        return sum(octets in row[0].lower() for row in rows)

    return await bench.mail.read(count_of)


async def measure(count: int, rounds: int, folder: Path) -> dict[str, Pair]:
    """Print the figures of all words, and return the pairs of those that have a row."""
    writer = Writer()
    letters = list(writer.letters(count))
    octets = sum(len(letter) for _, letter in letters)
    print(f"{count} messages, {octets / 1e6:.1f} MB")
    bench = Bench(folder)
    took = await bench.fill([letter for _, letter in letters])
    size = (await bench.file.extent())["size"]
    print(
        f"indexed in {took:.1f} s: {took / count * 1e6:.0f} us a message; {size / 1e6:.1f} MB"
    )
    few, many = writer.words[2000], " ".join(writer.words[3:5])
    words = {"ten": RARE, "some": few, "phrase": many, "none": "zzqxk"}
    pairs: dict[str, Pair] = {}
    for name, word in words.items():
        by_index, by_reading, counts = Turns(time.process_time), Turns(time.process_time), set()
        for number in range(rounds):
            await by_index.take("ceiling", partial(alone, bench, word))
            await by_index.take("ours", partial(bench.indexed, word))
            if number < max(2, rounds // 4):
                await by_reading.take("ceiling", partial(read_alone, bench, word))
                await by_reading.take("ours", partial(bench.scanned, word))
        counts = {await bench.indexed(word), await bench.scanned(word)}
        assert len(counts) == 1, f"{word}: {counts}"
        pairs[f"indexed-{name}"] = by_index.pair()
        pairs[f"read-{name}"] = by_reading.pair(lambda seconds: count / seconds)
        print(name, counts, pairs[f"indexed-{name}"], pairs[f"read-{name}"])
    seeker = Seeker(["zzqxk"], BODY)
    for kind in BODIES:
        some = [letter for one, letter in letters if one == kind]
        seconds = min(_seek(seeker, some) for _ in range(3))
        print(f"{kind:<14} {len(some) / seconds:8.0f} messages/s, their octets at hand")
    return pairs


def _seek(seeker: Seeker, letters: Sequence[bytes]) -> float:
    began = time.process_time()
    for octets in letters:
        seeker.holds(octets)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()
    gc.set_threshold(*GARBAGE)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        work: Deferred[Any] = Deferred.fromCoroutine(
            measure(given.messages, given.rounds, Path(folder))
        )
        outcome: list[Any] = []
        work.addBoth(outcome.append)
        if outcome and hasattr(outcome[0], "raiseException"):
            outcome[0].raiseException()
    print(json.dumps({key: attrs.astuple(pair) for key, pair in outcome[0].items()}))


if __name__ == "__main__":
    main()
