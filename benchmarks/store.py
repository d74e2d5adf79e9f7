"""The store's table: no protocol, each row with its ceiling beside it.

Rows of maildirs, and of contents in files, stand among the others in `benchmarks.rows`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import appends
from benchmarks.beside import Beside, Pair, pairs_of


class Together:
    """What is measured in one go for several rows, when a row first asks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def mailboxes(self) -> dict[str, Pair]:
        return pairs_of("mailboxes", self._folder)

    @cached_property
    def search(self) -> dict[str, Pair]:
        return pairs_of("search", self._folder)


def _mailbox(key: str) -> Callable[[Any], Pair]:
    return lambda bench: bench.together.mailboxes[key]


def _search(key: str) -> Callable[[Any], Pair]:
    return lambda bench: bench.together.search[key]


def _append(kind: str, callers: int) -> Callable[[Any], Pair]:
    return lambda bench: appends.pair(kind, callers, bench.folder)


def _appended(kind: str, name: str, callers: int) -> tuple[Beside, Beside]:
    """Return the rows of a database's appends: by many callers, and by one."""
    many = Beside(
        f"append-{kind}-{callers}",
        f"durable append of 5 KB, {name}, {callers} callers",
        f"the same rows, {callers} messages a commit",
        "/s",
        _append(kind, callers),
        aim=0.7,
        floor=0.5,
        share=True,
        gates=True,
    )
    one = Beside(
        f"append-{kind}-1",
        f"the same, {name}, one caller",
        "the same rows, a commit each",
        "/s",
        _append(kind, 1),
        aim=0.8,
        floor=0.6,
        share=True,
        gates=True,
    )
    return many, one


SOUGHT = {
    "ten": "in ten of them",
    "some": "in two hundred",
    "none": "in none",
    "phrase": "the two most frequent words as a phrase",
}
"""What is looked for in 10,000 messages."""

STORE_ROWS = (
    *_appended("sqlite", "SQLite", 64),
    *_appended("postgres", "PostgreSQL", 32),
    Beside(
        "open",
        "opening a mailbox of 100,000",
        "its rows, as rows",
        "ms",
        _mailbox("open"),
        aim=150,
        floor=300,
    ),
    Beside(
        "open-again",
        "the same, while another has it open",
        "the row of what is new",
        "ms",
        _mailbox("open-again"),
        aim=1,
        floor=5,
    ),
    Beside(
        "index-memory",
        "memory of a message in its index, beside MODSEQs",
        "its UID in an array",
        "octets",
        _mailbox("index-memory"),
        aim=8,
        floor=16,
        gates=True,
    ),
    Beside(
        "flag-range",
        "flagging a range of 10,000, durable, database",
        "one UPDATE",
        "ms",
        _mailbox("flag-range"),
        aim=20,
        floor=50,
    ),
    Beside(
        "move",
        "moving 1,000",
        "INSERT and DELETE of a range",
        "ms",
        _mailbox("move"),
        aim=50,
        floor=100,
    ),
    Beside(
        "changes",
        "100 changes out of 100,000",
        "their rows, as rows",
        "ms",
        _mailbox("changes"),
        aim=1,
        floor=3,
    ),
    *(
        Beside(
            f"indexed-{key}",
            f"substring in the bodies of 10,000, indexed: {word}",
            "the index's table alone",
            "ms",
            _search(f"indexed-{key}"),
            aim=5,
            floor=20,
        )
        for key, word in SOUGHT.items()
    ),
    *(
        Beside(
            f"read-{key}",
            f"the same, not indexed: {word}",
            "all octets, as they are written",
            "messages/s",
            _search(f"read-{key}"),
            aim=50_000,
            floor=15_000,
        )
        for key, word in SOUGHT.items()
    ),
)
