"""What a process and all its children have used: processor time and memory."""

from __future__ import annotations

import os
import re
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")  # in a second


def family(root: int) -> list[int]:
    """Return ``root`` and every living descendant of it."""
    parents = {pid: fields[1] for pid, fields in _all_processes().items()}
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_seconds(root: int) -> float:
    """Return user and system time of the family, children that ended included.

    A child that ended counts in its parent's fields from the moment it was waited for.
    """
    processes = _all_processes()
    used = sum(sum(processes[pid][11:15]) for pid in family(root) if pid in processes)
    return used / TICKS


def pss_bytes(root: int) -> int:
    """Return the family's proportional share of resident memory."""
    return sum(_pss(pid) for pid in family(root))


def _pss(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    [kibibytes] = re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(kibibytes) * 1024


def _all_processes() -> dict[int, list[int]]:
    """Return the numbers of each process's stat line that follow its name and state."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                line = Path(f"/proc/{entry}/stat").read_text()
            except OSError:  # it ended just now
                continue
            found[int(entry)] = [0, *map(int, line.rpartition(")")[2].split()[1:])]
    return found
