"""Attacks on the SMTP port of a running server: refused or survived, at a bounded cost.

While each of them runs a second client has a dialogue of its own and must be
answered within two seconds, and the server's memory is sampled: at its peak it
may have grown by 64 MiB over what it was when idle.
"""

from __future__ import annotations

import contextlib
import os
import poplib
import random
import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from mailplat.testing.programs import LOOPBACK, House, Program

MIB = 1 << 20
GROWTH = 64 * MIB
ANSWERED_WITHIN = 2.0  # seconds
PEOPLE = ("ann", "ben", "una")
PASSWORD = "secret enough"
ATTACKER, BYSTANDER = "127.0.0.2", "127.0.0.3"
LIMITS = {
    "uncounted_networks": "[]",
    "arrivals_per_address": 100_000,
    "smtp_patience": '"6 s"',
    "unsent_patience": '"3 s"',
    "message_size": '"50 MiB"',
}
HELLO = b"EHLO attacker\r\n"
ENVELOPE = b"MAIL FROM:<carol@example.net>\r\nRCPT TO:<ann@example.org>\r\n"


@attrs.define
class Watch:
    """Samples the server's memory, and lets another client speak to it all the time."""

    house: House
    server: Program
    peak: int = 0
    slowest: float = 0.0
    _over: threading.Event = attrs.field(factory=threading.Event)

    def memory(self) -> int:
        """Return how much of the server is in memory, in octets."""
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    def sample(self) -> None:
        over = False
        while not over:
            self.peak = max(self.peak, self.memory())
            over = self._over.wait(0.01)

    def converse(self) -> None:
        over = False
        while not over:
            began = time.monotonic()
            with dial(self.house, BYSTANDER) as client:
                client.say(HELLO, "250")
                client.say(b"NOOP\r\n", "250")
                client.say(b"QUIT\r\n", "221")
            self.slowest = max(self.slowest, time.monotonic() - began)
            over = self._over.wait(0.05)

    @contextlib.contextmanager
    def on_duty(self) -> Iterator[None]:
        with ThreadPoolExecutor(2) as two:
            work = [two.submit(self.sample), two.submit(self.converse)]
            try:
                yield
            finally:
                self._over.set()
            for one in work:
                one.result()


@attrs.define
class Client:
    """A client that says octets, whether they make sense or not."""

    line: socket.socket
    heard: bytes = b""

    def say(self, octets: bytes, code: str = "") -> str:
        """Send octets and return the reply to them, which must have that code."""
        self.line.sendall(octets)
        return self.hear(code)

    def hear(self, code: str = "") -> str:
        while True:
            line = self._line()
            if line[3:4] != "-":
                assert line.startswith(code), line
                return line

    def _line(self) -> str:
        while b"\r\n" not in self.heard:
            octets = self.line.recv(65536)
            if not octets:
                raise EOFError
            self.heard += octets
        line, _, self.heard = self.heard.partition(b"\r\n")
        return line.decode()

    def rest(self) -> list[str]:
        """Return every line up to the end of the connection."""
        with contextlib.suppress(ConnectionError):
            while octets := self.line.recv(65536):
                self.heard += octets
        return self.heard.decode("latin-1").split("\r\n")[:-1]

    def begin_content(self) -> None:
        self.say(HELLO, "250")
        self.line.sendall(ENVELOPE + b"DATA\r\n")
        for code in ("250", "250", "354"):
            self.hear(code)


@contextlib.contextmanager
def dial(
    house: House, source: str = ATTACKER, *, service: str = "smtp", greeting: str = "220"
) -> Iterator[Client]:
    place = (LOOPBACK, house.port(service))
    with socket.create_connection(place, timeout=30, source_address=(source, 0)) as line:
        client = Client(line)
        client.hear(greeting)
        yield client


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("attacked") / "house")
    house.make(dict.fromkeys(PEOPLE, PASSWORD), LIMITS)
    return house


@pytest.fixture(scope="module")
def server(house: House) -> Iterator[tuple[Program, int]]:
    """The running server, and its memory when it has worked a little and rests."""
    with house.start() as server:
        with smtplib.SMTP(LOOPBACK, house.port("smtp")) as client:
            people = [f"{name}@example.org" for name in PEOPLE]
            client.sendmail("carol@example.net", people, b"Subject: warm\r\n\r\n")
        for name in PEOPLE:
            messages(house, name)
        yield server, Watch(house, server).memory()


@pytest.fixture(autouse=True)
def watch(house: House, server: tuple[Program, int]) -> Iterator[Watch]:
    program, idle = server
    watch = Watch(house, program)
    with watch.on_duty():
        yield watch
    assert watch.slowest < ANSWERED_WITHIN
    growth = watch.peak - idle
    print(f"{growth / MIB:.1f} MiB more than when idle, {watch.slowest:.3f} s at worst")
    assert growth < GROWTH, f"{growth / MIB:.0f} MiB more than when idle"


def messages(house: House, name: str = "ann") -> list[bytes]:
    """Return what an account has got, and remove it."""
    found = []
    with contextlib.closing(poplib.POP3(LOOPBACK, house.port("pop3"))) as client:
        client.user(f"{name}@example.org")
        client.pass_(PASSWORD)
        for number in range(1, client.stat()[0] + 1):
            found.append(b"\r\n".join(client.retr(number)[1]))
            client.dele(number)
        client.quit()
    return found


# What must not be understood.


@pytest.mark.parametrize("behind", [b"EHLO injected\r\n", b"NOOP\r\n" * 1000, b"\x16\x03\x01"])
def test_octets_behind_starttls(house: House, behind: bytes) -> None:
    with dial(house) as client:
        client.say(HELLO, "250")
        client.line.sendall(b"STARTTLS\r\n" + behind)
        answers = client.rest()
    assert not any(answer.startswith("250") for answer in answers)


def test_words_in_the_clear_where_tls_was_agreed(house: House) -> None:
    with dial(house) as client:
        client.say(HELLO, "250")
        client.say(b"STARTTLS\r\n", "220")
        client.line.sendall(HELLO + ENVELOPE)
        assert not any(answer.startswith("250") for answer in client.rest())


FALSE_ENDS = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\n.\r", b"\r\n .\r\n", b"\r\n. \r\n",
]  # fmt: skip


@pytest.mark.parametrize("false_end", FALSE_ENDS)
def test_a_second_message_hidden_in_the_first(house: House, false_end: bytes) -> None:
    """It is refused, or it is part of the one message that it was hidden in."""
    messages(house)
    hidden = b"MAIL FROM:<forged@example.org>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"
    with dial(house) as client:
        client.begin_content()
        client.line.sendall(b"Subject: outer\r\n\r\nouter" + false_end + hidden)
        client.line.sendall(b"Subject: inner\r\n\r\ninner\r\n.\r\nQUIT\r\n")
        answers = [answer[:3] for answer in client.rest()]
    found = messages(house)
    if found:
        [message] = found
        assert message.startswith(b"Return-Path: <carol@example.net>")
        assert message.endswith(b"inner")
    assert answers[0] in (["250"] if found else ["550", "554"])
    assert answers[1:] == ["221"]


def test_http(house: House) -> None:
    with dial(house) as client:
        client.line.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + HELLO + ENVELOPE)
        assert client.rest() == ["500 5.5.1 Unknown command"]


def test_http_to_pop3(house: House) -> None:
    with dial(house, service="pop3", greeting="+OK") as client:
        client.line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nUSER ann@example.org\r\n")
        assert client.rest() == ["-ERR Unknown command"]


# What must not cost much.


def test_a_command_line_that_is_too_long(house: House) -> None:
    with dial(house) as client:
        client.say(HELLO, "250")
        client.say(b"NOOP " + b"x" * 30_000 + b"\r\n", "500 5.5.2 ")
        client.say(b"NOOP\r\n", "250")


def test_a_command_line_without_an_end(house: House) -> None:
    with dial(house) as client, contextlib.suppress(ConnectionError):
        for _ in range(64):
            client.line.sendall(b"x" * MIB)
    with dial(house) as client:
        client.say(b"NOOP\r\n", "250")


def test_a_line_of_content_that_is_too_long(house: House) -> None:
    with dial(house) as client:
        client.begin_content()
        client.line.sendall(b"x" * 200_000 + b"\r\nMAIL FROM:<forged@x>\r\n.\r\n")
        client.hear("550 5.5.2 Line too long")
        client.say(b"NOOP\r\n", "250")


def test_a_line_of_content_without_an_end(house: House) -> None:
    with dial(house) as client:
        client.begin_content()
        for _ in range(90):
            client.line.sendall(b"x" * MIB)
        client.say(b"\r\n.\r\n", "550 5.5.2 ")


def test_content_without_an_end(house: House) -> None:
    with dial(house) as client:
        client.begin_content()
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 1000 * MIB:
                sent += client.line.send(b"x\r\n" * 100_000)
    assert sent < 120 * MIB


def send_at_once(house: House, content: bytes, count: int) -> None:
    """Let so many clients send the same content, which is accepted."""

    def send(_number: int) -> None:
        with dial(house) as client:
            client.begin_content()
            client.say(content, "250")

    with ThreadPoolExecutor(count) as senders:
        list(senders.map(send, range(count)))


@pytest.mark.parametrize("size", [12 * MIB, pytest.param(49 * MIB, marks=pytest.mark.long)])
def test_large_contents_from_twenty_at_once(house: House, size: int) -> None:
    """None of them is in memory as a whole, nor are large parts of all of them."""
    send_at_once(
        house, b"Subject: large\r\n\r\n" + (b"z" * 62 + b"\r\n") * (size // 64) + b".\r\n", 20
    )


def test_many_contents_of_the_largest_size(house: House) -> None:
    """Each of them is accepted, and none of them is ever in memory as a whole."""
    content = (b"Subject: large\r\n\r\n" + b"x" * 998 + b"\r\n") + b"y" * 998 + b"\r\n"
    content += (b"z" * 62 + b"\r\n") * ((50 * MIB - 4096) // 64)

    send_at_once(house, content + b".\r\n", 3)
    with dial(house) as client:
        client.begin_content()
        client.line.sendall(content + content[: len(content) // 2])
        client.say(b"\r\n.\r\n", "552 5.3.4 ")


def test_large_messages_that_are_asked_for_and_not_read(house: House) -> None:
    """While nine leave it unread, one reads it to its end and so tells how far they may be."""
    messages(house)
    content = b"Subject: large\r\n\r\n" + (b"z" * 62 + b"\r\n") * ((49 * MIB) // 64)
    send_at_once(house, content + b".\r\n", 1)
    with contextlib.ExitStack() as stack:
        for _ in range(9):
            idler = stack.enter_context(dial(house, service="pop3", greeting="+OK"))
            log_in(idler)
            idler.line.sendall(b"RETR 1\r\n")
        reader = stack.enter_context(dial(house, service="pop3", greeting="+OK"))
        log_in(reader)
        reader.line.sendall(b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
        size = sum(map(len, iter(lambda: reader.line.recv(MIB), b"")))
    assert size > len(content)


def log_in(client: Client) -> None:
    for words in (b"USER ann@example.org\r\n", f"PASS {PASSWORD}\r\n".encode()):
        client.say(words, "+OK")


REFUSED = {
    "a bare LF": b"\n",
    "a line that is too long": b"x" * 70_000 + b"\r\n",
    "a header of too many fields": b"",
}


@pytest.mark.parametrize("behind", REFUSED.values(), ids=REFUSED)
def test_contents_that_are_refused_leave_no_file_open(
    house: House, server: tuple[Program, int], behind: bytes
) -> None:
    descriptors = Path(f"/proc/{server[0].pid}/fd")
    begin = b"A: b\r\n" * (2000 if not behind else 1) + b"\r\n"
    content = begin + (b"z" * 62 + b"\r\n") * 3000 + behind + b"\r\n.\r\n"

    def send(number: int) -> None:
        for _ in range(30):
            with dial(house, f"127.0.1.{1 + number}") as client:
                client.begin_content()
                client.say(content, "55")

    before = len(os.listdir(descriptors))
    with ThreadPoolExecutor(4) as senders:
        list(senders.map(send, range(4)))
    assert len(os.listdir(descriptors)) < before + 10


@pytest.mark.parametrize(
    "field", [b"A: b\r\n", b"A:" + b" b\r\n" * 100, b"To: " + b"a@b," * 200]
)
def test_a_flood_of_header_fields(house: House, field: bytes) -> None:
    with dial(house) as client:
        client.begin_content()
        client.line.sendall((field.removesuffix(b"\r\n") + b"\r\n") * (4 * MIB // len(field)))
        client.say(b"\r\n.\r\n", "554 5.6.0 ")


def test_replies_that_nobody_reads(house: House) -> None:
    """We stop serving, then we stop reading, and in the end we hang up."""
    with dial(house) as client:
        client.say(HELLO, "250")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 256 * MIB:
                sent += client.line.send(b"MAIL FROM:<>\r\nRSET\r\n" * 1000)
    assert sent < 64 * MIB


def fill(house: House, name: str, count: int) -> None:
    """Put so many small messages into a maildrop."""
    envelope = b"MAIL FROM:<>\r\nRCPT TO:<%s@example.org>\r\nDATA\r\n" % name.encode()
    with dial(house) as client:
        client.say(HELLO, "250")
        for _ in range(count):
            client.line.sendall(envelope)
            for code in ("250", "250", "354"):
                client.hear(code)
            client.say(b"Subject: one of many\r\n\r\n.\r\n", "250")


def test_listings_that_nobody_reads(house: House) -> None:
    """A great maildrop's identifiers, asked for again and again by many at once."""
    fill(house, "una", 2000)
    login = f"USER una@example.org\r\nPASS {PASSWORD}\r\n".encode()
    with contextlib.ExitStack() as open_ones:
        for number in range(40):
            source = f"127.0.1.{1 + number}"
            client = open_ones.enter_context(
                dial(house, source, service="pop3", greeting="+OK")
            )
            client.line.sendall(login + b"UIDL\r\n" * 256)
            client.hear("+OK")
            client.hear("+OK 2000")
        assert len(messages(house, "una")) == 2000


def test_a_thousand_recipients(house: House) -> None:
    with dial(house) as client:
        client.say(HELLO, "250")
        client.line.sendall(b"MAIL FROM:<>\r\n" + b"RCPT TO:<ben@example.org>\r\n" * 1000)
        codes = [client.hear()[:9] for _ in range(1001)]
        assert codes == ["250 2.1.0"] + ["250 2.1.5"] * 100 + ["452 4.5.3"] * 900
        client.say(b"DATA\r\n", "354")
        client.say(b"Subject: once\r\n\r\n.\r\n", "250")
    assert len(messages(house, "ben")) == 1


def test_recipients_without_end(house: House) -> None:
    with dial(house) as client:
        client.say(HELLO, "250")
        with contextlib.suppress(ConnectionError):
            client.line.sendall(b"MAIL FROM:<>\r\n" + b"RCPT TO:<ben@example.org>\r\n" * 9999)
        codes = [answer[:3] for answer in client.rest()]
    assert codes == ["250"] * 101 + ["452"] * 1010 + ["421"]


@pytest.mark.parametrize(
    ("line", "most"),
    [(b"NOOP\r\n", 30), (b"VRFY ann\r\n", 30), (b"XYZZY\r\n", 10), (b"RCPT TO:<a@b>\r\n", 10)],
)
def test_junk_commands(house: House, line: bytes, most: int) -> None:
    with dial(house) as client, contextlib.suppress(ConnectionError):
        client.line.sendall(line * 10_000)
        answers = client.rest()
        assert len(answers) == most + 1
        assert answers[-1].startswith("421 4.7.0 ")


def test_who_guesses_addresses_is_sent_away(house: House) -> None:
    with dial(house) as client:
        client.say(HELLO, "250")
        client.say(b"MAIL FROM:<>\r\n", "250")
        client.line.sendall(b"".join(b"RCPT TO:<x%d@example.org>\r\n" % n for n in range(100)))
        answers = client.rest()
    assert [answer[:3] for answer in answers] == ["550"] * 10 + ["421"]


def test_slow_writers(house: House) -> None:
    """An octet now and then buys no more time than silence does."""

    def trickle(number: int) -> str:
        source = f"127.0.1.{1 + number % 20}"
        with dial(house, source) as client:
            if number % 2:
                client.begin_content()
            began = time.monotonic()
            client.line.settimeout(0.5)
            while time.monotonic() - began < 20:
                try:
                    client.line.sendall(b"x")
                    return client.hear()
                except TimeoutError:
                    continue
        return "still there"

    with ThreadPoolExecutor(100) as writers:
        answers = list(writers.map(trickle, range(100)))
    assert {answer[:9] for answer in answers} == {"421 4.4.2"}


def test_more_connections_than_one_may_have(house: House) -> None:
    with contextlib.ExitStack() as open_ones:
        for _ in range(20):
            open_ones.enter_context(dial(house))
        for _ in range(50):
            with dial(house, greeting="421 ") as client:
                assert client.rest() == []


def test_who_speaks_before_the_greeting(house: House) -> None:
    """Either the greeting was first, or the connection ends."""
    place = (LOOPBACK, house.port("smtp"))
    with socket.create_connection(place, source_address=(ATTACKER, 0)) as line:
        line.sendall(HELLO + ENVELOPE + b"DATA\r\n")
        answers = Client(line).rest()
    assert answers[-1][:3] in ("503", "554")


def test_any_octets_at_all(house: House) -> None:
    chance = random.Random(7)
    for _ in range(40):
        with dial(house) as client, contextlib.suppress(ConnectionError):
            client.line.sendall(chance.randbytes(5000) + b"\r\nQUIT\r\n")
            client.line.shutdown(socket.SHUT_WR)
            client.rest()


def test_refused_transactions_without_end(house: House, server: tuple[Program, int]) -> None:
    """Of what is refused again and again neither the log nor the journal grows."""
    refused = b"MAIL FROM:<carol@example.net>\r\nRCPT TO:<nobody@example.org>\r\nRSET\r\n"
    files = [house.folder / "log", *(house.folder / "state").glob("journal.db*")]
    messages(house)
    before = sum(file.stat().st_size for file in files)

    def storm(number: int) -> None:
        for _ in range(30):
            with dial(house, "127.0.0.9") as client:
                client.line.sendall(HELLO + refused * 9 + b"QUIT\r\n")
                client.rest()

    with ThreadPoolExecutor(4) as attackers:
        list(attackers.map(storm, range(4)))
    with dial(house) as client:  # which is accepted, and so written
        client.begin_content()
        client.say(b"Subject: heard\r\n\r\n.\r\n", "250")
    assert "heard" in house.run("explain", "ann@example.org")
    assert sum(file.stat().st_size for file in files) - before < 200_000
    assert len(messages(house)) == 1
