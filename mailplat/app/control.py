"""A running server hears operations on ``state/control.sock``; `mailplat.app.asking` asks."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort, ITransport
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.app.asking import LINE, SOCKET, address_of
from mailplat.app.conversation import Conversation, Talk
from mailplat.app.foundation import IReactor
from mailplat.mail.errors import MailError, ShuttingDown

LONGEST = 1 << 20  # octets of a request or of an answer
SAID_WITHIN = 10.0  # seconds for a request to come whole, and for its answer to be taken

Run = Callable[[str, dict[str, Any], bool], Awaitable[Any]]
"""Runs an operation by its name; the last says whether it is asked for once more.

It raises `BadRequest` for a name or for arguments that it doesn't know.
"""


class BadRequest(Exception):
    """What came is no request that we know; the text says why."""


def problem_text(error: BaseException) -> str:
    """Return what to tell an operator of an error."""
    if isinstance(error, MailError):
        return str(error)
    return f"{type(error).__name__}: {error}"


# The server's side -----------------------------------------------------------


class _Control(Protocol):
    log = Logger()
    transport: ITransport

    def __init__(self, run: Run, reactor: IReactor) -> None:
        self._run = run
        self._reactor = reactor
        self._uid = -1  # of whoever asks
        self._held = b""
        self._deadline: IDelayedCall | None = None
        self._talk: Talk | None = None

    def connectionMade(self) -> None:
        self._set_deadline()
        handle: socket.socket = self.transport.getHandle()  # type: ignore[attr-defined]
        format_ = "3i"
        credentials = handle.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(format_)
        )
        _pid, self._uid, _gid = struct.unpack(format_, credentials)
        if self._uid not in (0, os.geteuid()):
            self.log.warn("account {uid} of this host may not give orders", uid=self._uid)
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        if self._talk:
            self._talk.take(data)
            return
        self._held += data
        line, end, rest = self._held.partition(b"\n")
        if rest or len(self._held) > LONGEST:
            self._held = b""
            self._warn("more than one line" if rest else f"more than {LONGEST} octets")
            self.transport.loseConnection()
        elif end:
            self._held = b""
            self._end_deadline()
            Deferred.fromCoroutine(self._answer(line)).addErrback(self._give_up)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._held = b""
        self._end_deadline()
        self.connected = 0
        if self._talk:
            self._talk.lose()

    def _set_deadline(self) -> None:
        abort = self.transport.abortConnection  # type: ignore[attr-defined]
        self._deadline = self._reactor.callLater(SAID_WITHIN, abort)

    def _end_deadline(self) -> None:
        if self._deadline and self._deadline.active():
            self._deadline.cancel()

    async def _answer(self, line: bytes) -> None:
        try:
            result = await self._run(*_request(line))
            if isinstance(result, Conversation):
                self._begin(result)
                return
            answer = {"result": result}
        except ShuttingDown:  # no answer: whoever asked has it done once we are gone
            self.transport.loseConnection()
            return
        except BadRequest as problem:
            self._warn(str(problem))
            answer = {"problem": str(problem)}
        except Exception as error:  # noqa: BLE001 - it goes to whoever asked
            if not isinstance(error, MailError):
                self.log.failure("an operation failed")
            answer = {"problem": problem_text(error)}
        if self.connected:
            self._set_deadline()
            self.transport.write(json.dumps(answer).encode() + b"\n")
            self.transport.loseConnection()

    def _warn(self, why: str) -> None:
        self.log.warn(
            "account {uid} of this host sent no request: {why}", uid=self._uid, why=why
        )

    def _begin(self, conversation: Conversation) -> None:
        """Go on in frames, unless the asker has left already."""
        if not self.connected:
            conversation.end()
            return
        self._talk = Talk(conversation, self.transport)
        self.transport.write(LINE)

    def _give_up(self, failure: Failure) -> None:
        self.log.failure("an answer could not be given", failure)
        self.transport.loseConnection()


def _request(line: bytes) -> tuple[str, dict[str, Any], bool]:
    """Return what a line asks for; raises `BadRequest`."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise BadRequest(f"no JSON: {type(problem).__name__}") from None
    match said:
        case {
            "operation": str(operation),
            "arguments": dict(arguments),
            "repeated": bool(again),
        }:
            return operation, arguments, again
    raise BadRequest("no operation with its arguments")


def listen(reactor: IReactor, state: Path, run: Run) -> IListeningPort:
    """Hear operations until the port is closed; only whoever holds the lock may call this."""
    path = state / SOCKET
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address_of(path))
        door.listen(64)
        door.setblocking(False)
        port = reactor.adoptStreamPort(door.fileno(), socket.AF_UNIX, _Factory(run, reactor))
    path.chmod(0o600)
    return port


class _Factory(ServerFactory):
    noisy = False

    def __init__(self, run: Run, reactor: IReactor) -> None:
        self._run = run
        self._reactor = reactor

    def buildProtocol(self, addr: object) -> _Control:
        return _Control(self._run, self._reactor)
