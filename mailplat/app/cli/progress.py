"""Shows on standard error how far a command has come."""

from __future__ import annotations

import sys
import time
from typing import Any

import attrs
import click

from mailplat.app.asking import Channel, Speak
from mailplat.app.cli.words import counted
from mailplat.mail.limits import MIB

SHOWN_EACH = 0.2  # seconds, on a terminal
TOLD_EACH = 10.0  # seconds, elsewhere
WIDTH = 30  # columns of a bar


@attrs.define
class Progress:
    """Shows how far something has come: a bar on a terminal, else a line now and then."""

    verb: str
    silent: bool = False
    what: str = "message"
    _begun: float = attrs.field(factory=time.monotonic)
    _shown: float = attrs.field(factory=time.monotonic)
    _is_open: bool = False

    def show(self, count: int, octets: int, share: float | None) -> None:
        """Show it, unless that was done a moment ago; ``share`` of one has been done."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if self.silent or now - self._shown < (SHOWN_EACH if terminal else TOLD_EACH):
            return
        self._shown = now
        rate = count / max(now - self._begun, 0.001)
        words = f"{counted(count, self.what)}, {octets / MIB:.1f} MiB, {rate:.0f} a second"
        if not terminal:
            click.echo(f"{self.verb}: {words}", err=True)
            return
        self._is_open = True
        bar = ""
        if share is not None:
            full = round(min(max(share, 0.0), 1.0) * WIDTH)
            bar = f"[{'#' * full}{'.' * (WIDTH - full)}] {share:4.0%}  "
        click.echo(f"\r\x1b[K{bar}{words}", err=True, nl=False)

    def close(self) -> None:
        """Leave the line."""
        if self._is_open:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._is_open = False


def following(progress: Progress, of: str) -> Speak[dict[str, Any]]:
    """Return what shows how far lasting work has come, by its count of ``of``."""

    def speak(channel: Channel) -> dict[str, Any]:
        try:
            while True:
                told, _ = channel.ask({"do": "go on"})
                if told["done"]:
                    result: dict[str, Any] = told["result"]
                    return result
                progress.show(told[of], told["octets"], None)
        finally:
            progress.close()

    return speak
