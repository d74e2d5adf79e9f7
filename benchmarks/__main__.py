"""Runs the benchmark and prints its table: ``python -m benchmarks [--rows KEY …]``."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

from benchmarks.beside import Beside, Measured
from benchmarks.measure import Sample
from benchmarks.report import Compared, Figure, print_report
from benchmarks.rows import ROWS, Bench, Row


def compared(row: Row, bench: Bench, rounds: int, sides: list[str]) -> Compared:
    """Measure peer and ours in turns."""
    measured = {"peer": row.peer, "ours": row.ours}
    samples: dict[str, list[Sample]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides:
            sample = measured[side](bench)
            samples[side].append(sample)
            print(f"{row.key} {number + 1}/{rounds} {side}: {sample}", file=sys.stderr)
    medians = {side: Sample.median(taken) for side, taken in samples.items()}
    return Compared(row, medians.get("peer"), medians.get("ours"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", nargs="*", choices=[row.key for row in ROWS])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--sides", nargs="*", choices=["peer", "ours"], default=["peer", "ours"]
    )
    parser.add_argument("--folder", type=Path, help="where the servers keep mail (a real disk)")
    chosen = parser.parse_args()
    results: list[Compared | Figure | Measured] = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="mailplat-benchmark.", dir=chosen.folder)
        )
        Path(folder).chmod(0o755)  # Postfix and Dovecot read their folders as other users
        bench = Bench(Path(folder), stack.enter_context(contextlib.ExitStack()))
        for row in ROWS:
            if chosen.rows and row.key not in chosen.rows:
                continue
            if isinstance(row, Row):
                results.append(compared(row, bench, chosen.rounds, chosen.sides))
            elif isinstance(row, Beside):
                results.append(Measured(row, row.measure(bench)))
                print(f"{row.key}: {results[-1]}", file=sys.stderr)
            elif "ours" in chosen.sides:
                results.append(Figure(row, row.measure(bench)))
        print_report(results, Path(folder), sys.argv[1:])
    return 0 if all(result.passes is not False for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
