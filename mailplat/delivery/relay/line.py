"""A connection to another host: carries octets for the engine, and minds its times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.delivery.relay.exchanges import IPAddress
from mailplat.delivery.relay.tls import Client, shown_by
from mailplat.mail.content import Content
from mailplat.mail.errors import MailError, StoreFailed
from mailplat.mail.hops import Shown
from mailplat.mail.limits import KIB
from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import Status
from mailplat.wire.smtp.sender import Awaited, Failed, Result, Sender
from mailplat.wire.smtp.transaction import Transaction

PIECE = 64 * KIB  # octets of a content that are read at once
PATIENCE = {
    Awaited.GREETING: 300.0,
    Awaited.COMMAND: 300.0,
    Awaited.START: 120.0,
    Awaited.CONTENT: 180.0,
    Awaited.END: 600.0,
}
"""Seconds that RFC 5321 section 4.5.3.2 wants us to wait for each."""
HANDSHAKE = 60.0  # seconds
GOODBYE = 5.0  # seconds for the answer to QUIT
NO_HANDSHAKE = Status(4, 7, 5)


@implementer(IHandshakeListener, IPushProducer)
class Line(Protocol):
    """One connection, from its beginning to its end, that serves one order at a time.

    ``address`` says where it leads to, ``shown`` what was shown under TLS and is None
    in the clear, ``sent`` counts the messages that it has carried.
    """

    transport: Any

    def __init__(
        self,
        engine: Sender,
        clock: IReactorTime,
        address: IPAddress | None = None,
        patience: Mapping[Awaited, float] = PATIENCE,
    ) -> None:
        self.engine = engine
        self.address = address
        self.shown: Shown | None = None
        self.sent = 0
        self.is_over = False
        self._clock = clock
        self._patience = patience
        self._steps = 0
        self._call: IDelayedCall | None = None
        self._waiter: Deferred[None] | None = None
        self._handshake: Deferred[str] | None = None
        self._blocked = False
        self._ended: Callable[[Line], None] = _nobody

    # What the transport tells us.

    def connectionMade(self) -> None:
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay:
            set_no_delay(True)
        connected = getattr(self.factory, "connected", None)
        if connected:
            connected(self)

    def dataReceived(self, octets: bytes) -> None:
        self.engine.receive(octets)
        self._go_on()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_over = True
        self._rest()
        text = str(reason.value) or type(reason.value).__name__
        self.engine.lost(f"the connection was lost ({text})")
        self._blocked = False
        if self._handshake:
            handshake, self._handshake = self._handshake, None
            handshake.callback(text)
        self._wake()
        self._ended(self)

    def handshakeCompleted(self) -> None:
        self._rest()
        handle: SSL.Connection = self.transport.getHandle()
        self.shown = shown_by(handle)
        if self._handshake:
            handshake, self._handshake = self._handshake, None
            handshake.callback("")

    def pauseProducing(self) -> None:
        self._blocked = True

    def resumeProducing(self) -> None:
        self._blocked = False
        self._wake()

    def stopProducing(self) -> None:
        self._blocked = False

    # Orders.

    async def ask(self, begin: Callable[[], None]) -> Result:
        """Give an order and return its result."""
        begin()
        self._go_on()
        while self.engine.result is None:
            await self._change()
        return self.engine.result

    async def start_tls(self, client: Client, *, implicit: bool = False) -> Failed | None:
        """Go on under TLS; a failure means that the connection is over."""
        if not implicit:
            result = await self.ask(self.engine.start_tls)
            if isinstance(result, Failed):
                return _without_tls(result)
        if self.is_over:
            return self._no_tls("it hung up")
        self._handshake = Deferred(self._left)
        self._wait(HANDSHAKE)
        self.transport.startTLS(client)
        problem = await self._handshake
        return self._no_tls(problem) if problem or self.is_over else None

    def _no_tls(self, problem: str) -> Failed:
        detail = f"no TLS with {self.engine.who}: {problem or 'it hung up'}"
        return Failed(Outcome(NO_HANDSHAKE, detail, remote=self.engine.host))

    async def send(self, transaction: Transaction, content: Content) -> Result:
        """Carry one message; a content that can't be read ends the connection.

        Then every recipient of whom nothing is known yet fails for now.
        """
        self.sent += 1
        self.engine.send(transaction)
        self._go_on()
        at = 0
        producing = False
        try:
            while self.engine.result is None:
                if self.engine.wants_content and not self._blocked:
                    if not producing and not self.is_over:
                        producing = True
                        self.transport.registerProducer(self, True)
                    at = await self._feed(content, at)
                else:
                    await self._change()
        except BaseException:
            self.abort()
            raise
        finally:
            if producing and not self.is_over:
                self.transport.unregisterProducer()
        return self.engine.result

    async def _feed(self, content: Content, at: int) -> int:
        stop = min(at + PIECE, content.size)
        try:
            octets = await content.read(at, stop)
            if len(octets) != stop - at:
                raise StoreFailed(f"a content of {content.size} octets ended after {at}")
        except MailError as error:
            self.engine.lost(f"the message can't be read ({error})", StoreFailed.status)
            self.abort()
            return at
        if self.engine.wants_content:
            self.engine.feed(octets, is_last=stop == content.size)
            self._go_on()
        return stop

    def close(self) -> None:
        """Say goodbye and hang up, without waiting for it to be heard."""
        if self.is_over or self.engine.closing:
            self.abort()
            return
        self.engine.quit()
        self.transport.write(self.engine.take())
        self._wait(GOODBYE)
        self.transport.loseConnection()

    def abort(self) -> None:
        """Hang up at once."""
        self._rest()
        if not self.is_over and self.transport:
            self.transport.abortConnection()

    def when_over(self, ended: Callable[[Line], None]) -> None:
        """Call ``ended`` once the connection is over."""
        self._ended = ended

    # Waiting.

    def _go_on(self) -> None:
        octets = self.engine.take()
        if octets and not self.is_over:
            self.transport.write(octets)
        if self._steps != self.engine.steps:  # and not for each octet of a slow answer
            self._steps = self.engine.steps
            self._wait(self._patience.get(self.engine.awaited, 0.0))
        if self.engine.closing and not self.is_over and self.engine.result is not None:
            self._wait(GOODBYE)
            self.transport.loseConnection()
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter:
            waiter.callback(None)

    def _change(self) -> Deferred[None]:
        self._waiter = Deferred(self._left)
        return self._waiter

    def _left(self, _waiter: object) -> None:
        """Hear that nobody waits any more for what the line is about."""
        self._waiter = self._handshake = None
        self.abort()

    def _wait(self, seconds: float) -> None:
        self._rest()
        if seconds:
            self._call = self._clock.callLater(seconds, self._late)

    def _rest(self) -> None:
        call, self._call = self._call, None
        if call and call.active():
            call.cancel()

    def _late(self) -> None:
        self._call = None
        self.engine.lost("it was too slow")
        self.abort()
        self._wake()


def _nobody(_line: Line) -> None:
    """Hear of it no more."""


def _without_tls(failed: Failed) -> Failed:
    """Return a refusal to start TLS as one: without it the host may take the message."""
    if not failed.outcome.reply:
        return failed
    return Failed(attrs.evolve(failed.outcome, status=NO_HANDSHAKE))
