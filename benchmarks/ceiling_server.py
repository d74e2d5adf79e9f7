"""The ceiling: the least that a durable SMTP server on Twisted and SQLite can do.

python ceiling_server.py PORT FOLDER

It trusts its peers: no limits, grammar, policies, login, log, record, trace field,
summary, mailboxes or flags.  A command is known by its first letter, the end of a
message by its last octets; what waits is committed together as rows of one table.
"""

from __future__ import annotations

import queue
import sys
import threading
from pathlib import Path

import apsw
from twisted.internet import reactor  # noqa: TID251 - it is the application here
from twisted.internet.protocol import Factory, Protocol

REPLIES = {
    b"E": b"250-here\r\n250 PIPELINING\r\n",
    b"H": b"250 here\r\n",
    b"M": b"250 ok\r\n",
    b"R": b"250 ok\r\n",
    b"D": b"354 go on\r\n",
    b"Q": b"221 bye\r\n",
}
END = b"\r\n.\r\n"


class Writer:
    """Commits everything that waits, and tells those who sent it."""

    def __init__(self, path: Path) -> None:
        self._waiting: queue.SimpleQueue[tuple[Bare, bytes]] = queue.SimpleQueue()
        self._path = path
        threading.Thread(target=self._work, daemon=True).start()

    def keep(self, sender: Bare, octets: bytes) -> None:
        self._waiting.put((sender, octets))

    def _work(self) -> None:
        connection = apsw.Connection(str(self._path))
        for sql in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "CREATE TABLE kept (number INTEGER PRIMARY KEY, octets BLOB)",
        ):
            connection.execute(sql).fetchall()
        while True:
            group = [self._waiting.get()]
            while not self._waiting.empty():
                group.append(self._waiting.get())
            with connection:
                rows = ((octets,) for _, octets in group)
                connection.executemany("INSERT INTO kept (octets) VALUES (?)", rows)
            reactor.callFromThread(tell, [sender for sender, _ in group])


def tell(senders: list[Bare]) -> None:
    for sender in senders:
        sender.kept()


class Bare(Protocol):
    """One connection; replies go to the socket at once."""

    writer: Writer

    def connectionMade(self) -> None:
        self._socket = self.transport.getHandle()
        self._held = b""
        self._in_data = False
        self._busy = False
        self.transport.setTcpNoDelay(True)
        self._socket.send(b"220 here\r\n")

    def dataReceived(self, data: bytes) -> None:
        self._held += data
        if not self._busy:
            self._go_on()

    def _go_on(self) -> None:
        replies: list[bytes] = []
        while not self._busy:
            end = self._held.find(END if self._in_data else b"\r\n")
            if end < 0:
                break
            if self._in_data:
                content, self._held = self._held[: end + 2], self._held[end + 5 :]
                self._busy, self._in_data = True, False
                self.writer.keep(self, content)
            else:
                letter, self._held = self._held[:1].upper(), self._held[end + 2 :]
                replies.append(REPLIES[letter])
                self._in_data = letter == b"D"
        if replies:
            self._socket.send(b"".join(replies))
            if replies[-1] is REPLIES[b"Q"]:
                self.transport.loseConnection()

    def kept(self) -> None:
        self._busy = False
        if self.connected:
            self._socket.send(b"250 kept\r\n")
            self._go_on()


def main() -> None:
    Bare.writer = Writer(Path(sys.argv[2]) / "kept.db")
    factory = Factory.forProtocol(Bare)
    factory.noisy = False
    reactor.listenTCP(int(sys.argv[1]), factory, backlog=1024, interface="127.0.0.1")
    reactor.callWhenRunning(print, "ready", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
