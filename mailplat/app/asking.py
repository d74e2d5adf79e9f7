"""How a command has a running server do something, by ``state/control.sock``; blocks.

This is the asker's side, which every command begins with: it knows no Twisted, so that
a command that a server answers is done before a house could have been imported.
The server's side is `mailplat.app.control`, and `mailplat.app.conversation` for what goes
to and fro.

A request is one line of JSON, and so is the answer.  Whoever asks retries: a server
that is starting holds the lock before it answers, one that dies lets go of it.

Where an operation is a conversation, the answer's line is followed by frames:
the lengths of a head in JSON and of octets, four octets each in network order, then the
two.  The asker says a frame and hears one back, and may say some more before it hears.
Each is answered in its turn; hanging up ends what is under way.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs

from mailplat.mail.limits import MIB

T = TypeVar("T")

SOCKET = "control.sock"
PATIENCE = 30.0  # seconds to wait for a server that is starting or stopping
FRONT = struct.Struct(">II")  # the lengths in front of a frame
LINE = b'{"result": null}\n'  # what answers the request, before any frame

Said = tuple[dict[str, Any], bytes]
"""What a frame says: its head and its octets."""


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


def address_of(path: Path) -> str:
    """Return a name of a socket that fits into an address, which has room for 107 octets.

    For long ones that is a way through the folder's descriptor, which stays open.
    """
    if len(os.fsencode(path)) < 108:
        return str(path)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{folder}/{path.name}"


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


def speak_over(end: socket.socket, speak: Speak[T]) -> T:
    """Speak over the other end; raises what `Channel` does, and what ``speak`` raises."""
    channel = Channel(end)
    channel.hear_line()
    return speak(channel)


# Whoever can -----------------------------------------------------------------


def ask(state: Path, operation: str, arguments: dict[str, Any], repeated: bool) -> Any:
    """Have the running server do an operation; blocks until it has answered.

    Raises `NoServer`, `ServerDied` and `OperationFailed`.
    """
    request = {"operation": operation, "arguments": arguments, "repeated": repeated}
    with _connected(state) as channel:
        try:
            channel.sendall(json.dumps(request).encode() + b"\n")
            answer = b"".join(iter(lambda: channel.recv(65536), b""))
        except OSError as problem:
            raise ServerDied(str(problem)) from problem
    if not answer.endswith(b"\n"):
        raise ServerDied("the server went away before it answered")
    said = json.loads(answer)
    if "problem" in said:
        raise OperationFailed(said["problem"])
    return said["result"]


def _connected(state: Path) -> socket.socket:
    """Return a connection to the server; raises `NoServer` and `OperationFailed`."""
    channel = socket.socket(socket.AF_UNIX)
    try:
        channel.connect(address_of(state / SOCKET))
    except (ConnectionError, FileNotFoundError) as problem:
        channel.close()
        raise NoServer(str(problem)) from problem
    except OSError as problem:
        channel.close()
        raise _not_allowed(problem, state) from problem
    return channel


def _not_allowed(problem: OSError, state: Path) -> OperationFailed:
    return OperationFailed(f"{problem}; try as the owner of {state}")


@attrs.frozen
class Caller:
    """Has operations done by whoever can: the server, or else this process.

    ``alone`` runs an operation in this process and raises `Locked` where another one
    holds the state folder.  With ``speak`` the operation is a conversation, which
    ``alone`` holds too.
    """

    state: Path
    alone: Callable[[str, dict[str, Any], bool], Any]
    busy: type[Exception]
    patience: float = PATIENCE
    speak: Speak[Any] | None = None

    def call(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Return the operation's result, however often the server comes and goes.

        Raises `OperationFailed`, and whatever ``speak`` raises.
        """
        deadline = time.monotonic() + self.patience
        repeated = False
        while True:
            try:
                return self._ask(operation, arguments, repeated)
            except ServerDied:
                repeated = True
                deadline = time.monotonic() + self.patience
            except NoServer:
                pass
            if self.speak and repeated and time.monotonic() < deadline:
                time.sleep(0.05)  # what takes long may not keep the next server from starting
                continue
            try:
                return self._do(operation, arguments, repeated)
            except self.busy as problem:
                if time.monotonic() > deadline:
                    raise OperationFailed(f"{problem}, and does not answer") from None
            time.sleep(0.05)

    def _ask(self, operation: str, arguments: dict[str, Any], repeated: bool) -> Any:
        if self.speak is None:
            return ask(self.state, operation, arguments, repeated)
        with _connected(self.state) as channel:
            return converse(channel, operation, arguments, repeated, self.speak)

    def _do(self, operation: str, arguments: dict[str, Any], repeated: bool) -> Any:
        try:
            return self.alone(operation, arguments, repeated)
        except OSError as problem:
            if self.speak:  # whose files they may be
                raise
            raise _not_allowed(problem, self.state) from problem
