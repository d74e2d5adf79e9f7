"""Kills the server without warning while its queue works, again and again.

    python -m pytest tests/flows/test_queue_kill.py --rounds 100

Whatever got 250 has reached the sink in the end, or its sender has a report of it.  The sink
gets nothing twice but what was on its way to it in a crash, which is counted.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import poplib
import random
import re
import smtplib
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from mailplat.testing.programs import LOOPBACK, House, wait_until

SENDERS = 4
AT_ONCE = 20  # attempts at a destination, and so on the way in a crash
PASSWORD = "secret enough"
ALICE = "alice@example.org"
LOST = (smtplib.SMTPException, OSError)
DOMAINS = ("good.example", "moody.example", "gone.example")
SINK = '''
import os
import random

from twisted.internet import reactor
from twisted.internet.task import deferLater

from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import DELIVERED, Status

record = os.open("FOLDER/delivered", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


class Sink:
    """Writes down what it is brought, with its content's last line, and takes its time."""

    async def attempt(self, job):
        octets = await job.content.read(0, job.content.size)
        await deferLater(reactor, random.random() / 50)
        outcomes = [self.outcome(str(one.address)) for one in job.envelope.recipients]
        for one, outcome in zip(job.envelope.recipients, outcomes, strict=True):
            if outcome.status.is_success:
                line = octets.rstrip().rpartition(b"\\n")[2]
                os.write(record, b"%s %s\\n" % (str(one.address).encode(), line))
        await deferLater(reactor, random.random() / 50)
        return outcomes

    def outcome(self, address):
        if address.endswith("@gone.example"):
            return Outcome(Status(5, 1, 1), "gone")
        if address.endswith("@moody.example") and random.random() < 0.5:
            return Outcome(Status(4, 2, 2), "not now")
        return Outcome(DELIVERED, "taken")
'''
SETTINGS = """
[agents.sink]
use = "sink:Sink"

[[routes]]
agent = "sink"
"""
QUEUE = f"""[queue]
first_retry = "1 s"
longest_retry = "2 s"
destination_at_once = {AT_ONCE}
"""


@attrs.define
class Ledger:
    """What was promised, by the letter's number and the domains it is for."""

    promised: dict[int, tuple[str, ...]] = attrs.field(factory=dict)
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def next_number(self) -> int:
        with self._lock:
            return next(self._numbers)


@pytest.fixture(params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    house = House(tmp_path / "house")
    url = "sqlite:mail.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").url
    house.make({"alice": PASSWORD}, database=url)
    (house.folder / "sink.py").write_text(SINK.replace("FOLDER", str(house.folder)))
    text = house.config.read_text()
    assert "[queue]\n" in text
    house.config.write_text(text.replace("[queue]\n", QUEUE) + SETTINGS)
    return house


def test_kill_rounds_of_the_queue(house: House, pytestconfig: pytest.Config) -> None:
    ledger = Ledger()
    rounds = pytestconfig.getoption("rounds")
    for number in range(rounds):
        before = len(ledger.promised)
        send_until_killed(house, ledger, random.Random(number))
        assert len(ledger.promised) > before, "no load"
    with house.start():
        wait_until(lambda: is_empty(house), "the end of the queue", 120)
        reported = read_reports(house)
    delivered = deliveries(house)
    for number, domains in ledger.promised.items():
        for domain in domains:
            if domain == "gone.example":
                assert number in reported, f"letter {number} failed, and nobody was told"
            else:
                assert (domain, number) in delivered, f"letter {number} to {domain} is lost"
    twice = sum(count - 1 for count in delivered.values())
    assert twice <= rounds * AT_ONCE * len(DOMAINS)
    print(f"{rounds} kills, {len(ledger.promised)} letters promised, {twice} came twice")


def send_until_killed(house: House, ledger: Ledger, chance: random.Random) -> None:
    first_promise = threading.Event()
    server = house.start()
    with ThreadPoolExecutor(SENDERS) as senders:
        work = [senders.submit(send, house, ledger, first_promise) for _ in range(SENDERS)]
        first_promise.wait(30)
        threading.Event().wait(chance.uniform(0.1, 1.5))
        server.kill()
    for sender in work:
        sender.result()


def send(house: House, ledger: Ledger, promised: threading.Event) -> None:
    """Submit letters over one connection until it is cut."""
    with (
        contextlib.suppress(*LOST),
        smtplib.SMTP(LOOPBACK, house.port("submission")) as client,
    ):
        client.login(ALICE, PASSWORD)
        while True:
            number = ledger.next_number()
            domains = DOMAINS[: 1 + number % 3]
            size = 200_000 if number % 40 == 0 else 2_000
            body = b"%s\r\nletter %d" % (b"x" * 70 + b"\r\n" * 1 + b"y" * (size % 900), number)
            filling = b"line of some length\r\n" * (size // 21)
            octets = b"Subject: letter %d\r\n\r\n%s%s\r\n" % (number, filling, body)
            assert client.sendmail(ALICE, [f"x@{one}" for one in domains], octets) == {}
            ledger.promised[number] = domains
            promised.set()


def is_empty(house: House) -> bool:
    """Say whether nothing waits any more."""
    return bool(json.loads(house.run("queue", "stats", "--json"))["messages"] == 0)


def read_reports(house: House) -> set[int]:
    """Return the letters of whose failure Alice has heard."""
    numbers: set[int] = set()
    with contextlib.closing(poplib.POP3(LOOPBACK, house.port("pop3"))) as client:
        client.user(ALICE)
        client.pass_(PASSWORD)
        for number in range(1, client.stat()[0] + 1):
            text = b"\n".join(client.retr(number)[1])
            if b"Action: failed" in text:
                numbers |= {int(one) for one in re.findall(rb"letter (\d+)", text)}
    return numbers


def deliveries(house: House) -> Counter[tuple[str, int]]:
    """Return how often each letter has come to each domain; all of them are whole."""
    found: Counter[tuple[str, int]] = Counter()
    for line in (house.folder / "delivered").read_text().splitlines():
        address, word, number = line.split()
        assert word == "letter", "damaged"
        found[address.partition("@")[2], int(number)] += 1
    return found
