"""The log's lines, whatever peers say."""

from __future__ import annotations

import errno
import io
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import tcp
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, globalLogPublisher
from twisted.python import log as legacy
from twisted.python.failure import Failure

from mailplat.app.logs import LONGEST, LogWriter, escaped, tell_of_messages
from mailplat.app.tables import LogSettings
from mailplat.bus import Bus
from mailplat.mail.events import MessageSettled
from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import DELIVERED
from mailplat.mail.transit import MessageRecord


def new_record(**known: Any) -> MessageRecord:
    return MessageRecord(
        **{
            "id": "0199",
            "arrived": datetime(2026, 11, 23, tzinfo=UTC),
            "portal": "mx",
            "protocol": "ESMTP",
            "peer": "192.0.2.1",
            "greeting": "",
            "login": "",
            "sender": "a@x",
            "recipients": ("b@x",),
            "outcomes": (),
            "decisions": (),
            "size": 189,
            **known,
        }
    )


MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def written(form: str = "text", level: str = "info", **event: Any) -> str:
    stream = io.StringIO()
    writer = LogWriter(LogSettings.model_validate({"format": form, "level": level}), stream)
    Logger(namespace="room", observer=writer).emit(
        event.pop("log_level", LogLevel.info), event.pop("log_format", "{said}"), **event
    )
    return stream.getvalue()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain", "plain"),
        ("a\r\n2026 forged", r"a\r\n2026 forged"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("gr\u00fc\u00df", r"gr\xfc\xdf"),
        ("\u202e\U0001f4a3", r"\u202e\U0001f4a3"),
        (b"\x00\xff octets", r"\x00\xff octets"),
        ("{format} %s", "{format} %s"),
    ],
)
def test_what_peers_say_is_escaped(said: str | bytes, shown: str) -> None:
    line = written(said=said)
    assert line.endswith(f"Z info [room] {shown}\n")
    assert line.count("\n") == 1
    assert line.isascii()
    assert json.loads(written("json", said=said))["said"] == shown


@pytest.mark.parametrize("said", ["x" * 300, "\n" * 300, "\U0001f4a3" * 300, b"\xff" * 10**7])
def test_what_peers_say_is_capped(said: str | bytes) -> None:
    assert len(escaped(said)) == LONGEST
    assert escaped(said).endswith("...")


def test_numbers_stay_numbers() -> None:
    entry = json.loads(written("json", log_format="{size} octets", size=7))
    assert (entry["size"], entry["text"], entry["room"]) == (7, "7 octets", "room")


def test_levels() -> None:
    assert written(level="warn", said="x") == ""
    assert "warn [room] x" in written(level="warn", log_level=LogLevel.warn, said="x")


def test_a_failure_has_its_traceback() -> None:
    try:
        raise ZeroDivisionError("by\nzero")
    except ZeroDivisionError:
        failure = Failure()  # type: ignore[no-untyped-call]
    lines = written(log_format="broken", log_failure=failure).splitlines()
    assert lines[0].endswith("broken")
    assert all(line.startswith("    ") for line in lines[1:])
    assert "ZeroDivisionError" in written("json", log_format="broken", log_failure=failure)


def test_a_file_is_reopened_and_exchanged(tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    writer = LogWriter(LogSettings(file=first))
    log = Logger(namespace="room", observer=writer)
    log.info("one")
    first.rename(tmp_path / "first.log.1")
    writer.reopen()
    log.info("two")
    writer.use(LogSettings(file=second))
    log.info("three")
    texts = [path.read_text() for path in (tmp_path / "first.log.1", first, second)]
    assert [text.split()[-1] for text in texts] == ["one", "two", "three"]


def test_a_full_disk_stops_nobody() -> None:
    writer = LogWriter(LogSettings(file=Path("/dev/full")))
    Logger(observer=writer).info("lost")


def test_events_that_make_no_sense_are_shown_all_the_same() -> None:
    assert "Unable to format" in written(log_format="{missing}")


def test_the_older_logging_system_is_heard() -> None:
    stream = io.StringIO()
    writer = LogWriter(LogSettings(), stream)
    globalLogPublisher.addObserver(writer)
    legacy.msg("said")
    legacy.err(ZeroDivisionError("by zero"), "why")  # type: ignore[no-untyped-call]
    globalLogPublisher.removeObserver(writer)
    lines = stream.getvalue().splitlines()
    assert lines[0].endswith("info [log_legacy] said")
    assert lines[1].endswith("critical [log_legacy] why")
    assert "ZeroDivisionError" in lines[-1]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("said", ["plain", "a\r\nforged", "gr\u00fc\u00df", "x" * 300])
def test_notes_look_like_events(form: str, said: str) -> None:
    stream = io.StringIO()
    writer = LogWriter(LogSettings.model_validate({"format": form}), stream)
    assert writer.note("room", [("{said} {size}", {"said": said, "size": 7})])
    writer.write()
    event = written(form, log_format="{said} {size}", said=said, size=7)
    assert MOMENT.sub("", stream.getvalue()) == MOMENT.sub("", event)


def test_notes_are_written_in_their_order() -> None:
    stream = io.StringIO()
    writer = LogWriter(LogSettings(), stream)
    assert writer.note("room", [("{one}", {"one": 1}), ("{two}", {"two": 2})])
    assert not writer.note("room", [("{three}", {"three": 3})])
    assert stream.getvalue() == ""
    Logger(observer=writer).info("4")
    assert [line[-1] for line in stream.getvalue().splitlines()] == ["1", "2", "3", "4"]
    assert not LogWriter(LogSettings(level="warn"), stream).note("room", [("5", {})])


def test_a_lack_of_descriptors_is_told_once_a_minute() -> None:
    """Twisted's own code says it for each connection; here it has none to open."""
    stream = io.StringIO()
    writer = LogWriter(LogSettings(), stream)

    def accept(moments: Iterable[float]) -> None:
        def lack() -> None:
            raise OSError(errno.EMFILE, "too many")

        listener: Any = SimpleNamespace(accept=lack)
        reserved: Any = tcp._FileDescriptorReservation(io.BytesIO)
        reserved.reserve()
        for moment in moments:
            said: list[dict[str, Any]] = []
            logger = Logger("twisted.internet.tcp.Port", observer=said.append)
            list(tcp._accept(logger, [1], listener, reserved))
            for event in said:
                writer(event | {"log_time": moment})

    accept(range(100, 150))
    assert stream.getvalue().count("\n") == 1
    accept([159.0, 160.0])
    lines = stream.getvalue().splitlines()
    assert "error" in lines[0]
    assert [lines[0].endswith(": 1"), lines[1].endswith(": 50")] == [True, True]


def test_sockets_of_twisted_are_no_news() -> None:
    stream = io.StringIO()
    writer = LogWriter(LogSettings(), stream)
    globalLogPublisher.addObserver(writer)
    for text in ("_Front starting on 25", "_Factory starting on '/x/control.sock'"):
        legacy.msg(text)
    legacy.msg("(TCP Port 25 Closed)")
    globalLogPublisher.removeObserver(writer)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            new_record(login="bob", message_id="<1@x>", outcomes=(Outcome(DELIVERED),)),
            "0199: from <a@x> by mx ESMTP 192.0.2.1 bob, 189 octets, <1@x>: 1 of 1 taken",
        ),
        (
            new_record(outcomes=(Outcome(DELIVERED),)),
            ("0199: from <a@x> by mx ESMTP 192.0.2.1, 189 octets, no Message-ID: 1 of 1 taken"),
        ),
        (
            new_record(),
            "0199: from <a@x> by mx ESMTP 192.0.2.1: ended before its content came",
        ),
    ],
)
def test_a_line_says_nothing_of_what_is_not_known(record: MessageRecord, said: str) -> None:
    clock, stream = Clock(), io.StringIO()
    bus = Bus(clock)
    tell_of_messages(bus, LogWriter(LogSettings(), stream), clock)
    bus.publish([MessageSettled(record)])
    clock.advance(0)
    clock.advance(0)
    assert f"[mail] {said}\n" in stream.getvalue()
