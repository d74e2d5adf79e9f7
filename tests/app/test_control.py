"""Whoever asks gets an answer, however the server comes and goes."""

from __future__ import annotations

import os
import select
import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.threads import deferToThread  # noqa: TID251 - clients that block
from twisted.logger import LogLevel, capturedLogs, formatEvent

from mailplat.app import asking, control
from mailplat.app.asking import SOCKET, Caller, NoServer, OperationFailed, ServerDied, ask
from mailplat.app.control import BadRequest, listen
from mailplat.app.lock import Lock, Locked
from mailplat.mail.errors import AlreadyExists, ShuttingDown


async def run(operation: str, arguments: dict[str, Any], repeated: bool) -> Any:
    if operation == "refuse":
        raise AlreadyExists("it is there already")
    if operation == "what":
        raise BadRequest(f"no operation {operation}")
    if operation == "break":
        raise ZeroDivisionError("by zero")
    return {"operation": operation, "arguments": arguments, "repeated": repeated}


async def test_an_operation_is_asked_for_and_answered(reactor: Any, tmp_path: Path) -> None:
    port = listen(reactor, tmp_path, run)
    said = await deferToThread(ask, tmp_path, "do", {"a": 1}, True)
    assert said == {"operation": "do", "arguments": {"a": 1}, "repeated": True}
    for operation, text in (("refuse", "it is there already"), ("break", "ZeroDivisionError")):
        with pytest.raises(OperationFailed, match=text):
            await deferToThread(ask, tmp_path, operation, {}, False)
    assert (tmp_path / SOCKET).stat().st_mode & 0o777 == 0o600
    await maybeDeferred(port.stopListening)
    with pytest.raises(NoServer):
        ask(tmp_path, "do", {}, False)


async def test_a_long_path_is_no_obstacle(reactor: Any, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("longer" * 20)
    folder.mkdir(parents=True)
    port = listen(reactor, folder, run)
    assert (await deferToThread(ask, folder, "do", {}, False))["operation"] == "do"
    await maybeDeferred(port.stopListening)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"no json\n", "no JSON: JSONDecodeError"),
        (b"\xff\x00\n", "no JSON"),
        (b"[" * 100_000 + b"\n", "no JSON: RecursionError"),
        (b"{}\n", "no operation with its arguments"),
        (b'{"operation": 1}\n', "no operation with its arguments"),
        (b'{"operation": "do", "arguments": [], "repeated": 1}\n', "no operation with"),
        (b'{"operation": "what", "arguments": {}, "repeated": false}\n', "no operation what"),
        (b"x" * (1 << 21), "more than 1048576 octets"),
        (b"[]\n[]\n", "more than one line"),
    ],
)
async def test_nonsense_harms_nobody(
    reactor: Any, tmp_path: Path, octets: bytes, why: str
) -> None:
    port = listen(reactor, tmp_path, run)

    def send() -> bytes:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(str(tmp_path / SOCKET))
            try:
                channel.sendall(octets)
                return channel.recv(1000)
            except ConnectionError:
                return b""

    with capturedLogs() as events:
        said = await deferToThread(send)
    assert said == b"" or said.startswith(b'{"problem": ')
    [event] = events
    assert event["log_level"] is LogLevel.warn
    text = formatEvent(event)
    assert f"account {os.getuid()} of this host sent no request: {why}" in text
    assert (await deferToThread(ask, tmp_path, "do", {}, False))["operation"] == "do"
    await maybeDeferred(port.stopListening)


@pytest.mark.parametrize(
    "octets", [b"", b"[", b'{"operation": "much", "arguments": {}, "repeated": false}\n']
)
async def test_who_says_or_hears_only_half_is_not_waited_for(
    reactor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, octets: bytes
) -> None:
    async def much(*_: object) -> str:
        return "x" * (1 << 22)

    monkeypatch.setattr(control, "SAID_WITHIN", 0.05)
    port = listen(reactor, tmp_path, much)
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(tmp_path / SOCKET))
        channel.sendall(octets)
        end = select.poll()
        end.register(channel, 0)  # nothing but its end
        [(_, events)] = await deferToThread(end.poll, 30_000)
        assert events & select.POLLHUP
    await maybeDeferred(port.stopListening)


def alone(operation: str, arguments: dict[str, Any], repeated: bool) -> Any:
    return ("alone", operation, repeated)


def test_without_a_server_it_is_done_here(tmp_path: Path) -> None:
    assert Caller(tmp_path, alone, Locked).call("do", {}) == ("alone", "do", False)


def test_a_server_that_died_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did is unknown, so whoever does it again is told that it is a repeat."""
    answers = [ServerDied(), NoServer()]

    def dying(*_: object) -> Any:
        raise answers.pop(0)

    monkeypatch.setattr(asking, "ask", dying)
    busy = [Locked("somebody else has it")]

    def soon_alone(operation: str, arguments: dict[str, Any], repeated: bool) -> Any:
        if busy:
            raise busy.pop()
        return alone(operation, arguments, repeated)

    assert Caller(tmp_path, soon_alone, Locked).call("do", {}) == ("alone", "do", True)


async def test_a_closing_server_is_asked_no_more(reactor: Any, tmp_path: Path) -> None:
    async def closing(*_: object) -> Any:
        raise ShuttingDown("the server is closing its doors")

    port = listen(reactor, tmp_path, closing)
    with pytest.raises(ServerDied):
        await deferToThread(ask, tmp_path, "do", {}, False)
    await maybeDeferred(port.stopListening)


def test_a_closed_folder_is_said_plainly(tmp_path: Path) -> None:
    def forbidden(*_: object) -> Any:
        raise PermissionError(13, "Permission denied", "lock")

    with pytest.raises(
        OperationFailed, match=f"Permission denied.* as the owner of {tmp_path}"
    ):
        Caller(tmp_path, forbidden, Locked).call("do", {})


async def test_a_closed_socket_is_said_plainly(
    reactor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asking, "address_of", forbidden)  # root may open any
    with pytest.raises(OperationFailed, match="Permission denied; try as the owner of"):
        await deferToThread(ask, tmp_path, "do", {}, False)


def test_it_does_not_wait_for_ever(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path)

    def busy(*_: object) -> Any:
        Lock.take(tmp_path)

    with pytest.raises(
        OperationFailed, match=rf"held by another process, whose id is {os.getpid()}, and does"
    ):
        Caller(tmp_path, busy, Locked, patience=0.2).call("do", {})
    lock.release()
    Lock.take(tmp_path).release()
