"""Joins a protocol engine and a session to a Twisted transport, and decides nothing.

One `Shell` is one connection.  Events are answered one at a time and in order;
the answers to what arrived together leave in one write, and before anything
that really waits.  The session's coroutines are driven here by hand, so that
an answer that need not wait costs no Deferred.

**Back-pressure.**  We read on while an answer is being made, so that we notice
when the peer leaves, until the engine holds `Limits.unread` octets.  No more
than `Limits.unsent` octets of replies are made before they are sent and others
get their turn; a peer that leaves as many unread is not served any further,
and is dropped after `Limits.unsent_patience` seconds without progress.

**Time.**  A deadline counts from the last reply and not from the last octet;
while content comes it moves on if `Limits.slowest` octets a second did.

**Waking.**  A session that has something to say though nobody asked has itself
woken, and is asked by the event `Woken` when nothing is under way.

**Cancelling.**  When the peer has left, what the session waits for is cancelled;
a session shields what may not be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias
from typing import Protocol as Shape

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.mail.errors import MailError
from mailplat.mail.limits import Limits
from mailplat.mail.transit import Peer
from mailplat.portals.connection import Connection, Secured, local_end
from mailplat.portals.outgoing import Outgoing
from mailplat.wire.engine import After, Engine, TimedOut, Woken

TURN = 256  # events answered before others get their turn


class Session(Shape):
    """Gives events their meaning."""

    @property
    def patience(self) -> float:
        """Seconds that the peer has for what is expected next, counted from the last reply."""

    async def greet(self) -> object | None:
        """Return the first reply; asked once, before any event."""

    async def answer(self, event: object) -> object | None:
        """Return the reply to an event, or None if it only adds to what will be answered."""

    def lost(self) -> None:
        """Hear that the connection, or its time before STARTTLS, is over; called once."""


Connect: TypeAlias = Callable[[Connection], tuple[Engine, Session]]


def _without_words(error: Exception) -> bytes:
    return b""


def _nothing(_about: object) -> None:
    return None


@attrs.frozen(kw_only=True)
class Terms:
    """What all connections of one portal have in common.

    ``connect`` is called for each connection, and again once STARTTLS has
    succeeded.  ``refusal`` puts an error into the last words of a connection
    whose session can't say them.  ``shake_hands`` may refuse a handshake by a
    `MailError`.  ``ended`` hears of each end, once.
    """

    connect: Connect
    clock: IReactorTime
    limits: Limits = Limits()
    tls: IOpenSSLServerConnectionCreator | None = None
    implicit: bool = False  # TLS before the first word
    refusal: Callable[[Exception], bytes] = _without_words
    shake_hands: Callable[[Peer], None] = _nothing
    ended: Callable[[Shell], None] = _nothing


@implementer(IHandshakeListener)
class Shell(Protocol):
    """One connection: carries octets between a transport, an engine and a session."""

    __slots__ = (
        "_arrived",
        "_closing",
        "_due",
        "_engine",
        "_farewell",
        "_outgoing",
        "_owing",
        "_paused",
        "_room",
        "_session",
        "_since",
        "_stopped",
        "_terms",
        "_timer",
        "_waiting",
        "_woken",
        "_work",
        "connected",
        "peer",
        "transport",
    )

    log = Logger()
    transport: Any
    _outgoing: Outgoing

    def __init__(self, terms: Terms, peer: Peer | None = None) -> None:
        self.peer = peer or Peer()
        self._terms = terms
        self._engine: Engine | None = None  # None: there is no session yet, or no longer
        self._session: Session | None = None
        self._work: Coroutine[Deferred[Any], Any, None] | None = None
        self._waiting: Deferred[Any] | None = None  # what the work waits for
        self._owing = False  # the last event only added to what will be answered
        self._farewell: MailError | None = None  # why to close as soon as we are idle
        self._closing = False
        self._woken = False  # the session may have something to say by itself
        self._paused = False  # we have stopped reading
        self._arrived = 0  # octets since ``_since``
        self._since = 0.0  # when we began to wait for what is expected next
        self._stopped = 0.0  # when the work began to wait, which is no time of the peer's
        self._due = math.inf  # when we have waited long enough
        self._timer: IDelayedCall | None = None
        self._room: Deferred[None] | None = None  # fired when the transport has taken some

    # What Twisted tells us.

    def connectionMade(self) -> None:
        self._outgoing = Outgoing(self.transport, self._progress)
        if self._terms.implicit:
            self._start_tls()
        else:
            self._begin(self._meet(None))

    def dataReceived(self, data: bytes) -> None:
        engine = self._engine
        if engine is None or self._closing:
            return
        self._arrived += len(data)
        engine.receive(data)
        if self._work is None:
            event = engine.next_event()
            if event is not None:
                self._begin(self._answer_all(event))
        elif engine.held > self._terms.limits.unread and not self._paused:
            self._paused = True
            self.transport.pauseProducing()

    def handshakeCompleted(self) -> None:
        self._outgoing.resume()
        self._begin(self._meet(Secured.by(self.transport.getHandle())))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connected = 0
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._outgoing.forget()
        try:
            if self._waiting:
                self._waiting.cancel()
            self._forget_session()
        finally:
            self._terms.ended(self)

    # What others may ask of us.

    async def write(self, octets: bytes) -> None:
        """Send octets behind the replies made so far; wait while too much lies unsent."""
        self._outgoing.gather(octets)
        if self._outgoing.waiting > self._terms.limits.unsent or not self.connected:
            await self.turn()

    def wake(self) -> None:
        """Let the session say something by itself, as soon as nothing is under way."""
        self._woken = True
        if self._work is None:
            self._rest()

    def farewell(self, error: MailError) -> None:
        """Say why and close, at once if nothing is under way, else as soon as it is done."""
        self._farewell = error
        if self._work is None:
            self._rest()

    def end(self, error: MailError) -> None:
        """Say why and close; what is under way is cut off and nothing said to it."""
        self.farewell(error)
        if not self._closing:
            self.abort()

    def abort(self) -> None:
        """Close without a word."""
        self.transport.abortConnection()

    # The session's life.

    def _open(self, secured: Secured | None) -> Session:
        local = local_end(self.transport.getHost())
        peer = self.peer if self.peer.host else Peer(path=local.path)
        connection = Connection(peer, local, secured, self)
        self._engine, self._session = self._terms.connect(connection)
        return self._session

    def _forget_session(self) -> None:
        session, self._session, self._engine = self._session, None, None
        if session:
            session.lost()

    def _start_tls(self) -> None:
        assert self._terms.tls, "TLS was offered without a certificate"
        if self._engine and self._engine.held:
            self.abort()  # somebody put words in front of the handshake
            return
        try:
            self._terms.shake_hands(self.peer)
        except MailError as error:
            self.log.info("no handshake with {peer}: {error}", peer=self.peer, error=error)
            self.abort()
            return
        self._forget_session()
        self._outgoing.hand_over()
        self._wait(self._terms.limits.handshake_patience)
        self.transport.startTLS(self._terms.tls)

    def _close(self) -> None:
        self._closing = True
        self._outgoing.flush()
        if self._outgoing.blocked or not self._outgoing.is_direct:
            self._wait(self._terms.limits.unsent_patience)
        if not self._outgoing.unsent:
            self._outgoing.close()

    # The work: one coroutine, driven until it really waits.

    def _begin(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        self._work = work
        self._go_on()

    def _go_on(self, outcome: object = None) -> None:
        assert self._work
        if self._waiting:
            self._waiting = None
            self._since += self._terms.clock.seconds() - self._stopped
        try:
            if isinstance(outcome, Failure) and outcome.value:
                waiting = self._work.throw(outcome.value)
            else:
                waiting = self._work.send(outcome)
        except StopIteration:
            self._work = None
            self._rest()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is ends this connection only
            self._work = None
            self._give_up(error)
        else:
            self._outgoing.flush()
            if self._room is None:
                self._due = math.inf
            self._stopped = self._terms.clock.seconds()
            self._waiting = waiting
            waiting.addBoth(self._go_on)

    def _give_up(self, error: BaseException) -> None:
        if isinstance(error, CancelledError) and not self.connected:
            error.__traceback__ = None  # which would keep this connection's frames
            return  # the peer left while we were thinking
        self.log.failure("session died")
        if self.connected and not self._closing:
            known = error if isinstance(error, Exception) else MailError(repr(error))
            self._outgoing.gather(self._terms.refusal(known))
            self._close()

    def _rest(self) -> None:
        """Nothing is left to answer: send what is ready, and wait for the peer."""
        engine, session = self._engine, self._session
        if engine is None or session is None or self._closing or not self.connected:
            return
        if self._farewell and not engine.in_content:
            self._outgoing.gather(self._terms.refusal(self._farewell))
            self._close()
            return
        if self._woken:
            self._begin(self._answer_wake(engine, session))
            return
        self._outgoing.flush()
        self._read_on()
        if not self._owing:
            self._begin_to_wait()
        self._wait_until(self._since + session.patience)

    async def _meet(self, secured: Secured | None) -> None:
        session = self._open(secured)
        if secured is None or self._terms.implicit:
            await self._say(await session.greet())
        if self._engine:
            await self._answer_all(self._engine.next_event())

    async def _answer_all(self, event: object | None) -> None:
        """Answer this event and what follows, giving others their turn now and then."""
        engine, session = self._engine, self._session
        answered = 0
        while event is not None and engine and session:
            await self._say(await session.answer(event))
            if self._closing or self._engine is not engine:
                return
            answered += 1
            if answered % TURN == 0:
                await self.turn()
            event = engine.next_event()
            if self._paused and engine.held <= self._terms.limits.unread:
                self._read_on()

    async def _answer_wake(self, engine: Engine, session: Session) -> None:
        """Let the session speak; that gives the peer no more time than it had."""
        self._woken = False
        await self._say(await session.answer(Woken()))
        self._owing = True
        if not self._closing and self._engine is engine:
            await self._answer_all(engine.next_event())

    async def _answer_last(self, event: object) -> None:
        assert self._session
        await self._say(await self._session.answer(event))
        if self._session and not self._closing:
            self._close()

    async def _say(self, reply: object | None) -> None:
        self._owing = reply is None
        engine = self._engine
        if reply is None or engine is None:
            return
        self._outgoing.gather(engine.send(reply))
        if engine.after is After.CLOSE:
            if engine.complaint:
                self.log.info(
                    "{peer} was hung up on: {detail}",
                    peer=str(self.peer),
                    detail=engine.complaint,
                )
            self._close()
        elif engine.after is After.START_TLS:
            self._outgoing.flush()
            await self._until_unsent_is(0)
            self._start_tls()
        elif self._outgoing.waiting > self._terms.limits.unsent:
            await self.turn()

    async def turn(self) -> None:
        """Send what lies here, and let others go on."""
        self._outgoing.flush()
        await self._until_unsent_is(self._terms.limits.unsent)
        turn: Deferred[None] = Deferred()
        self._terms.clock.callLater(0, _fire, turn)
        await turn

    # Octets out.

    def _progress(self) -> None:
        """Hear that the transport has taken some octets."""
        if self._room:
            room, self._room = self._room, None
            room.callback(None)
        elif self._closing:
            self._wait(self._terms.limits.unsent_patience)
            if not self._outgoing.unsent:
                self._outgoing.close()

    async def _until_unsent_is(self, limit: int) -> None:
        """Wait until at most ``limit`` octets lie unsent; at 0 the transport too has room."""
        outgoing = self._outgoing
        while self.connected and outgoing.blocked and outgoing.unsent >= limit:
            room: Deferred[None] = Deferred()
            self._room = room
            self._wait(self._terms.limits.unsent_patience)
            await room
        if not self.connected:
            raise CancelledError

    # Octets in, and time.

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()

    def _begin_to_wait(self) -> None:
        self._since = self._terms.clock.seconds()
        self._arrived = 0

    def _wait(self, seconds: float) -> None:
        self._wait_until(self._terms.clock.seconds() + seconds)

    def _wait_until(self, due: float) -> None:
        """Move the deadline; the timer is touched only where it would come too late."""
        self._due = due
        if self._timer is None:
            self._set_timer()
        elif self._timer.getTime() > due:
            self._timer.cancel()
            self._set_timer()

    def _set_timer(self) -> None:
        left = self._due - self._terms.clock.seconds()
        self._timer = self._terms.clock.callLater(max(left, 0), self._wake)

    def _wake(self) -> None:
        self._timer = None
        if self._due == math.inf:
            return
        if self._due > self._terms.clock.seconds():
            self._set_timer()
            return
        engine, session = self._engine, self._session
        if self._closing or self._work or engine is None or session is None:
            self.abort()  # it does not read, or does not shake hands
        elif engine.in_content and self._flows(session.patience):
            self._begin_to_wait()
            self._wait_until(self._since + session.patience)
        else:
            self._begin(self._answer_last(TimedOut()))

    def _flows(self, seconds: float) -> bool:
        return self._arrived >= seconds * self._terms.limits.slowest


def _fire(turn: Deferred[None]) -> None:
    if not turn.called:
        turn.callback(None)
