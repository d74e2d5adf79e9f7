"""Every row of the benchmark table: what is done, against whom, and how fast it must be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import attrs

from benchmarks import arrivals, contents, headers, subjects, text
from benchmarks.beside import Beside
from benchmarks.idle import bytes_per_connection
from benchmarks.load import MESSAGE, Generator
from benchmarks.measure import Sample, deliver, fetch
from benchmarks.store import STORE_ROWS, Together
from benchmarks.subjects import PASSWORD, PEOPLE, READER, READER_HAS
from mailplat.testing.programs import House

COLD = 32  # accounts that log in once each

LIMITS = {"connections_per_address": 10000}


class Bench:
    """Starts each subject when a row first asks for it, and keeps it for the others."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self._serving = stack.enter_context(contextlib.ExitStack())
        self.together = Together(folder)
        self.generator = Generator(folder)
        self.generator.compile()

    @cached_property
    def _postfixes(self) -> tuple[subjects.RunningPostfix, subjects.RunningHold]:
        return self.stack.enter_context(subjects.postfix(self.folder / "postfix"))

    @property
    def postfix(self) -> subjects.RunningPostfix:
        return self._postfixes[0]

    @property
    def postfix_hold(self) -> subjects.RunningHold:
        return self._postfixes[1]

    @cached_property
    def aiosmtpd(self) -> subjects.RunningAiosmtpd:
        return self.stack.enter_context(subjects.aiosmtpd(self.folder / "aiosmtpd"))

    @cached_property
    def ceiling(self) -> subjects.RunningCeiling:
        return self.stack.enter_context(subjects.ceiling(self.folder / "ceiling"))

    @cached_property
    def dovecot(self) -> subjects.RunningDovecot:
        running = subjects.dovecot(self.folder / "dovecot", MESSAGE, "PLAIN")
        return self.stack.enter_context(running)

    @cached_property
    def house(self) -> House:
        """Our server's folder: the same people, the reader's mailbox full."""
        house = House(self.folder / "mailplat", domain=subjects.DOMAIN)
        house.make(dict.fromkeys([READER, *PEOPLE], PASSWORD), LIMITS)
        text = house.config.read_text()
        house.config.write_text(text.replace("[store.main]\n", "[store.main]\nindex = false\n"))
        with subjects.mailplat(house) as running:
            self.generator.run(
                "smtp",
                running.smtp_port,
                name=READER.removesuffix("0"),
                people=1,
                operations=READER_HAS,
                connections=16,
                domain=subjects.DOMAIN,
                message=self.generator.message,
            )
        return house

    @cached_property
    def mailplat(self) -> subjects.RunningHouse:
        return self._serving.enter_context(subjects.mailplat(self.house))

    @contextlib.contextmanager
    def restarted(self) -> Iterator[subjects.RunningHouse]:
        """Run our server anew, with nothing remembered."""
        self._serving.close()
        self.__dict__.pop("mailplat", None)
        with subjects.mailplat(self.house) as running:
            yield running


Measured = Callable[[Bench], Sample]


@attrs.frozen
class Row:
    """One comparison; an aim or floor is how many times better than the peer we are to be."""

    key: str
    title: str
    peer_name: str
    peer: Measured
    ours: Measured
    aim: float | None = None  # of the rate
    floor: float | None = None
    cpu_aim: float | None = None
    cpu_floor: float | None = None
    gates: bool = False


@attrs.frozen
class Ceiling:
    """A figure of ours alone that may not be too large, in its unit; the floor is the most."""

    key: str
    title: str
    unit: str
    measure: Callable[[Bench], float]
    aim: float
    floor: float
    gates: bool = False


def _memory(secured: bool) -> Callable[[Bench], float]:
    """Return what measures the memory of an idle SMTP connection, in KiB."""

    def measured(bench: Bench) -> float:
        with bench.restarted() as fresh:
            return bytes_per_connection(fresh, secured=secured) / 1024

    return measured


def _arrival(size: str, aim: float, floor: float) -> Row:
    """Return the row of what is read of a message at arrival."""
    messages = arrivals.MESSAGES[size]
    return Row(
        f"arrival-{size.lower().replace(' ', '-')}",
        f"structure + ENVELOPE + BODYSTRUCTURE + thread and sort keys, {size}",
        "Python's email, which only parses",
        lambda _: arrivals.sample(arrivals.parse, messages()),
        lambda _: arrivals.sample(arrivals.read, messages()),
        aim=aim,
        floor=floor,
    )


def _delivered(subject: str, operations: int, **keys: object) -> Measured:
    return lambda bench: deliver(getattr(bench, subject), bench.generator, operations, **keys)


def _fetched(subject: str, operations: int, **keys: object) -> Measured:
    def measured(bench: Bench) -> Sample:
        running = getattr(bench, subject)
        return fetch(running.pid, running.pop3_port, bench.generator, operations, **keys)

    return measured


def _cold_dovecot(bench: Bench) -> Sample:
    folder = bench.folder / "dovecot-cold"
    if folder.exists():
        folder.rename(folder.with_suffix(f".{folder.stat().st_ino}"))
    with subjects.dovecot(folder, MESSAGE, "ARGON2ID") as running:
        return fetch(running.pid, running.pop3_port, bench.generator, COLD, **COLD_SESSIONS)


def _cold_mailplat(bench: Bench) -> Sample:
    with bench.restarted() as running:
        return fetch(running.pid, running.pop3_port, bench.generator, COLD, **COLD_SESSIONS)


COLD_SESSIONS = {"people": COLD, "connections": 4}
READER_SESSIONS = {"name": READER.removesuffix("0"), "people": 1}
RETRIEVE = {**READER_SESSIONS, "retrieve": READER_HAS, "least": len(MESSAGE)}

ROWS: tuple[Row | Ceiling | Beside, ...] = (
    Row(
        "accept-64",
        "accept until in the mailbox, durable, 64 connections",
        "Postfix → virtual maildir",
        _delivered("postfix", 2000, connections=64),
        _delivered("mailplat", 12000, connections=64),
        aim=8,
        floor=4,
        cpu_aim=9,
        cpu_floor=5,
        gates=True,
    ),
    Row(
        "accept-16",
        "the same, 16 connections",
        "Postfix → virtual maildir",
        _delivered("postfix", 2000, connections=16),
        _delivered("mailplat", 12000, connections=16),
        aim=5,
        floor=3,
        gates=True,
    ),
    Row(
        "pipelined-64",
        "the same, pipelined, 64 connections",
        "Postfix → virtual maildir, pipelined",
        _delivered("postfix", 2000, connections=64, pipelined=1),
        _delivered("mailplat", 20000, connections=64, pipelined=1),
        aim=12,
        floor=6,
        gates=True,
    ),
    Row(
        "one-connection",
        "accept, durable, one connection",
        "Postfix, kept in its queue",
        _delivered("postfix_hold", 1500, connections=1),
        _delivered("mailplat", 3000, connections=1),
        aim=2,
        floor=1.5,
    ),
    Row(
        "one-message",
        "accept, durable, one message for each of 16 connections",
        "Postfix, kept in its queue",
        _delivered("postfix_hold", 3000, connections=16, per_connection=1),
        _delivered("mailplat", 8000, connections=16, per_connection=1),
        aim=3.5,
        floor=2,
    ),
    Row(
        "aiosmtpd-64",
        "accept, durable, 64 connections",
        "aiosmtpd, a handler that syncs a file",
        _delivered("aiosmtpd", 2000, connections=64),
        _delivered("mailplat", 12000, connections=64),
        aim=5,
        floor=3,
    ),
    Row(
        "ceiling-64",
        "accept, durable, 64 connections",
        "ceiling: bare Twisted and SQLite",
        _delivered("ceiling", 12000, connections=64),
        _delivered("mailplat", 12000, connections=64),
    ),
    Row(
        "ceiling-pipelined-64",
        "the same, pipelined, 64 connections",
        "ceiling: bare Twisted and SQLite",
        _delivered("ceiling", 20000, connections=64, pipelined=1),
        _delivered("mailplat", 20000, connections=64, pipelined=1),
    ),
    Row(
        "ceiling-one-connection",
        "the same, one connection",
        "ceiling: bare Twisted and SQLite",
        _delivered("ceiling", 3000, connections=1),
        _delivered("mailplat", 3000, connections=1),
    ),
    Row(
        "pop3-session",
        "POP3 login + STAT + QUIT, 1,000 messages, warm, 4 clients",
        "Dovecot, maildir",
        _fetched("dovecot", 600, connections=4, **READER_SESSIONS),
        _fetched("mailplat", 3000, connections=4, **READER_SESSIONS),
        aim=2.5,
        floor=2,
    ),
    Row(
        "pop3-session-cold",
        "the same, empty mailbox, each account's first login (argon2id)",
        "Dovecot, maildir",
        _cold_dovecot,
        _cold_mailplat,
    ),
    Row(
        "pop3-retr",
        "POP3 RETR, one at a time",
        "Dovecot, maildir",
        _fetched("dovecot", 20000, pipelined=1, **RETRIEVE),
        _fetched("mailplat", 20000, pipelined=1, **RETRIEVE),
        aim=1.5,
        floor=1.2,
    ),
    Row(
        "pop3-retr-pipelined",
        "POP3 RETR, pipelined by 50",
        "Dovecot, maildir",
        _fetched("dovecot", 60000, pipelined=50, **RETRIEVE),
        _fetched("mailplat", 60000, pipelined=50, **RETRIEVE),
        aim=2.5,
        floor=1.5,
    ),
    Row(
        "append-files",
        "append, durable, contents in files, 16 callers",
        "files alone: write, sync, link, by 16 threads",
        lambda bench: contents.sample("bare", bench.folder),
        lambda bench: contents.sample("files", bench.folder),
        aim=0.7,
        floor=0.5,
    ),
    Row(
        "append-maildir",
        "append, durable, and shown in maildirs, 16 callers",
        "files alone: write, sync, link, by 16 threads",
        lambda bench: contents.sample("bare", bench.folder),
        lambda bench: contents.sample("maildir", bench.folder),
        aim=0.7,
        floor=0.5,
    ),
    Row(
        "flag-maildir",
        "flag 10,000 messages, and show it in a maildir",
        "10,000 renames, one after the other",
        lambda bench: contents.sample("renames", bench.folder),
        lambda bench: contents.sample("flags", bench.folder),
        aim=0.67,
        floor=0.5,
    ),
    Row(
        "header",
        "what IMAP asks of a header, read once: ENVELOPE, sort keys, identifiers",
        "Python's email, which writes no ENVELOPE",
        lambda _: headers.sample(headers.read_by_python),
        lambda _: headers.sample(headers.read_by_us),
        aim=3,
        floor=2,
    ),
    _arrival("5 KB", aim=6, floor=3),
    _arrival("50 KB", aim=30, floor=15),
    _arrival("1 MB", aim=100, floor=50),
    Row(
        "text",
        "text to index and preview, letters and newsletters of 5 KB",
        "Python's email, its texts decoded",
        lambda _: arrivals.sample(text.by_the_standard_library, arrivals.letters()),
        lambda _: arrivals.sample(text.ours_with_preview, arrivals.letters()),
        aim=3,
        floor=1.5,
    ),
    Ceiling(
        "hostile",
        "worst of 10,000 hostile inputs, time for 64 KiB",
        "ms",
        lambda _: arrivals.worst(),
        aim=25,
        floor=50,
    ),
    Ceiling(
        *("idle", "memory of an idle SMTP connection", "KiB", _memory(secured=False)),
        aim=4,
        floor=8,
        gates=True,
    ),
    Ceiling(
        *("idle-tls", "the same, TLS", "KiB", _memory(secured=True)),
        aim=28,
        floor=40,
        gates=True,
    ),
    *STORE_ROWS,
)
