"""Operations that go to and fro: frames over the control socket, behind the request's line.

Where an operation returns a `Conversation`, the answer's line is followed by frames:
the lengths of a head in JSON and of octets, four octets each in network order, then the
two.  The asker says a frame and hears one back, and may say some more before it hears.
Each is answered in its turn; hanging up ends what is under way.

Without a server the same is said over a pair of sockets, between the asker and a child
process that holds the house open: it goes on as the owner of the state folder, the asker
as whoever may read the files that are to come in.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.mail.errors import MailError, ShuttingDown
from mailplat.mail.limits import KIB, MIB

T = TypeVar("T")

FRONT = struct.Struct(">II")
LINE = b'{"result": null}\n'  # what answers the request, before any frame
LONGEST_HEAD = 4 * MIB
LONGEST_OCTETS = 16 * MIB
MOST_UNREAD = 64 * KIB  # octets that are taken while an earlier frame is being answered

Said = tuple[dict[str, Any], bytes]


@runtime_checkable
class Conversation(Protocol):
    """What an operation returns that is to be asked on."""

    def answer(self, said: dict[str, Any], octets: bytes) -> Awaitable[Said]:
        """Answer a frame; a `MailError` is told and ends nothing."""

    def end(self) -> None:
        """The asker has gone, with or without having heard all."""


class OperationFailed(Exception):
    """The operation was refused, or went wrong; the text is for the operator."""


class ServerDied(Exception):
    """The server went away before it answered: whether it did as asked is unknown."""


class NoServer(Exception):
    """Nobody hears at the control socket."""


def framed(head: dict[str, Any], octets: bytes = b"") -> bytes:
    """Return a frame as it goes over the socket."""
    said = json.dumps(head).encode()
    return b"".join([FRONT.pack(len(said), len(octets)), said, octets])


# The server's side -----------------------------------------------------------


class Talk:
    """Answers the frames of one asker, one after the other."""

    log = Logger()

    def __init__(self, conversation: Conversation, transport: ITransport) -> None:
        self._conversation = conversation
        self._transport: Any = transport
        self._held = bytearray()
        self._work: Deferred[None] | None = None
        self._ended = False

    def take(self, data: bytes) -> None:
        """Take octets as they come."""
        self._held += data
        if self._work is None:
            self._go_on()
        elif len(self._held) > MOST_UNREAD:
            self._transport.pauseProducing()

    def lose(self) -> None:
        """The asker has hung up: what can be stopped is stopped."""
        self._held.clear()
        if not self._ended:
            self._ended = True
            if self._work:
                self._work.cancel()
            self._conversation.end()

    def _go_on(self) -> None:
        if self._ended or len(self._held) < FRONT.size:
            return
        lengths = FRONT.unpack_from(self._held)
        if lengths[0] > LONGEST_HEAD or lengths[1] > LONGEST_OCTETS:
            self._transport.loseConnection()
            return
        start, stop = FRONT.size + lengths[0], FRONT.size + sum(lengths)
        if len(self._held) < stop:
            return
        head, octets = bytes(self._held[FRONT.size : start]), bytes(self._held[start:stop])
        del self._held[:stop]
        self._work = work = Deferred.fromCoroutine(self._answer(head, octets))
        work.addErrback(self._give_up)
        work.addCallback(self._done)

    def _done(self, _nothing: object) -> None:
        self._work = None
        if not self._ended:
            self._transport.resumeProducing()
            self._go_on()

    async def _answer(self, head: bytes, octets: bytes) -> None:
        try:
            said = await self._conversation.answer(json.loads(head), octets)
        except (ShuttingDown, CancelledError):
            self._transport.loseConnection()
            return
        except MailError as error:
            said = {"problem": str(error)}, b""
        except Exception as error:  # noqa: BLE001 - it goes to whoever asked
            self.log.failure("an operation failed")
            said = {"problem": f"{type(error).__name__}: {error}"}, b""
        if not self._ended:
            self._transport.write(framed(*said))

    def _give_up(self, failure: Failure) -> None:
        self.log.failure("an answer could not be given", failure)
        self._transport.loseConnection()


class _Alone(TwistedProtocol):
    """The end of a pair of sockets at which this process answers itself."""

    transport: ITransport

    def __init__(self, conversation: Conversation, gone: Deferred[None]) -> None:
        self._conversation = conversation
        self._gone = gone

    def connectionMade(self) -> None:
        self.talk = Talk(self._conversation, self.transport)
        self.transport.write(LINE)

    def dataReceived(self, data: bytes) -> None:
        self.talk.take(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.talk.lose()
        self._gone.callback(None)


class _Factory(Factory):
    noisy = False

    def __init__(self, conversation: Conversation, gone: Deferred[None]) -> None:
        self._conversation = conversation
        self._gone = gone

    def buildProtocol(self, addr: object) -> _Alone:
        return _Alone(self._conversation, self._gone)


# The asker's side ------------------------------------------------------------


@attrs.define
class Channel:
    """Says frames and hears the answers; blocks."""

    _socket: socket.socket

    def ask(self, head: dict[str, Any], octets: bytes = b"") -> Said:
        """Say a frame and hear its answer; nothing else may be outstanding."""
        self.say(head, octets)
        return self.hear()

    def say(self, head: dict[str, Any], octets: bytes = b"") -> None:
        """Say a frame, whose answer is to be heard later; raises `ServerDied`."""
        try:
            self._socket.sendall(framed(head, octets))
        except OSError as problem:
            raise ServerDied(str(problem)) from problem

    def hear(self) -> Said:
        """Hear the next answer; raises `ServerDied` and `OperationFailed`."""
        lengths = FRONT.unpack(self._octets(FRONT.size))
        head = json.loads(self._octets(lengths[0]))
        octets = self._octets(lengths[1])
        if "problem" in head:
            raise OperationFailed(head["problem"])
        return head, octets

    def hear_line(self) -> Any:
        """Hear the line that answers the request itself."""
        line = b""
        while not line.endswith(b"\n"):  # an octet at a time: frames follow
            line += self._octets(1)
        said = json.loads(line)
        if "problem" in said:
            raise OperationFailed(said["problem"])
        return said["result"]

    def _octets(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            try:
                piece = self._socket.recv(min(size - len(found), MIB))
            except OSError as problem:
                raise ServerDied(str(problem)) from problem
            if not piece:
                raise ServerDied("the server went away before it answered")
            found += piece
        return bytes(found)


Speak = Callable[[Channel], T]
"""What the asker says and makes of the answers; blocks."""


def converse(
    opened: socket.socket,
    operation: str,
    arguments: dict[str, Any],
    repeated: bool,
    speak: Speak[T],
) -> T:
    """Have the server at the other end of a connection begin a conversation, and speak.

    Raises `ServerDied`, `OperationFailed`, and whatever ``speak`` raises.
    """
    request = {"operation": operation, "arguments": arguments, "repeated": repeated}
    channel = Channel(opened)
    try:
        opened.sendall(json.dumps(request).encode() + b"\n")
    except OSError as problem:
        raise ServerDied(str(problem)) from problem
    channel.hear_line()
    return speak(channel)


async def serve(conversation: Conversation, reactor: Any, end: socket.socket) -> None:
    """Answer over one end of a pair of sockets until the other is closed."""
    gone: Deferred[None] = Deferred()
    end.setblocking(False)
    reactor.adoptStreamConnection(end.fileno(), socket.AF_UNIX, _Factory(conversation, gone))
    end.close()
    await gone


def speak_over(end: socket.socket, speak: Speak[T]) -> T:
    """Speak over the other end; raises what `Channel` does, and what ``speak`` raises."""
    channel = Channel(end)
    channel.hear_line()
    return speak(channel)
