"""What an idle SMTP connection costs in memory."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl

from benchmarks.processes import pss_bytes
from benchmarks.subjects import RunningHouse
from mailplat.testing.programs import LOOPBACK

FEW, MANY = 500, 2500


def bytes_per_connection(subject: RunningHouse, *, secured: bool) -> float:
    """Return the slope of the server's memory from `FEW` to `MANY` greeted connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    port = subject.house.port("submissions" if secured else "smtp")
    with contextlib.ExitStack() as stack:
        for _ in range(FEW):
            stack.enter_context(_greeted(port, secured))
        few = pss_bytes(subject.pid)
        for _ in range(MANY - FEW):
            stack.enter_context(_greeted(port, secured))
        return (pss_bytes(subject.pid) - few) / (MANY - FEW)


def _greeted(port: int, secured: bool) -> socket.socket:
    connection = socket.create_connection((LOOPBACK, port), 30)
    if secured:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = context.wrap_socket(connection)
    _expect(connection, b"220")
    connection.sendall(b"EHLO client.example.net\r\n")
    _expect(connection, b"250")
    return connection


def _expect(connection: socket.socket, code: bytes) -> None:
    """Read one whole reply."""
    reply = b""
    while not (reply.endswith(b"\r\n") and b"\n" + code + b" " in b"\n" + reply):
        piece = connection.recv(4096)
        if not piece or not (reply + piece).startswith(code):
            raise RuntimeError(f"expected {code!r}, got {reply + piece!r}")
        reply += piece
