"""A real server is backed up while mail comes in, dies, and is put back by commands."""

from __future__ import annotations

import json
import poplib
import threading
from collections.abc import Iterator
from pathlib import Path
from smtplib import SMTP

import pytest

from mailplat.testing.commands import mailplat
from mailplat.testing.programs import House, NotStarted

BOB = "bob@example.org"


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path / "house")
    house.make({"bob": "secret"})
    return house


def command(house: House, *words: str, status: int = 0) -> str:
    done = mailplat("--config", str(house.config), *words)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def send(house: House, number: int) -> None:
    with SMTP("127.0.0.1", house.port("smtp")) as client:
        text = f"Subject: {number}\r\n\r\n{'x' * 2000}\r\n"
        client.sendmail("alice@example.net", [BOB], text)


class Sending:
    """Sends until it is told to stop; ``sent`` are those that were accepted."""

    def __init__(self, house: House) -> None:
        self.sent = 0
        self._house = house
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sending:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            send(self._house, self.sent)
            self.sent += 1


def subjects(house: House) -> list[int]:
    client = poplib.POP3("127.0.0.1", house.port("pop3"))
    client.user(BOB)
    client.pass_("secret")
    count = client.stat()[0]
    lines = [client.top(number, 0)[1] for number in range(1, count + 1)]
    client.quit()
    return [int(line[9:]) for one in lines for line in one if line.startswith(b"Subject: ")]


def test_a_backup_beside_mail_that_comes_in(house: House, tmp_path: Path) -> None:
    """Whatever was answered for before it began is in it, in order, without a gap."""
    kept = str(tmp_path / "kept")
    with house.start() as server:
        with Sending(house) as sending:
            for _ in range(3):
                before = sending.sent
                made = json.loads(command(house, "backup", kept, "--keep", "2", "--json"))
                assert made["damaged"] == []
        server.kill()
    command(house, "restore", kept, "--check")
    assert len(command(house, "restore", kept, "--list").splitlines()) == 2
    assert "is not empty" in command(house, "restore", kept, status=1)
    (tmp_path / "house" / "state").rename(tmp_path / "lost")
    said = command(house, "restore", kept)
    assert f"{made['generation']} is in" in said
    with house.start():
        found = subjects(house)
        assert found == list(range(len(found)))
        assert len(found) >= before > 0


@pytest.fixture
def running(house: House) -> Iterator[House]:
    with house.start():
        yield house


def test_a_mailbox_is_put_back_into_a_running_server(running: House, tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    send(running, 1)
    command(running, "backup", kept)
    assert "is held by another process" in command(running, "restore", kept, status=1)
    words = ("restore", kept, "--account", BOB, "--mailbox", "INBOX")
    assert command(running, *words) == "Restored/INBOX: 1 message added\n"
    again = "Restored/INBOX: 0 messages added, 1 was put there before\n"
    assert command(running, *words) == again
    found = json.loads(command(running, "restore", kept, "--account", BOB, "--json"))
    assert found["mailboxes"][0]["failed"] == []
    wrong = command(running, "restore", kept, "--account", "eve@example.org", status=1)
    assert "there is no account eve@example.org" in wrong
    assert "--mailbox needs --account" in command(running, *words[:2], *words[4:], status=1)
    assert "no generation x" in command(running, "restore", kept, "--generation", "x", status=1)
    nothing = command(running, "restore", str(tmp_path / "none"), status=1)
    assert "there is no backup in" in nothing


def test_a_later_version_has_been_here(house: House) -> None:
    """What it wrote is not touched, and the command line says why."""
    import apsw

    from mailplat.sql.checksums import CHECKED

    database = apsw.Connection(str(house.folder / "state" / "mail.db"), vfs=CHECKED)
    database.execute("UPDATE schema SET number = 99 WHERE room = 'store'")
    database.close()
    said = command(house, "status", status=1)
    assert "the tables of store have number 99 and this version of mailplat knows" in said
    with pytest.raises(NotStarted, match="run the version that wrote them"):
        house.start()
