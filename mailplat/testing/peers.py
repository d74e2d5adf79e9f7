"""Hosts on loopback that take mail, or misbehave, for tests of what sends it.

`RecordingPeer` is a small SMTP and LMTP server that keeps what it gets; a test
scripts what it answers, and does things to its connections that no server should.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from mailplat.testing.programs import LOOPBACK

_PATH = re.compile(rb"(?:FROM|TO):<([^>]*)>", re.IGNORECASE)


@attrs.frozen
class Received:
    """A message that a peer has taken, or at least heard to its end."""

    sender: bytes
    recipients: tuple[bytes, ...]
    octets: bytes
    secured: bool
    connection: int  # which one it came by


Answer = bytes | Callable[["PeerConnection"], None] | None
"""What a peer says in place of its usual answer; or what it does; or nothing at all."""


@attrs.define(eq=False)
class RecordingPeer:
    """Listens from `start` to `stop`; ``answers`` are by the command's first word.

    GREETING, and END for what comes behind the content, stand for commands too.
    ``extensions`` are what it offers; STARTTLS works with ``tls``.
    """

    name: str = "mx.example.org"
    lmtp: bool = False
    extensions: Sequence[str] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 1000000")
    answers: dict[str, Answer] = attrs.field(factory=dict)
    refused: Mapping[bytes, bytes] = attrs.field(factory=dict)  # recipients and the answer
    tls: Any = None
    implicit: bool = False
    received: list[Received] = attrs.field(factory=list)
    commands: list[bytes] = attrs.field(factory=list)
    connections: int = 0
    port: int = 0
    _listening: Any = None
    _open: set[PeerConnection] = attrs.field(factory=set)
    _calls: list[IDelayedCall] = attrs.field(factory=list)

    def start(self, reactor: Any, host: str = LOOPBACK, port: int = 0) -> None:
        """Listen on a free port, or on this one."""
        factory = _Factory(self)
        self._listening = reactor.listenTCP(port, factory, interface=host)
        self.port = self._listening.getHost().port

    def start_at(self, reactor: Any, path: str) -> None:
        """Listen on a UNIX socket."""
        self._listening = reactor.listenUNIX(path, _Factory(self))

    async def stop(self) -> None:
        """Listen no more, and hang up."""
        for connection in list(self._open):
            connection.transport.abortConnection()
        listening, self._listening = self._listening, None
        if listening:
            await listening.stopListening()

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._open)

    def opened(self, connection: PeerConnection) -> None:
        self._open.add(connection)
        self.connections += 1

    def closed(self, connection: PeerConnection) -> None:
        self._open.discard(connection)


class _Factory(Factory):
    noisy = False

    def __init__(self, peer: RecordingPeer) -> None:
        self._peer = peer

    def buildProtocol(self, _address: object) -> Protocol:
        return PeerConnection(self._peer)


class PeerConnection(Protocol):
    """One connection to a peer, as scripted answers see it."""

    transport: Any

    def __init__(self, peer: RecordingPeer) -> None:
        self.peer = peer
        self.number = 0
        self.secured = False
        self._held = b""
        self._in_content = False
        self._content = b""
        self._sender = b""
        self._recipients: list[bytes] = []

    def connectionMade(self) -> None:
        self.peer.opened(self)
        self.number = self.peer.connections
        if self.peer.implicit:
            self.secured = True
            self.transport.startTLS(self.peer.tls)
        self._answer("GREETING", f"220 {self.peer.name} ESMTP\r\n".encode())

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.peer.closed(self)

    def say(self, octets: bytes) -> None:
        """Say something, whatever was asked."""
        self.transport.write(octets)

    def hang_up(self) -> None:
        """Hang up, once all has been said."""
        self.transport.loseConnection()

    def dataReceived(self, octets: bytes) -> None:
        self._held += octets
        while self._held:
            if self._in_content:
                if not self._take_content():
                    return
                continue
            line, end, rest = self._held.partition(b"\r\n")
            if not end:
                return
            self._held = rest
            self._command(line)

    def _take_content(self) -> bool:
        if self._held.startswith(b".\r\n") and not self._content:
            self._content, self._held = b"", self._held[3:]
        else:
            self._content += self._held
            self._held = b""
            body, end, rest = self._content.partition(b"\r\n.\r\n")
            if not end:
                return False
            self._content, self._held = body + b"\r\n", rest
        self._in_content = False
        self._end()
        return True

    def _end(self) -> None:
        octets = re.sub(rb"(?m)^\.", b"", self._content.replace(b"\r\n", b"\n"))
        self._content = b""
        self._keep(octets.replace(b"\n", b"\r\n"))
        count = len(self._recipients) if self.peer.lmtp else 1
        self._recipients = []
        self._answer("END", b"250 2.0.0 kept\r\n" * count)

    def _keep(self, octets: bytes) -> None:
        self.peer.received.append(
            Received(self._sender, tuple(self._recipients), octets, self.secured, self.number)
        )

    def _command(self, line: bytes) -> None:
        self.peer.commands.append(line)
        verb = line.split(b" ")[0].upper().decode("ascii", "replace")
        path = _PATH.search(line)
        usual: dict[str, Callable[[], bytes]] = {
            "EHLO": self._hello,
            "LHLO": self._hello,
            "MAIL": lambda: self._mail(path[1] if path else b""),
            "RCPT": lambda: self._rcpt(path[1] if path else b""),
            "DATA": self._data,
            "RSET": lambda: b"250 2.0.0 ok\r\n",
            "QUIT": lambda: b"221 2.0.0 bye\r\n",
            "STARTTLS": lambda: b"220 2.0.0 go on\r\n",
            "AUTH": lambda: b"235 2.7.0 hello\r\n",
            "HELO": lambda: f"250 {self.peer.name}\r\n".encode(),
        }
        self._answer(verb, usual.get(verb, lambda: b"500 5.5.1 what?\r\n")())
        if verb == "QUIT":
            self.hang_up()
        if verb == "STARTTLS" and verb not in self.peer.answers:
            self.secured = True
            self.transport.startTLS(self.peer.tls)

    def _answer(self, verb: str, usual: bytes) -> None:
        answer = self.peer.answers.get(verb, usual)
        if callable(answer):
            answer(self)
        elif answer is not None:
            self.say(answer)

    def _hello(self) -> bytes:
        lines = [self.peer.name, *self.peer.extensions]
        if self.peer.tls and not self.secured:
            lines.append("STARTTLS")
        text = "".join(f"250-{line}\r\n" for line in lines[:-1])
        return f"{text}250 {lines[-1]}\r\n".encode()

    def _mail(self, path: bytes) -> bytes:
        self._sender, self._recipients = path, []
        return b"250 2.1.0 ok\r\n"

    def _rcpt(self, path: bytes) -> bytes:
        if path in self.peer.refused:
            return self.peer.refused[path] + b"\r\n"
        self._recipients.append(path)
        return b"250 2.1.5 ok\r\n"

    def _data(self) -> bytes:
        if not self._recipients:
            return b"554 5.5.1 no valid recipients\r\n"
        self._in_content = "DATA" not in self.peer.answers
        return b"354 go on\r\n"
