"""Kills the server without warning while it takes mail, again and again.

    python -m pytest tests/flows/test_kill.py --rounds 50

Whatever got 250 is there after the restart, nothing is there twice that was sent once, and
nothing is damaged.  What a POP3 session deleted before its +OK to QUIT stays deleted, and no
content is left that no message has.
"""

from __future__ import annotations

import contextlib
import itertools
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

SENDERS = 8
PEOPLE = ("ann", "ben", "cid", "dot")
PASSWORD = "secret enough"
SMALL, LARGE = 4_000, 150_000  # octets: in memory, and in a spool file
LOST = (smtplib.SMTPServerDisconnected, OSError)


@attrs.frozen
class Letter:
    """One message, sent once; its content follows from its number."""

    number: int
    recipients: tuple[str, ...]

    @classmethod
    def make(cls, number: int) -> Letter:
        chance = random.Random(number)
        return cls(number, tuple(chance.sample(PEOPLE, chance.choice((1, 1, 1, 2)))))

    def content(self) -> bytes:
        chance = random.Random(self.number)
        size = LARGE if self.number % 40 == 0 else chance.randrange(SMALL)
        line = b"%032x\r\n.%s\r\n" % (
            chance.getrandbits(128),
            chance.randbytes(20).hex().encode(),
        )
        body = line * (size // len(line) + 1)
        return b"Subject: letter %d\r\n\r\n%s" % (self.number, body)


@attrs.define
class Ledger:
    """What was sent, what was promised, and what has been read and deleted."""

    sent: dict[int, Letter] = attrs.field(factory=dict)
    promised: set[int] = attrs.field(factory=set)
    read: Counter[tuple[str, int]] = attrs.field(factory=Counter)
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def next_letter(self) -> Letter:
        with self._lock:
            letter = Letter.make(next(self._numbers))
            self.sent[letter.number] = letter
            return letter

    def assert_kept(self) -> None:
        expected = {
            (name, number) for number in self.promised for name in self.sent[number].recipients
        }
        assert not expected - self.read.keys(), "promised and lost"
        assert max(self.read.values(), default=0) <= 1, "there twice"


@pytest.fixture(params=["sqlite", "sqlite, files", "sqlite, maildir", "postgres"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    house = House(tmp_path / "house")
    database, _, contents = request.param.partition(", ")
    url = "sqlite:mail.db"
    if database == "postgres":
        url = request.getfixturevalue("postgres").url
    people = dict.fromkeys(PEOPLE, PASSWORD)
    house.make(people, database=url, contents=contents or "database")
    text = house.config.read_text()  # what was deleted goes at once
    assert "\n#keep_expunged" in text
    house.config.write_text(re.sub(r"\n#keep_expunged[^\n]*", '\nkeep_expunged = "0 s"', text))
    return house


def test_kill_rounds(house: House, pytestconfig: pytest.Config) -> None:
    ledger = Ledger()
    rounds = pytestconfig.getoption("rounds")
    for number in range(rounds):
        promised = len(ledger.promised)
        send_until_killed(house, ledger, chance=random.Random(number))
        with house.start():
            for name in PEOPLE:
                read_and_delete(house, name, ledger)
            wait_until(lambda: nothing_is_left(house), "the end of contents that nobody has")
        ledger.assert_kept()
        assert len(ledger.promised) > promised, "no load"
    print(f"{rounds} kills, {len(ledger.promised)} of {len(ledger.sent)} letters promised")


def nothing_is_left(house: House) -> bool:
    """Say whether the files of contents have gone with the mail, behind those who read it.

    The store looks for those who have left when somebody comes.
    """
    with contextlib.closing(poplib.POP3(LOOPBACK, house.port("pop3"))) as client:
        client.user(f"{PEOPLE[0]}@{house.domain}")
        client.pass_(PASSWORD)
        client.quit()
    places = ("contents/*/*/*", "maildir/.contents/*/*/*", "maildir/*/*/cur/*")
    files = [file for place in places for file in house.folder.glob(f"state/{place}")]
    return len([file for file in files if file.is_file()]) <= 1  # the mark of the index


def send_until_killed(house: House, ledger: Ledger, chance: random.Random) -> None:
    first_promise = threading.Event()
    server = house.start()
    with ThreadPoolExecutor(SENDERS) as senders:
        work = [senders.submit(send, house, ledger, first_promise) for _ in range(SENDERS)]
        first_promise.wait(30)
        threading.Event().wait(chance.uniform(0, 1.5))
        server.kill()
    for sender in work:
        sender.result()


def send(house: House, ledger: Ledger, promised: threading.Event) -> None:
    """Send letters over one connection until it is cut."""
    with contextlib.suppress(*LOST), smtplib.SMTP(LOOPBACK, house.port("smtp")) as client:
        while True:
            letter = ledger.next_letter()
            recipients = [f"{name}@{house.domain}" for name in letter.recipients]
            assert client.sendmail("sender@example.net", recipients, letter.content()) == {}
            ledger.promised.add(letter.number)
            promised.set()


def read_and_delete(house: House, name: str, ledger: Ledger) -> None:
    """Read everything by POP3, and delete it."""
    with contextlib.closing(poplib.POP3(LOOPBACK, house.port("pop3"))) as client:
        client.user(f"{name}@{house.domain}")
        client.pass_(PASSWORD)
        count, _ = client.stat()
        for number in range(1, count + 1):
            _, lines, _ = client.retr(number)
            message = b"".join(line + b"\r\n" for line in lines)
            [letter] = map(
                int, re.findall(rb"^Subject: letter (\d+)\r\n", message, re.MULTILINE)
            )
            assert name in ledger.sent[letter].recipients
            assert message.endswith(ledger.sent[letter].content()), "damaged"
            ledger.read[name, letter] += 1
            client.dele(number)
        client.quit()
