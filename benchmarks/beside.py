"""Rows that have their ceiling beside them: what the database or the disk does alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import attrs

FEWER = ("ms", "octets")  # units in which less is better


@attrs.frozen
class Pair:
    """The best of a ceiling and the best of ours, measured in turns."""

    ceiling: float
    ours: float


@attrs.frozen
class Beside:
    """A row of the store's table, in its unit.

    Aim and floor are figures of ours, or with ``share`` shares of the ceiling.
    """

    key: str
    title: str
    ceiling_name: str
    unit: str
    measure: Callable[[Any], Pair]
    aim: float
    floor: float
    share: bool = False
    gates: bool = False


@attrs.frozen
class Measured:
    """What came of such a row."""

    row: Beside
    pair: Pair

    @property
    def share(self) -> float:
        """How much of its ceiling ours reaches."""
        ceiling, ours = self.pair.ceiling, self.pair.ours
        return ceiling / ours if self.row.unit in FEWER else ours / ceiling

    @property
    def passes(self) -> bool:
        if self.row.share:
            return self.share >= self.row.floor
        ours, floor = self.pair.ours, self.row.floor
        return ours <= floor if self.row.unit in FEWER else ours >= floor


class Turns:
    """Does one thing after the other, again and again, and keeps the best time of each."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self.best: dict[str, float] = {}

    async def take(self, side: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do it once."""
        began = self._clock()
        await work()
        self.best[side] = min(self._clock() - began, self.best.get(side, 1e9))

    def pair(self, unit: Callable[[float], float] = lambda seconds: seconds * 1e3) -> Pair:
        """Return the best of ``ceiling`` and ``ours``, in milliseconds if not said otherwise."""
        return Pair(unit(self.best["ceiling"]), unit(self.best["ours"]))


def in_a_process(module: str, folder: Path, *words: str) -> Any:
    """Run a module of ours in a process and a new folder of its own; return what it prints."""
    with TemporaryDirectory(dir=folder) as place:
        command = [sys.executable, "-m", f"benchmarks.{module}", *words, place]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def pairs_of(module: str, folder: Path) -> dict[str, Pair]:
    """Run a module that measures several rows at once."""
    return {key: Pair(*both) for key, both in in_a_process(module, folder).items()}
