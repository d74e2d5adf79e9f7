"""What the portals of all line protocols have in common: from the door to the goodbye."""

from __future__ import annotations

from typing import Annotated, Literal

import attrs
from pydantic import AfterValidator, Field, model_validator
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime, ITransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces import IPortal
from mailplat.mail.errors import MailError, ShuttingDown
from mailplat.mail.limits import Limits
from mailplat.mail.transit import Peer, network_of
from mailplat.plugin import ConfigError, Settings
from mailplat.portals.connection import Connection, peer_of
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.listen import Wanted, read_address
from mailplat.portals.shell import Session, Shell, Terms
from mailplat.portals.tls import Certificates
from mailplat.tally import Tally
from mailplat.wire.engine import Engine

Port = Annotated[int, Field(ge=0, le=65535)]


def _address(text: str) -> str:
    return read_address(text).text


ListenAddress = Annotated[str, AfterValidator(_address)]
"""An address that `mailplat.portals.listen.open_listener` understands."""


class PortalSettings(Settings):
    """Keys of every ``[portals.NAME]``."""

    port: Port | None = Field(
        None, description="Where to listen, at every address of both families."
    )
    listen: tuple[ListenAddress, ...] = Field(
        (),
        description="Where to listen instead: `127.0.0.1:2525`, `[::1]:2525`, "
        "`unix:/run/lmtp.sock:mode=660`, `systemd:name=smtp`.",
    )
    tls: Literal["starttls", "implicit", "off"] = Field(
        "starttls",
        description="Whether TLS is offered, comes before the first word, or isn't there.",
    )

    @model_validator(mode="after")
    def _listens_somewhere(self) -> PortalSettings:
        if (self.port is None) == (not self.listen):
            raise ValueError("expected one of port and listen")
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where to listen, however it was said."""
        return self.listen or (f"tcp:{self.port}",)

    def wanted(self) -> list[tuple[tuple[str | int, ...], Wanted]]:
        """Return each address, understood, with the key that says it."""
        if self.listen:
            return [(("listen", n), read_address(text)) for n, text in enumerate(self.listen)]
        return [(("port",), read_address(text)) for text in self.addresses]


@attrs.frozen
class _TurnedAway:
    """Somebody who was not let in, and why."""

    peer: Peer
    detail: str


@implementer(IPortal)
class LinePortal:
    """Answers the door of one line protocol, which a class derived from this one knows.

    That class says what the protocol's engine and sessions are (`connect`) and
    how it puts an error where no session can (`refusal`).
    """

    log = Logger()

    def __init__(
        self,
        settings: PortalSettings,
        *,
        clock: IReactorTime,
        limits: Limits,
        doorkeeper: Doorkeeper,
        certificates: Certificates | None = None,
    ) -> None:
        if settings.tls != "off" and certificates is None:
            raise ConfigError(
                f"tls = {settings.tls!r} needs certificates in the folder of [tls]"
            )
        self.addresses: tuple[str, ...] = settings.addresses
        self._clock = clock
        self._doorkeeper = doorkeeper
        self._implicit = settings.tls == "implicit"
        self._refused: Tally[tuple[str, str], _TurnedAway] = Tally(clock, self._tell_of_refused)
        self._shells: set[Shell] = set()
        self._closing = False
        self._emptied: Deferred[None] | None = None
        self._terms = Terms(
            connect=self.connect,
            clock=clock,
            limits=limits,
            tls=certificates if settings.tls != "off" else None,
            implicit=self._implicit,
            refusal=self.refusal,
            shake_hands=doorkeeper.shake_hands,
            ended=self._ended,
        )

    # What the derived class says.

    def connect(self, connection: Connection) -> tuple[Engine, Session]:
        """Make the engine and the session of a connection; again after STARTTLS."""
        raise NotImplementedError

    def refusal(self, error: Exception) -> bytes:
        """Return the last words of a connection that is closed for this reason."""
        raise NotImplementedError

    # What others ask of us.

    @property
    def sessions(self) -> int:
        """How many connections are being served."""
        return len(self._shells)

    @property
    def crowded(self) -> bool:
        """Whether the house is so full that sessions should have less patience."""
        return self._doorkeeper.crowded

    async def drain(self, patience: float) -> None:
        """See `IPortal.drain`."""
        self._closing = True
        for shell in tuple(self._shells):
            shell.farewell(ShuttingDown("the server is stopping"))
        if not self._shells:
            return
        deadline = self._clock.callLater(patience, self._cut_off)
        self._emptied = Deferred()
        await self._emptied
        if deadline.active():
            deadline.cancel()

    # What Twisted asks of us.

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        peer = peer_of(addr)
        try:
            if self._closing:
                raise ShuttingDown("the server is stopping")
            self._doorkeeper.enter(peer)
        except MailError as error:
            kind = type(error).__name__
            self._refused.add((network_of(peer.host), kind), _TurnedAway(peer, str(error)))
            return None if self._implicit else _Refusal(self.refusal(error))
        shell = Shell(self._terms, peer)
        self._shells.add(shell)
        return shell

    def doStart(self) -> None:
        """Nothing to start: see `mailplat.interfaces.ILifetime`."""

    def doStop(self) -> None:
        """Nothing to stop: see `drain`."""

    def finish(self) -> None:
        """Tell of those who were turned away and not yet told of."""
        self._refused.finish()

    def _tell_of_refused(self, last: _TurnedAway, counted: int) -> None:
        self.log.info(
            "{peer} was turned away: {detail}{more}",
            peer=str(last.peer),
            detail=last.detail,
            more=f", and {counted - 1} more of that network" if counted > 1 else "",
        )

    def _ended(self, shell: Shell) -> None:
        self._shells.discard(shell)
        self._doorkeeper.leave(shell.peer)
        if self._emptied and not self._shells:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    def _cut_off(self) -> None:
        for shell in tuple(self._shells):
            shell.abort()


@implementer(IProtocol)
class _Refusal:
    """Says one line and closes: the cheapest answer there is."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def makeConnection(self, transport: ITransport) -> None:
        transport.write(self._octets)
        transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Not heard."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Not missed."""

    def connectionMade(self) -> None:
        """Never called: that is for `makeConnection` to do."""
