"""Writes the table of results in Markdown, with the facts of the machine they come from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs

from benchmarks.beside import Beside, Measured
from benchmarks.measure import Sample
from benchmarks.rows import Ceiling, Row

HEADINGS = (
    "row",
    "peer",
    "peer, rate",
    "ours, rate",
    "times",
    "aim (floor)",
    "peer, CPU µs",
    "ours, CPU µs",
    "times",
    "aim (floor)",
    "ours, p50 / p99 ms",
    "passes",
)


@attrs.frozen
class Compared:
    """One row's medians."""

    row: Row
    peer: Sample | None
    ours: Sample | None

    @property
    def times_rate(self) -> float | None:
        return self.ours.rate / self.peer.rate if self.ours and self.peer else None

    @property
    def times_cpu(self) -> float | None:
        return (
            self.peer.cpu_us / max(self.ours.cpu_us, 0.1) if self.ours and self.peer else None
        )

    @property
    def client_bound(self) -> bool:
        """Whether the load generator worked harder than our server."""
        return self.ours is not None and self.ours.client_cpu_us > self.ours.cpu_us

    @property
    def passes(self) -> bool | None:
        """Whether the floors are kept; None if there is none or a side is missing."""
        row, rate, cpu = self.row, self.times_rate, self.times_cpu
        if row.floor is None or rate is None or cpu is None:
            return None
        if self.client_bound and rate < row.floor:
            return cpu >= (row.cpu_floor or row.floor)
        return rate >= row.floor and (row.cpu_floor is None or cpu >= row.cpu_floor)

    def cells(self) -> tuple[str, ...]:
        row, peer, ours = self.row, self.peer, self.ours
        return (
            _title(row),
            row.peer_name,
            f"{peer.rate:,.0f}" if peer else "",
            f"{ours.rate:,.0f}" if ours else "",
            _times(self.times_rate),
            _aims(row.aim, row.floor, "x"),
            f"{peer.cpu_us:,.0f}" if peer else "",
            f"{ours.cpu_us:,.0f}" if ours else "",
            _times(self.times_cpu),
            _aims(row.cpu_aim, row.cpu_floor, "x"),
            f"{ours.p50_ms:.1f} / {ours.p99_ms:.1f}" if ours else "",
            _verdict(self.passes) + (" (client-bound)" if self.client_bound else ""),
        )


@attrs.frozen
class Figure:
    """The result of a row without a peer."""

    row: Ceiling
    figure: float

    @property
    def passes(self) -> bool:
        return self.figure <= self.row.floor

    def cells(self) -> tuple[str, ...]:
        unit = f" {self.row.unit}"
        aims = _aims(self.row.aim, self.row.floor, unit)
        figures = ("", f"{self.figure:.1f}{unit}", "", aims, "", "", "", "", "")
        return (_title(self.row), "none", *figures, _verdict(self.passes))


BESIDE = ("row", "ceiling", "ceiling's figure", "ours", "share", "aim (floor)", "passes")


def beside_cells(result: Measured) -> tuple[str, ...]:
    """Return the cells of a row that has its ceiling beside it."""
    row, pair = result.row, result.pair
    return (
        _title(row),
        row.ceiling_name,
        _in_unit(pair.ceiling, row.unit),
        _in_unit(pair.ours, row.unit),
        f"**{result.share:.2f}**",
        f"{row.aim:.0%} ({row.floor:.0%})"
        if row.share
        else f"{row.aim:,g} {row.unit} ({row.floor:,g})",
        _verdict(result.passes),
    )


def _in_unit(figure: float, unit: str) -> str:
    return f"{figure:,.{0 if figure >= 100 else 2}f} {unit}"


def print_report(
    results: Sequence[Compared | Figure | Measured], folder: Path, words: list[str]
) -> None:
    """Print machine, command and tables; a star marks what gates a release."""
    print(f"Command: `{' '.join(['python -m benchmarks', *words])}`\n")
    for fact in machine(folder):
        print(f"- {fact}")
    print()
    peers = [one.cells() for one in results if not isinstance(one, Measured)]
    beside = [beside_cells(one) for one in results if isinstance(one, Measured)]
    for headings, rows in ((HEADINGS, peers), (BESIDE, beside)):
        if rows:
            for cells in (headings, ("---",) * len(headings), *rows):
                print("| " + " | ".join(cells) + " |")
            print()


def machine(folder: Path) -> list[str]:
    """Return what a reader must know to judge the figures."""
    cpu = re.findall(
        r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kind = _output("stat", "--file-system", "--format=%T", str(folder))
    libraries = (f"{name} {_version(name)}" for name in ("twisted", "apsw", "aiosmtpd"))
    packages = (f"{name} {_debian(name)}" for name in ("postfix", "dovecot-core"))
    return [
        f"{datetime.now(UTC):%d %b %Y}, load of the last 15 minutes, our own included: {os.getloadavg()[2]:.1f}",
        f"{len(cpu)} x {cpu[0] if cpu else platform.machine()}, {memory:.0f} GiB, {kind}",
        f"Linux {platform.release()}, Python {platform.python_version()}",
        ", ".join([*libraries, *packages]),
    ]


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "(missing)"


def _debian(package: str) -> str:
    return _output("dpkg-query", "--show", "--showformat=${Version}", package) or "(missing)"


def _title(row: Row | Ceiling | Beside) -> str:
    return f"{'* ' if row.gates else ''}{row.title}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"**{ratio:.1f}x**"


def _aims(aim: float | None, floor: float | None, unit: str) -> str:
    return "" if aim is None else f"{aim:g}{unit} ({floor:g}{unit})"


def _verdict(passes: bool | None) -> str:
    return {None: "", True: "yes", False: "**no**"}[passes]
