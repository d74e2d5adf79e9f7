"""What we have said on a connection and the peer has not taken yet.

Replies are gathered and leave in one write.  On a plain connection they go to
the socket at once, as long as nothing lies unsent.  What it does not take is
handed to the transport piece by piece, to which we are a pull producer until
nothing is left.  Under TLS, and where there is no socket, the transport is
written to until it tells us, its push producer, that it has enough.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer, ISystemHandle
from zope.interface import implementer

PIECE = 16384  # octets handed to a busy transport at once; one of them gone is progress


def _nobody() -> None:
    """Hear of it no more."""


@implementer(IPushProducer)
class Outgoing:
    """The octets on their way out of one connection; who adds to them minds how many wait.

    ``gathered`` counts those that `flush` will send, ``unsent`` those that could
    not be, and ``waiting`` both; they are ``blocked`` as long as the transport has
    enough, and ``moved`` is called each time it has taken some.
    """

    __slots__ = ("_moved", "_ready", "_socket", "_transport", "_unsent", "blocked", "gathered")

    def __init__(self, transport: Any, moved: Callable[[], None]) -> None:
        self._transport = transport
        self._moved = moved
        self._socket = _socket_of(transport)  # where octets may go at once
        self._ready: list[bytes] = []
        self._unsent = bytearray()
        self.gathered = 0
        self.blocked = False
        if self._socket:
            transport.setTcpNoDelay(True)
        else:
            transport.registerProducer(self, True)

    @property
    def is_direct(self) -> bool:
        """Whether what is flushed, and not ``unsent``, has reached the socket."""
        return self._socket is not None

    @property
    def unsent(self) -> int:
        """How many octets the transport has still to be given."""
        return len(self._unsent)

    @property
    def waiting(self) -> int:
        """How many octets we keep: a `flush` takes none of them off who does not read."""
        return self.gathered + len(self._unsent)

    def gather(self, octets: bytes) -> None:
        """Add octets to those that will leave together."""
        self._ready.append(octets)
        self.gathered += len(octets)

    def flush(self) -> None:
        """Send what has been gathered, as far as it can be."""
        if self.gathered:
            octets = b"".join(self._ready)
            self._ready.clear()
            self.gathered = 0
            self._send(octets)

    def hand_over(self) -> None:
        """Let the transport change to TLS, when nothing is left; `resume` must follow."""
        if self._socket:
            self._socket = None
        else:
            self._transport.unregisterProducer()

    def resume(self) -> None:
        """Go on under TLS."""
        self._transport.registerProducer(self, True)

    def close(self) -> None:
        """Close the connection, when nothing is left."""
        if not self._socket:
            self._transport.unregisterProducer()
        self._transport.loseConnection()

    def forget(self) -> None:
        """Keep nothing of a connection that is over."""
        self._transport = self._socket = None
        self._moved = _nobody
        self._ready.clear()
        self._unsent.clear()
        self.gathered = 0
        self.blocked = False

    def _send(self, octets: bytes) -> None:
        if self.blocked:
            self._unsent += octets
        elif self._socket:
            rest = octets[_sent_at_once(self._socket, octets) :]
            if rest:
                self._unsent += rest
                self.blocked = True
                self._transport.registerProducer(self, False)
        elif self._transport:
            self._transport.write(octets)

    # What the transport tells us.

    def pauseProducing(self) -> None:
        self.blocked = True

    def resumeProducing(self) -> None:
        """Hand on what lies unsent, now that the transport has room."""
        if self._socket:
            self._hand_on_a_piece()
            if not self.blocked:
                self._transport.unregisterProducer()
        else:
            self.blocked = False
            while self._unsent and not self.blocked:
                self._hand_on_a_piece()
        self._moved()

    def _hand_on_a_piece(self) -> None:
        piece = bytes(self._unsent[:PIECE])
        del self._unsent[:PIECE]
        if piece:
            self._transport.write(piece)
        else:
            self.blocked = False

    def stopProducing(self) -> None:
        """Nothing to stop: `forget` follows."""


def _socket_of(transport: object) -> socket.socket | None:
    handle = transport.getHandle() if ISystemHandle.providedBy(transport) else None
    return handle if isinstance(handle, socket.socket) else None


def _sent_at_once(handle: socket.socket, octets: bytes) -> int:
    """Return how many octets the socket took; what is wrong with it its transport will find."""
    try:
        return handle.send(octets)
    except OSError:
        return 0
