"""Writes the log: for people or for programs, and safe from what peers say.

What a peer has said reaches a line escaped and capped, so that it can neither
end the line, nor colour a terminal, nor fill a disk.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TextIO

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.app.tables import LogSettings
from mailplat.interfaces import IBus
from mailplat.mail.events import MessageSettled

LONGEST = 256  # octets of one value


def escaped(value: object) -> str:
    """Return a value as printable ASCII of at most `LONGEST` octets."""
    if isinstance(value, bytes):
        text = value[: LONGEST + 1].decode("latin-1")
    else:
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
        self._standard = stream or sys.stderr
        self._stream = self._standard
        self.use(settings)

    def use(self, settings: LogSettings) -> None:
        """Go on as these settings say; raises `OSError` if the file can't be opened."""
        self._level = LogLevel.lookupByName(settings.level)
        self._line = _json_line if settings.format == "json" else _text_line
        self._path = settings.file
        self.reopen()

    def reopen(self) -> None:
        """Go on in a new file where the old one has been renamed."""
        old, self._stream = self._stream, self._open()
        if old is not self._standard:
            old.close()

    def _open(self) -> TextIO:
        return self._path.open("a", encoding="ascii") if self._path else self._standard

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) < self._level:
            return
        try:
            self._stream.write(self._line(event))
            self._stream.flush()
        except (OSError, ValueError):
            return  # a full disk keeps nobody's mail from being delivered


def tell_of_messages(bus: IBus) -> Callable[[], None]:
    """Log every message that has been settled: one line, and one for each recipient."""
    return bus.subscribe(MessageSettled, _tell_of_message)


_mail = Logger(namespace="mail")


def _tell_of_message(event: MessageSettled) -> None:
    record = event.record
    _mail.info(
        "{id}: from <{sender}> by {portal} {protocol} {peer} {login}, {size} octets, "
        "{message_id}: {kept} of {asked} delivered",
        id=record.id,
        sender=record.sender,
        portal=record.portal,
        protocol=record.protocol,
        peer=record.peer,
        login=record.login,
        size=record.size,
        message_id=record.message_id,
        asked=len(record.recipients),
        kept=sum(outcome.status.klass == 2 for outcome in record.outcomes),
    )
    for recipient, outcome in zip(record.recipients, record.outcomes, strict=False):
        _mail.info(
            "{id}: to <{recipient}>: {status} {detail}",
            id=record.id,
            recipient=recipient,
            status=str(outcome.status),
            detail=outcome.detail,
        )
    for refusal in record.refusals:
        _mail.info(
            "{id}: to <{recipient}>: refused by {component}: {detail}",
            id=record.id,
            recipient=refusal.recipient,
            component=refusal.component,
            detail=refusal.detail,
        )


def _fields(event: LogEvent) -> dict[str, object]:
    """Return what the event says, each value made safe."""
    return {
        key: value if isinstance(value, int | float) else escaped(value)
        for key, value in event.items()
        if key[:4] != "log_" and key not in _LEGACY
    }


_LEGACY = {"time", "message", "system", "format", "isError", "why", "failure", "logLevel"}


def _sentence(event: LogEvent, fields: Mapping[str, object]) -> str:
    if event.get("log_format") is None:
        return escaped(formatEvent(event))
    for said in ("log_text", "log_io"):  # by the older logging system, by a stray print
        if said in event:
            return escaped(str(event[said]).partition("\n")[0])
    try:
        text: str = event["log_format"].format_map(fields)
    except (LookupError, AttributeError, TypeError, ValueError):  # it asks for more than values
        return escaped(formatEvent(event))
    return text


def _moment(event: LogEvent) -> str:
    when = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level_name(event: LogEvent) -> str:
    level = event.get("log_level", LogLevel.info)
    return str(level.name)


def _trace(event: LogEvent) -> list[str]:
    failure = event.get("log_failure", event.get("failure"))
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
