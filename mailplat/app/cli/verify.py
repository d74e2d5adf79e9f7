"""``mailplat plugin verify``: runs the contracts in a process of its own, and prints a table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs

Row = dict[str, Any]


class NotVerified(Exception):
    """The tests could not be run; the text says why."""


@attrs.frozen
class Verification:
    """What came of each test of the contracts."""

    tests: Sequence[Row]

    @property
    def contracts(self) -> list[Row]:
        """One row for each contract: how many of its promises were kept, broken, left out."""
        names = dict.fromkeys(row["contract"] for row in self.tests)
        return [self._contract(name) for name in names]

    @property
    def broken(self) -> list[Row]:
        """The promises that were not kept, each with what was seen instead."""
        return [row for row in self.tests if row["outcome"] == "failed"]

    @property
    def left_out(self) -> list[Row]:
        """The promises that could not be tried, each with the reason."""
        return [row for row in self.tests if row["outcome"] == "skipped"]

    def _contract(self, name: str) -> Row:
        outcomes = [row["outcome"] for row in self.tests if row["contract"] == name]
        words = {"passed": "kept", "failed": "broken", "skipped": "left out"}
        return {"contract": name, **{word: outcomes.count(one) for one, word in words.items()}}


def verify(
    file: Path, instance: str, sample: Path | None = None, media_type: str = ""
) -> Verification:
    """Hold an instance of a configuration to the contracts of what it provides.

    Raises `NotVerified` where no test could be run.
    """
    with TemporaryDirectory(prefix="mailplat-verify-") as name:
        folder = Path(name)
        (folder / "test_instance.py").touch()
        report = folder / "report"
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "mailplat.testing"),
            *("-p", "mailplat.verifying"),
            *("-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", name),
            *("--basetemp", str(folder / "state"), "--tb", "short", "test_instance.py"),
            *("--mailplat-config", str(file), "--mailplat-instance", instance),
            *("--mailplat-report", str(report)),
            *(("--mailplat-sample", str(sample.absolute())) if sample else ()),
            *(("--mailplat-type", media_type) if media_type else ()),
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)  # noqa: S603
        if not report.exists():
            raise NotVerified(_reason(done))
        return Verification(list(map(json.loads, report.read_text().splitlines())))


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    if any("No module named" in line and "pytest" in line for line in said):
        return "the contracts are tests that pytest runs: install mailplat[test]"
    return "\n".join(line.removeprefix("ERROR: ") for line in said) or "no test was run"
