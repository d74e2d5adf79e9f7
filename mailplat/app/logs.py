"""Writes the log: for people or for programs, and safe from what peers say.

What a peer has said reaches a line escaped and capped, so that it can neither
end the line, nor colour a terminal, nor fill a disk.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.app.tables import LogSettings

LONGEST = 256  # octets of one value


def escaped(value: object) -> str:
    """Return a value as printable ASCII of at most `LONGEST` octets."""
    match value:
        case bytes():
            text = value[: LONGEST + 1].decode("latin-1")
        case _:
            text = str(value)[: LONGEST + 1]
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_escaped_character, text))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _escaped_character(character: str) -> str:
    if " " <= character <= "~":
        return character
    return character.encode("unicode_escape").decode("ascii")


@implementer(ILogObserver)
class LogWriter:
    """Writes events as lines to standard error or to a file that can be reopened."""

    def __init__(self, settings: LogSettings, stream: TextIO | None = None) -> None:
        self._path: Path | None = settings.file
        self._level = LogLevel.lookupByName(settings.level)
        self._line = _json_line if settings.format == "json" else _text_line
        self._stream = stream or sys.stderr
        self.reopen()

    def reopen(self) -> None:
        """Go on in a new file where the old one has been renamed."""
        if self._path is None:
            return
        old, self._stream = self._stream, self._path.open("a", encoding="ascii", buffering=1)
        if old is not sys.stderr:
            old.close()

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) < self._level:
            return
        try:
            self._stream.write(self._line(event))
            self._stream.flush()
        except (OSError, ValueError):
            return  # a full disk keeps nobody's mail from being delivered


def _fields(event: LogEvent) -> dict[str, object]:
    """Return what the event says, each value made safe."""
    return {
        key: value if isinstance(value, int | float) else escaped(value)
        for key, value in event.items()
        if not key.startswith("log_") and key not in _LEGACY
    }


_LEGACY = {"time", "message", "system", "format", "isError", "why", "failure", "logLevel"}


def _sentence(event: LogEvent, fields: Mapping[str, object]) -> str:
    if event.get("log_format") is None:
        return escaped(formatEvent(event))
    return formatEvent({"log_format": event["log_format"], **fields})


def _moment(event: LogEvent) -> str:
    when = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level_name(event: LogEvent) -> str:
    level = event.get("log_level", LogLevel.info)
    return str(level.name)


def _trace(event: LogEvent) -> list[str]:
    failure = event.get("log_failure")
    if not isinstance(failure, Failure):
        return []
    return [escaped(line) for line in failure.getTraceback().splitlines()]


def _text_line(event: LogEvent) -> str:
    fields = _fields(event)
    line = f"{_moment(event)} {_level_name(event)} [{event.get('log_namespace', '-')}] "
    line += _sentence(event, fields)
    return "\n    ".join([line, *_trace(event)]) + "\n"


def _json_line(event: LogEvent) -> str:
    fields = _fields(event)
    entry = {
        "time": _moment(event),
        "level": _level_name(event),
        "room": event.get("log_namespace", "-"),
        "text": _sentence(event, fields),
        **fields,
    }
    if trace := _trace(event):
        entry["traceback"] = trace
    return json.dumps(entry) + "\n"
