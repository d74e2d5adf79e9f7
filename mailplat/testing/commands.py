"""Runs ``mailplat`` in processes of their own that need not import a house first.

Each is forked from a process that has imported one (`multiprocessing`'s fork server), which
takes a tenth of the time; everything else is as in a terminal: its own standard streams,
environment, folder, reactor and exit status.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import attrs

IMPORTED = [
    "pytest",  # multiprocessing imports what it finds where a script of its own runs the tests
    "mailplat.testing.imported",
]
NOTHING: Mapping[str, str] = MappingProxyType({})
SECONDS = 120  # that a command may take, on a busy machine too

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(IMPORTED)


@attrs.frozen
class _Call:
    """The words of a command, and what it finds around it."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    streams: Sequence[Path]  # the files of standard input, output and error


def mailplat(
    *words: str,
    said: str = "",
    environment: Mapping[str, str] = NOTHING,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``mailplat`` with ``words``, and wait for it; ``said`` is its standard input."""
    with TemporaryDirectory(prefix="mailplat-command-") as name:
        heard, told, wrong = streams = [Path(name, end) for end in ("in", "out", "wrong")]
        heard.write_text(said)
        given = {**os.environ, **environment}
        call = _Call(words, given, folder or Path.cwd(), streams)
        process = _forks.Process(target=_be, args=(call,), daemon=True)
        process.start()
        process.join(SECONDS)
        status = process.exitcode
        if status is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["mailplat", *words], SECONDS)
        return subprocess.CompletedProcess(
            ["mailplat", *words], status, told.read_text(), wrong.read_text()
        )


def _be(call: _Call) -> None:
    """Be the command; what it raises becomes the exit status."""
    for number, path in enumerate(call.streams):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - multiprocessing has taken it
    os.environ.clear()
    os.environ.update(call.environment)
    os.chdir(call.folder)
    sys.argv = ["mailplat", *call.words]
    import_module("mailplat.app.cli").main()
