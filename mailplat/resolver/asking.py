"""One question to one server, by UDP or TCP (RFC 1035 section 4.2, RFC 7766)."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import IConnector, IListeningPort
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Protocol
from twisted.python.failure import Failure

from mailplat.interfaces import INetwork
from mailplat.wire.dns import BadMessage, Code, Question, Response, read

LARGEST = 4096  # octets of a datagram that are read; we ask for fewer
WRONG = 10  # answers to something else, behind which it is asked by TCP


class NoAnswer(Exception):
    """The server gave none; the text says why."""


@attrs.frozen
class Server:
    """Where a resolver answers; ``trusted`` if its word is as good as our own."""

    host: str
    port: int = 53
    trusted: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def ask(
    network: INetwork, server: Server, question: Question, seconds: float
) -> Response:
    """Return what the server says; raises `NoAnswer` if that isn't anything in that time.

    What is too long for UDP is asked by TCP, and where a server can't stand EDNS
    it is asked without (RFC 6891 section 6.2.2).
    """
    octets = question.octets()
    response = await _by(_by_udp, network, server, question, octets, seconds)
    if response.code in (Code.FORMAT_ERROR, Code.NOT_IMPLEMENTED):
        octets = question.octets(edns=False)
        response = await _by(_by_udp, network, server, question, octets, seconds)
    if response.truncated:
        response = await _by(_by_tcp, network, server, question, octets, seconds)
    return response


async def _by(
    way: Callable[[INetwork, Server, Question, bytes], Deferred[Response]],
    network: INetwork,
    server: Server,
    question: Question,
    octets: bytes,
    seconds: float,
) -> Response:
    answer = way(network, server, question, octets)
    answer.addTimeout(seconds, network)
    try:
        return await answer
    except defer.TimeoutError:
        raise NoAnswer(f"{server} does not answer") from None
    except (ConnectError, ConnectionClosed, OSError) as problem:
        raise NoAnswer(f"{server} can't be reached: {problem}") from None


# UDP.


class _Datagram(DatagramProtocol):
    """Asks from a port of its own, and hears nobody but the server.

    An answer to something else is passed over: it may be somebody's guess.
    """

    def __init__(self, server: Server, question: Question, octets: bytes) -> None:
        self._server = server
        self._question = question
        self._octets = octets
        self._wrong = 0
        self._port: IListeningPort | None = None
        self.answer: Deferred[Response] = Deferred(lambda _: self._close())

    def begin(self, network: INetwork) -> Deferred[Response]:
        everywhere = "::" if ":" in self._server.host else "0.0.0.0"  # noqa: S104 - to send
        self._port = network.listenUDP(0, self, everywhere, LARGEST)
        return self.answer

    def startProtocol(self) -> None:
        assert self.transport
        self.transport.connect(self._server.host, self._server.port)
        self.transport.write(self._octets, None)

    def datagramReceived(self, octets: bytes, _address: object) -> None:
        try:
            response = read(octets, self._question)
        except BadMessage:
            response = None
        if response is None:
            self._wrong += 1
            if self._wrong < WRONG:
                return
            response = Response(Code.NO_ERROR, truncated=True, authentic=False)
        self._tell(response)

    def connectionRefused(self) -> None:
        self._refuse()

    def stopProtocol(self) -> None:
        """Hear that the port has been closed: by us, or where epoll tells of a refusal so."""
        self._refuse()

    def _refuse(self) -> None:
        if self._port:
            self._tell(Failure(NoAnswer(f"{self._server} refuses questions")))  # type: ignore[no-untyped-call]

    def _tell(self, outcome: Response | Failure) -> None:
        self._close()
        if not self.answer.called:
            self.answer.callback(outcome)

    def _close(self) -> None:
        if self._port:
            self._port.stopListening()
            self._port = None


def _by_udp(
    network: INetwork, server: Server, question: Question, octets: bytes
) -> Deferred[Response]:
    return _Datagram(server, question, octets).begin(network)


# TCP.


class _Stream(Protocol):
    """Asks once on a connection, and hangs up."""

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked
        self._held = b""

    def connectionMade(self) -> None:
        assert self.transport
        octets = self._asked.octets
        self.transport.write(len(octets).to_bytes(2, "big") + octets)

    def dataReceived(self, octets: bytes) -> None:
        self._held += octets
        size = int.from_bytes(self._held[:2], "big")
        if len(self._held) < 2 or len(self._held) < size + 2:
            return
        try:
            response = read(self._held[2 : size + 2], self._asked.question)
        except BadMessage as problem:
            self._asked.fail(NoAnswer(f"{self._asked.server}: {problem}"))
            return
        if response is None or response.truncated:
            self._asked.fail(NoAnswer(f"{self._asked.server} answers something else"))
            return
        self._asked.tell(response)

    def connectionLost(self, reason: Failure = Failure(ConnectionClosed())) -> None:  # type: ignore[no-untyped-call]  # noqa: B008
        self._asked.fail(NoAnswer(f"{self._asked.server} hung up"))


class _Asked(ClientFactory):
    """What is asked on a connection that is being made."""

    noisy = False

    def __init__(self, server: Server, question: Question, octets: bytes) -> None:
        self.server = server
        self.question = question
        self.octets = octets
        self.answer: Deferred[Response] = Deferred(lambda _: self._close())
        self._connector: IConnector | None = None

    def begin(self, network: INetwork) -> Deferred[Response]:
        self._connector = network.connectTCP(self.server.host, self.server.port, self)
        return self.answer

    def buildProtocol(self, _address: object) -> Protocol:
        return _Stream(self)

    def clientConnectionFailed(self, _connector: object, reason: Failure) -> None:
        self.fail(NoAnswer(f"{self.server} can't be reached: {reason.value}"))

    def tell(self, response: Response) -> None:
        if not self.answer.called:
            self.answer.callback(response)
        self._close()

    def fail(self, problem: NoAnswer) -> None:
        if not self.answer.called:
            self.answer.errback(Failure(problem))  # type: ignore[no-untyped-call]
        self._close()

    def _close(self) -> None:
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.disconnect()


def _by_tcp(
    network: INetwork, server: Server, question: Question, octets: bytes
) -> Deferred[Response]:
    return _Asked(server, question, octets).begin(network)
