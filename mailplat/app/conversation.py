"""Operations that go to and fro: frames over the control socket, behind the request's line.

Where an operation returns a `Conversation`, frames follow the answer's line
(`mailplat.app.asking` says how they are written).

Without a server the same is said over a pair of sockets, between the asker and a child
process that holds the house open: it goes on as the owner of the state folder, the asker
as whoever may read the files that are to come in.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable
from typing import Any, Protocol, runtime_checkable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.app.asking import FRONT, LINE, Said, framed
from mailplat.mail.errors import MailError, ShuttingDown
from mailplat.mail.limits import KIB, MIB

LONGEST_HEAD = 4 * MIB
LONGEST_OCTETS = 16 * MIB
MOST_UNREAD = 64 * KIB  # octets that are taken while an earlier frame is being answered


@runtime_checkable
class Conversation(Protocol):
    """What an operation returns that is to be asked on."""

    def answer(self, said: dict[str, Any], octets: bytes) -> Awaitable[Said]:
        """Answer a frame; a `MailError` is told and ends nothing."""

    def end(self) -> None:
        """The asker has gone, with or without having heard all."""


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


async def serve(conversation: Conversation, reactor: Any, end: socket.socket) -> None:
    """Answer over one end of a pair of sockets until the other is closed."""
    gone: Deferred[None] = Deferred()
    end.setblocking(False)
    reactor.adoptStreamConnection(end.fileno(), socket.AF_UNIX, _Factory(conversation, gone))
    end.close()
    await gone
