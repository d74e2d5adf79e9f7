"""Writes the log: for people or for programs, and safe from what peers say.

What a peer has said reaches a line escaped and capped, so that it can neither
end the line, nor colour a terminal, nor fill a disk.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TextIO, TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.app.tables import LogSettings
from mailplat.interfaces import IBus
from mailplat.mail.events import Attempted, MessageSettled
from mailplat.mail.transit import MessageRecord

LONGEST = 256  # octets of one value
MINUTE = 60.0  # seconds

Sentence: TypeAlias = tuple[str, Mapping[str, str | int | float]]
"""A format and what stands in it, each value as a whole."""


def escaped(value: object) -> str:
    """Return a value as printable ASCII of at most `LONGEST` octets."""
    if isinstance(value, bytes):
        text = value[: LONGEST + 1].decode("latin-1")
    else:
        text = str(value)[: LONGEST + 1]
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_escaped_character, text))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def is_harmless(text: str) -> bool:
    """Say whether `escaped` changes nothing in a text, and so in no value it is made of."""
    return len(text) <= LONGEST and text.isascii() and text.isprintable()


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
        self._unwritten: list[str] = []
        self._turned_away = 0  # connections for which no descriptor was free
        self._tell_of_them = 0.0  # not before then
        self.use(settings)

    def use(self, settings: LogSettings) -> None:
        """Go on as these settings say; raises `OSError` if the file can't be opened."""
        self._go_on_in(self._open(settings.file))
        self._level = LogLevel.lookupByName(settings.level)
        self._render = _json_line if settings.format == "json" else _text_line
        self._path = settings.file

    def reopen(self) -> None:
        """Go on in a new file where the old one has been renamed; raises `OSError`."""
        self._go_on_in(self._open(self._path))

    def _go_on_in(self, stream: TextIO) -> None:
        old, self._stream = self._stream, stream
        if old is not self._standard:
            old.close()

    def _open(self, path: Path | None) -> TextIO:
        return path.open("a", encoding="ascii") if path else self._standard

    def __call__(self, event: LogEvent) -> None:
        if _is_of_exhaustion(event):
            event = self._counted(event)
        level = event.get("log_level", LogLevel.info)
        if event and level >= self._level and not _is_of_a_socket(event):
            fields = _fields(event)
            line = self._render(
                _moment(event.get("log_time", 0.0)),
                str(level.name),
                event.get("log_namespace", "-"),
                _sentence(event, fields),
                fields,
                _trace(event),
            )
            self._unwritten.append(line)
            self.write()

    def _counted(self, event: LogEvent) -> LogEvent:
        """Return what to say of descriptors that have run out, or nothing: once a minute.

        Twisted says three things about each connection that it turns away for want of one.
        """
        self._turned_away += bool(_TURNED_AWAY.search(event["log_format"]))
        moment = event.get("log_time", 0.0)
        if not self._turned_away or moment < self._tell_of_them:
            return {}
        count, self._turned_away, self._tell_of_them = self._turned_away, 0, moment + MINUTE
        return {
            "log_level": LogLevel.error,
            "log_time": moment,
            "log_namespace": event["log_namespace"],
            "log_format": "no descriptor is free; connections turned away: {count}",
            "count": count,
        }

    def note(self, room: str, sentences: Iterable[Sentence]) -> bool:
        """Make lines of what a room says for information; they are written with the next.

        Returns whether they are the first, so that a `write` must follow.
        """
        if self._level > LogLevel.info:
            return False
        is_first = not self._unwritten
        moment = _moment(time.time())
        for form, values in sentences:
            text = form.format_map(values)
            if not is_harmless(text):
                values = _made_safe(values)
                text = form.format_map(values)
            self._unwritten.append(self._render(moment, "info", room, text, values, ()))
        return is_first

    def write(self) -> None:
        """Write what has been noted."""
        text = "".join(self._unwritten)
        self._unwritten.clear()
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return  # a full disk keeps nobody's mail from being delivered


_mail = Logger(namespace="mail")


def tell_of_messages(
    bus: IBus, writer: LogWriter | None, clock: IReactorTime
) -> Callable[[], None]:
    """Log every message that has been settled: one line, and one for each recipient.

    Without a ``writer``, whoever else writes the log is told by events; with one,
    the lines of one turn are written together.
    """

    def hear(settled: MessageSettled) -> None:
        say(_sentences(settled.record))

    def say(sentences: Iterator[Sentence]) -> None:
        if writer is None:
            for form, values in sentences:
                _mail.info(form, **values)
        elif writer.note(_mail.namespace, sentences):
            clock.callLater(0, writer.write)

    def hear_of_attempt(attempted: Attempted) -> None:
        say(_sentences_of_attempt(attempted))

    ends = [bus.subscribe(MessageSettled, hear), bus.subscribe(Attempted, hear_of_attempt)]

    def stop() -> None:
        for end in ends:
            end()

    return stop


_FROM = "{id}: from <{sender}> by {portal} {protocol} {peer}"
_LOGIN = " {login}"
_KEPT = ", {size} octets, {message_id}: {kept} of {asked} taken"
_NAMELESS = ", {size} octets, no Message-ID: {kept} of {asked} taken"
_REFUSED = ": ended before its content came"
_REPEATED = "; and {repeats} more like it in that minute"
_OUTCOME = "{id}: to <{recipient}>: {status} {detail}"
_REFUSAL = "{id}: to <{recipient}>: refused by {component}: {detail}"


def _sentences(record: MessageRecord) -> Iterator[Sentence]:
    said: dict[str, str | int | float] = {
        "id": record.id,
        "sender": record.sender,
        "portal": record.portal,
        "protocol": record.protocol,
        "peer": record.peer,
        "login": record.login,
        "size": record.size,
        "message_id": record.message_id,
        "repeats": record.repeats,
        "asked": len(record.recipients),
        "kept": sum(outcome.status.is_success for outcome in record.outcomes),
    }
    yield _form(record), said
    for recipient, outcome in zip(record.recipients, record.outcomes, strict=False):
        said = {
            "id": record.id,
            "recipient": recipient,
            "status": str(outcome.status),
            "detail": outcome.detail,
        }
        yield _OUTCOME, said
    for refusal in record.refusals:
        said = {
            "id": record.id,
            "recipient": refusal.recipient,
            "component": refusal.component,
            "detail": refusal.detail,
        }
        yield _REFUSAL, said


_ATTEMPT = "{id}: to <{recipient}> by {agent}, {seconds} s: {status} {detail}: {then}"


def _sentences_of_attempt(attempted: Attempted) -> Iterator[Sentence]:
    for one in attempted.recipients:
        said: dict[str, str | int | float] = {
            "id": attempted.id,
            "agent": attempted.agent,
            "destination": attempted.destination,
            "seconds": round(attempted.seconds, 3),
            "recipient": one.recipient,
            "status": one.status,
            "detail": one.detail,
            "then": one.then,
        }
        yield _ATTEMPT, said


def _form(record: MessageRecord) -> str:
    """Return the sentence about a message, without what isn't known of it."""
    who = _FROM + _LOGIN if record.login else _FROM
    if not record.outcomes:
        form = who + _REFUSED
    else:
        form = who + (_KEPT if record.message_id else _NAMELESS)
    return form + _REPEATED if record.repeats else form


def _fields(event: LogEvent) -> dict[str, str | int | float]:
    """Return what the event says, each value made safe."""
    said = {
        key: value for key, value in event.items() if key[:4] != "log_" and key not in _LEGACY
    }
    return _made_safe(said)


def _made_safe(values: Mapping[str, object]) -> dict[str, str | int | float]:
    return {
        key: value if isinstance(value, int | float) else escaped(value)
        for key, value in values.items()
    }


_OF_SOCKETS = re.compile(r"\S+ (?:\([^()]*\) )?starting on .*|\(.* Port .* Closed\)")


def _is_of_a_socket(event: LogEvent) -> bool:
    """Say whether Twisted tells of a socket that was opened or closed: we name our own."""
    if event.get("log_namespace") != "log_legacy" or event.get("isError"):
        return False
    return bool(_OF_SOCKETS.fullmatch(str(event.get("log_text", ""))[:LONGEST]))


_TURNED_AWAY = re.compile("Closed socket|Could not accept")
_OF_EXHAUSTION = re.compile("EMFILE|Could not accept")


def _is_of_exhaustion(event: LogEvent) -> bool:
    """Say whether Twisted tells of a connection for which it had no descriptor."""
    if not str(event.get("log_namespace")).startswith("twisted.internet.tcp"):
        return False
    return bool(_OF_EXHAUSTION.search(str(event.get("log_format"))))


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


def _moment(seconds: float) -> str:
    whole, fraction = divmod(seconds, 1)
    return f"{_second(whole)}.{int(fraction * 1000):03}Z"


@lru_cache(4)
def _second(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _trace(event: LogEvent) -> list[str]:
    failure = event.get("log_failure", event.get("failure"))
    if not isinstance(failure, Failure):
        return []
    return [escaped(line) for line in failure.getTraceback().splitlines()]


def _text_line(
    moment: str,
    level: str,
    room: str,
    text: str,
    _fields: Mapping[str, object],
    trace: Sequence[str],
) -> str:
    return "\n    ".join([f"{moment} {level} [{room}] {text}", *trace]) + "\n"


def _json_line(
    moment: str,
    level: str,
    room: str,
    text: str,
    fields: Mapping[str, object],
    trace: Sequence[str],
) -> str:
    entry = {"time": moment, "level": level, "room": room, "text": text, **fields}
    if trace:
        entry["traceback"] = trace
    return json.dumps(entry) + "\n"
