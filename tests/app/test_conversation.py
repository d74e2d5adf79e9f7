"""Conversations: frames to and fro, however they are cut, and whoever hangs up."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread  # noqa: TID251 - clients that block

from mailplat.app import conversation
from mailplat.app.asking import (
    FRONT,
    SOCKET,
    Caller,
    Channel,
    OperationFailed,
    Said,
    ServerDied,
    framed,
    speak_over,
)
from mailplat.app.control import listen
from mailplat.app.conversation import Conversation, Talk, serve
from mailplat.app.lock import Locked
from mailplat.mail.errors import DiskFull, ShuttingDown


class Echo:
    """Says back what it hears."""

    def __init__(self) -> None:
        self.waiting: Deferred[None] = Deferred()
        self.ended = 0
        self.cancelled = False

    async def answer(self, said: dict[str, Any], octets: bytes) -> Said:
        match said.get("do"):
            case "wait":
                try:
                    await self.waiting
                finally:
                    self.cancelled = True
            case "refuse":
                raise DiskFull("no room")
            case "break":
                raise ZeroDivisionError("by zero")
            case "close":
                raise ShuttingDown("closing")
        return {"heard": said}, octets[::-1]

    def end(self) -> None:
        self.ended += 1


def told(transport: StringTransport) -> list[tuple[bytes, bytes]]:
    octets = transport.value()
    found = []
    while octets:
        head, more = FRONT.unpack_from(octets)
        start = FRONT.size + head
        found.append((octets[FRONT.size : start], octets[start : start + more]))
        octets = octets[start + more :]
    return found


FRAMES = framed({"n": 1}, b"abc") + framed({"do": "refuse"}) + framed({"do": "break"}, b"x")
ANSWERS = [
    (b'{"heard": {"n": 1}}', b"cba"),
    (b'{"problem": "no room"}', b""),
    (b'{"problem": "ZeroDivisionError: by zero"}', b""),
]


def test_it_is_one() -> None:
    assert isinstance(Echo(), Conversation)
    assert not isinstance({"result": 1}, Conversation)


@pytest.mark.parametrize("size", range(1, len(FRAMES) + 1))
def test_frames_may_be_cut_anywhere(size: int) -> None:
    transport = StringTransport()
    talk = Talk(Echo(), transport)
    for at in range(0, len(FRAMES), size):
        talk.take(FRAMES[at : at + size])
    assert told(transport) == ANSWERS


def test_answers_come_in_order_and_nothing_piles_up() -> None:
    transport, echo = StringTransport(), Echo()
    talk = Talk(echo, transport)
    talk.take(framed({"do": "wait"}) + framed({"n": 2}))
    assert told(transport) == []
    talk.take(framed({"n": 3}, b"x" * conversation.MOST_UNREAD))
    assert transport.producerState == "paused"
    echo.waiting.callback(None)
    assert [head for head, _ in told(transport)] == [
        b'{"heard": {"do": "wait"}}', b'{"heard": {"n": 2}}', b'{"heard": {"n": 3}}',
    ]  # fmt: skip
    assert transport.producerState == "producing"


def test_hanging_up_ends_what_is_under_way() -> None:
    transport, echo = StringTransport(), Echo()
    talk = Talk(echo, transport)
    talk.take(framed({"do": "wait"}) + framed({"n": 2}))
    talk.lose()
    talk.lose()
    assert echo.cancelled
    assert echo.ended == 1
    assert told(transport) == []


@pytest.mark.parametrize(
    "octets",
    [
        FRONT.pack(conversation.LONGEST_HEAD + 1, 0),
        FRONT.pack(2, conversation.LONGEST_OCTETS + 1),
        framed({"do": "close"}),
    ],
)
def test_some_end_it(octets: bytes) -> None:
    transport = StringTransport()
    Talk(Echo(), transport).take(octets)
    assert transport.disconnecting
    assert told(transport) == []


def test_nonsense_is_answered() -> None:
    transport = StringTransport()
    Talk(Echo(), transport).take(FRONT.pack(3, 0) + b"no!")
    [(head, _)] = told(transport)
    assert b"problem" in head


async def run(operation: str, arguments: dict[str, Any], repeated: bool) -> Any:
    if operation == "refuse":
        raise DiskFull("no room")
    return Echo()


def alone(*_: object) -> Any:
    raise Locked("somebody else has it")


async def test_a_server_is_spoken_with(reactor: Any, tmp_path: Path) -> None:
    port = listen(reactor, tmp_path, run)

    def speak(channel: Channel) -> Said:
        channel.say({"n": 1})
        channel.say({"n": 2}, b"ab")
        channel.hear()
        return channel.hear()

    caller = Caller(tmp_path, alone, Locked, patience=0.1, speak=speak)
    assert await deferToThread(caller.call, "echo", {}) == ({"heard": {"n": 2}}, b"ba")
    with pytest.raises(OperationFailed, match="no room"):
        await deferToThread(caller.call, "refuse", {})
    await maybeDeferred(port.stopListening)


async def test_a_server_that_died_is_spoken_with_anew(reactor: Any, tmp_path: Path) -> None:
    port = listen(reactor, tmp_path, run)
    told = [{"do": "close"}, {"n": 1}]

    def speak(channel: Channel) -> Said:
        return channel.ask(told.pop(0))

    caller = Caller(tmp_path, alone, Locked, speak=speak)
    assert await deferToThread(caller.call, "echo", {}) == ({"heard": {"n": 1}}, b"")
    await maybeDeferred(port.stopListening)
    assert (tmp_path / SOCKET).exists() or not told


@pytest.mark.parametrize("kind", [FileNotFoundError, ConnectionResetError, PermissionError])
@pytest.mark.parametrize("served", [True, False])
async def test_what_the_speaker_meets_is_no_matter_of_the_connection(
    reactor: Any, tmp_path: Path, kind: type[OSError], served: bool
) -> None:
    port = listen(reactor, tmp_path, run) if served else None

    def speak(channel: Channel | None) -> None:
        raise kind("the target has gone")

    def do_alone(*_: object) -> None:
        speak(None)

    caller = Caller(tmp_path, do_alone if not served else alone, Locked, speak=speak)
    with pytest.raises(kind, match=r"^the target has gone$"):
        await deferToThread(caller.call, "echo", {})
    if port:
        await maybeDeferred(port.stopListening)


async def test_a_pair_of_sockets_does_as_well(reactor: Any) -> None:
    here, there = socket.socketpair()
    echo = Echo()
    served = Deferred.fromCoroutine(serve(echo, reactor, there))

    def speak(channel: Channel) -> Said:
        with pytest.raises(OperationFailed, match="no room"):
            channel.ask({"do": "refuse"})
        return channel.ask({"n": 1}, b"ab")

    assert await deferToThread(speak_over, here, speak) == ({"heard": {"n": 1}}, b"ba")
    here.close()
    await served
    assert echo.ended == 1


def test_a_channel_that_breaks_is_a_server_that_died() -> None:
    here, there = socket.socketpair()
    there.sendall(framed({"n": 1})[:-1])
    there.close()
    with here, pytest.raises(ServerDied):
        Channel(here).hear()
