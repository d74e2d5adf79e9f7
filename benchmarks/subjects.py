"""What is measured: mailplat and its peers, each started privately with the same people."""

from __future__ import annotations

import contextlib
import os
import poplib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import attrs

from mailplat.testing.programs import (
    LOOPBACK,
    NOBODY,
    Dovecot,
    House,
    Postfix,
    Program,
    free_base,
    wait_until,
)

DOMAIN = "example.org"
PASSWORD = "benchmark"
PEOPLE = [f"u{number}" for number in range(64)]
READER = "reader0"  # has a mailbox of `READER_HAS` messages
READER_HAS = 1000


class Subject(Protocol):
    """One server under measurement."""

    pid: int
    smtp_port: int

    def stored(self) -> int:
        """Return how many messages `PEOPLE` have in mailboxes; -1 if that means nothing."""

    def wait_until_stored(self, count: int) -> None:
        """Return when they are ``count``; at once where the server's 250 has said so."""


@attrs.frozen
class RunningPostfix:
    """Postfix with virtual(8): a message counts when its file lies in the maildir."""

    server: Postfix
    pid: int
    smtp_port: int

    def stored(self) -> int:
        return sum(len(os.listdir(folder)) for folder in self.server.maildirs.glob("*/new"))

    def wait_until_stored(self, count: int) -> None:
        wait_until(lambda: self.stored() >= count, f"delivery of {count} messages", 300)


@attrs.frozen
class RunningHold:
    """Postfix at the moment of its 250: the message is in the queue and stays there."""

    pid: int
    smtp_port: int

    def stored(self) -> int:
        return -1

    def wait_until_stored(self, count: int) -> None:
        """Nothing is delivered."""


@attrs.frozen
class RunningAiosmtpd:
    """A minimal Python server whose handler keeps each message in a file."""

    kept: Path
    pid: int
    smtp_port: int

    def stored(self) -> int:
        return len(os.listdir(self.kept))

    def wait_until_stored(self, count: int) -> None:
        """Its 250 says so."""


@attrs.frozen
class RunningCeiling:
    """The least that Twisted and SQLite can do: it answers 250 when the row is on the disk."""

    pid: int
    smtp_port: int

    def stored(self) -> int:
        return -1

    def wait_until_stored(self, count: int) -> None:
        """Its 250 says so."""


@attrs.frozen
class RunningDovecot:
    """Dovecot's POP3 over maildirs."""

    pid: int
    pop3_port: int


@attrs.frozen
class RunningHouse:
    """mailplat as ``twistd`` runs it."""

    house: House
    program: Program

    @property
    def pid(self) -> int:
        return self.program.pid

    @property
    def smtp_port(self) -> int:
        return self.house.port("smtp")

    @property
    def pop3_port(self) -> int:
        return self.house.port("pop3")

    def stored(self) -> int:
        return sum(map(self._stored_for, PEOPLE))

    def wait_until_stored(self, count: int) -> None:
        """Its 250 says so."""

    def _stored_for(self, name: str) -> int:
        with contextlib.closing(poplib.POP3(LOOPBACK, self.pop3_port)) as client:
            client.user(f"{name}@{DOMAIN}")
            client.pass_(PASSWORD)
            count, _ = client.stat()
            client.quit()
            return count


@contextlib.contextmanager
def postfix(folder: Path) -> Iterator[tuple[RunningPostfix, RunningHold]]:
    # Without in_flow_delay Postfix takes messages as fast as it can.
    server = Postfix(folder, domain=DOMAIN, people=PEOPLE, main={"in_flow_delay": "0"})
    with server.start() as program:
        yield (
            RunningPostfix(server, program.pid, server.port),
            RunningHold(program.pid, server.hold),
        )


@contextlib.contextmanager
def dovecot(folder: Path, message: bytes, scheme: str) -> Iterator[RunningDovecot]:
    """Serve the reader's full mailbox and everyone's empty ones."""
    server = Dovecot(folder, people=[READER, *PEOPLE], password=PASSWORD, scheme=scheme)
    _fill_maildir(server.maildirs / READER, message)
    with server.start() as program:
        yield RunningDovecot(program.pid, server.port)


def _fill_maildir(maildir: Path, message: bytes) -> None:
    """Write messages named as Dovecot names them, with their sizes, so that it needn't look."""
    for folder in (maildir, maildir / "cur", maildir / "new", maildir / "tmp"):
        folder.mkdir(parents=True)
        os.chown(folder, NOBODY, NOBODY)
    for number in range(READER_HAS):
        size = len(message)
        name = f"{1_700_000_000 + number}.M{number}P1.host,S={size},W={size}:2,"
        path = maildir / "cur" / name
        path.write_bytes(message)
        os.chown(path, NOBODY, NOBODY)


@contextlib.contextmanager
def aiosmtpd(folder: Path) -> Iterator[RunningAiosmtpd]:
    with _script("aiosmtpd_server.py", folder) as (program, port, kept):
        yield RunningAiosmtpd(kept, program.pid, port)


@contextlib.contextmanager
def ceiling(folder: Path) -> Iterator[RunningCeiling]:
    with _script("ceiling_server.py", folder) as (program, port, _):
        yield RunningCeiling(program.pid, port)


@contextlib.contextmanager
def _script(name: str, folder: Path) -> Iterator[tuple[Program, int, Path]]:
    """Run a server that stands beside this file; yield it, its port and where its mail is."""
    kept = folder / "kept"
    kept.mkdir(parents=True)
    port = free_base()
    script = Path(__file__).with_name(name)
    command = [sys.executable, str(script), str(port), str(kept)]
    with Program(command, folder / "log", ["ready"]) as program:
        yield program, port, kept


@contextlib.contextmanager
def mailplat(house: House) -> Iterator[RunningHouse]:
    with house.start() as program:
        yield RunningHouse(house, program)
