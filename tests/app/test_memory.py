"""Memory that was needed for a moment goes back, unless the operator chooses otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from pathlib import Path
from mailplat.app import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

memory.give_back()
before = resident()
for size in (200_000, 400_000):  # glibc learns from the first that such sizes are no rarity
    held = [b"x" * (size + at) for at in range(100)]
    assert resident() - before > 10_000_000
    last, held = held[-1], None
print(resident() - before)
"""


@pytest.mark.parametrize("chosen", [{}, {"MALLOC_MMAP_THRESHOLD_": "33554432"}])
def test_memory_goes_back(chosen: dict[str, str]) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | chosen
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True
    )
    kept = int(done.stdout)
    assert (kept > 10_000_000) if chosen else (kept < 2_000_000)
