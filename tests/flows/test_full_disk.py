"""A server on a disk of its own that is really full: what it refuses, what it still does."""

from __future__ import annotations

import contextlib
import os
import poplib
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from mailplat.testing.programs import LOOPBACK, House, wait_until

PASSWORD = "secret enough"
ANN = "ann@example.org"
LIMITS = {"message_size": '"8 MiB"'}
DISK = 64  # MiB
MESSAGES = 100
MESSAGE = b"Subject: one of many\r\n\r\n" + b"x" * 60_000 + b"\r\n"


@attrs.frozen
class SmallDisk:
    """A house whose state lies on a small disk, and a ballast that fills it."""

    house: House

    @property
    def state(self) -> Path:
        return self.house.folder / "state"

    @property
    def ballast(self) -> Path:
        return self.state / "ballast"

    @property
    def reserve(self) -> Path:
        return self.state / "reserve"

    def has_reserve(self) -> bool:
        return self.reserve.exists() and self.reserve.stat().st_blocks * 512 == 16 << 20

    def fill(self, but: int = 0) -> None:
        """Leave not one page free but so many."""
        with self.ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while self.room() > but or not but:
                file.write(b"x" * 4096)

    def room(self) -> int:
        """Return how many pages are free."""
        return os.statvfs(self.state).f_bfree

    def send(self, message: bytes = MESSAGE) -> int:
        """Send a message; return the code that it was refused with, or 250."""
        with smtplib.SMTP(LOOPBACK, self.house.port("smtp")) as client:
            try:
                client.sendmail("carol@example.net", [ANN], message)
            except smtplib.SMTPResponseException as refused:
                return refused.smtp_code
        return 250

    @contextlib.contextmanager
    def maildrop(self) -> Iterator[poplib.POP3]:
        with contextlib.closing(poplib.POP3(LOOPBACK, self.house.port("pop3"))) as client:
            client.user(ANN)
            client.pass_(PASSWORD)
            yield client


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    house = House(tmp_path / "house")
    house.make({"ann": PASSWORD}, LIMITS, contents=getattr(request, "param", "database"))
    small = SmallDisk(house)
    kept = tmp_path / "kept"
    small.state.rename(kept)
    small.state.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=700", "tmpfs", small.state]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(f"no disk of its own may be mounted here: {mounted.stderr.strip()}")
    try:
        for path in kept.iterdir():
            path.rename(tmp_path / path.name)
        copied = [*tmp_path.glob("mail.db*"), *tmp_path.glob("contents")]
        subprocess.run(["cp", "-a", *copied, small.state], check=True)
        yield small
    finally:
        subprocess.run(["umount", small.state], check=True)


EVERYWHERE = pytest.mark.parametrize("small", ["database", "files"], indirect=True)


@EVERYWHERE
def test_mail_can_be_deleted_on_a_full_disk(small: SmallDisk) -> None:
    with small.house.start():
        for _ in range(MESSAGES):
            assert small.send() == 250
        small.fill()
        assert small.room() == 0
        assert small.send() == 452
        with small.maildrop() as client:
            for number in range(1, MESSAGES + 1):
                client.dele(number)
            assert client.quit().startswith(b"+OK")
        with small.maildrop() as client:
            assert client.stat() == (0, 0)
        assert not small.reserve.exists()
        small.ballast.unlink()
        wait_until(lambda: small.send() == 250, "mail is taken again")
        wait_until(small.has_reserve, "room is kept again")


def test_mail_is_refused_from_the_moment_at_which_there_is_no_room(small: SmallDisk) -> None:
    """A transaction needs room for two messages of the largest size, here 16 MiB."""
    with (
        small.house.start(),
        contextlib.closing(smtplib.SMTP(LOOPBACK, small.house.port("smtp"))) as client,
    ):
        client.ehlo()
        for but, code in ((5000, 250), (4000, 452), (1000, 452), (0, 452)):
            small.fill(but)
            assert client.mail("carol@example.net")[0] == code
            client.rset()
        small.ballast.unlink()
        assert client.mail("carol@example.net")[0] == 250


def test_a_message_that_fails_leaves_the_reserve_to_who_deletes(small: SmallDisk) -> None:
    """It fails where its content goes into the database, and others take what it leaves."""
    large = b"Subject: large\r\n\r\n" + (b"x" * 998 + b"\r\n") * 6000
    with small.house.start():
        for _ in range(10):
            assert small.send() == 250
        before = small.room()
        with contextlib.closing(smtplib.SMTP(LOOPBACK, small.house.port("smtp"))) as client:
            client.ehlo()
            for code, said in (250, "MAIL FROM:<>"), (250, f"RCPT TO:<{ANN}>"), (354, "DATA"):
                assert client.docmd(said)[0] == code
            client.send(large)
            wait_until(lambda: before - small.room() > 1400, "it lies in the spool")
            small.fill(but=30)
            client.send(b".\r\n")
            assert client.getreply()[0] == 452
        small.fill()
        assert small.has_reserve()
        with small.maildrop() as client:
            for number in range(1, 11):
                client.dele(number)
            assert client.quit().startswith(b"+OK")
        with small.maildrop() as client:
            assert client.stat() == (0, 0)


@EVERYWHERE
def test_a_full_disk_is_no_obstacle_to_a_start(small: SmallDisk) -> None:
    with small.house.start():
        assert small.send() == 250
        assert small.has_reserve()
    small.fill()
    with small.house.start(), small.maildrop() as client:
        client.dele(1)
        assert client.quit().startswith(b"+OK")


def test_contents_that_fill_the_disk_leave_it_as_it_was(small: SmallDisk) -> None:
    """Twelve are begun while there is room, and there is none for all of them."""
    large = b"A: too many fields\r\n" * 1001 + b"\r\n" + (b"x" * 998 + b"\r\n") * 7000
    with small.house.start(), contextlib.ExitStack() as stack:
        assert small.send() == 250
        before = small.room()
        port = small.house.port("smtp")
        clients = [
            stack.enter_context(contextlib.closing(smtplib.SMTP(LOOPBACK, port)))
            for _ in range(12)
        ]
        for client in clients:
            client.ehlo()
            assert client.mail("carol@example.net")[0] == 250
            assert client.rcpt(ANN)[0] == 250
            assert client.docmd("DATA")[0] == 354
        for client in clients:
            client.send(large)
        codes = set()
        for client in clients:
            client.send(b".\r\n")
            codes.add(client.getreply()[0])
        assert codes == {554, 452}
        assert small.room() > before - 256  # pages; the journal has grown
        wait_until(lambda: small.send() == 250, "mail is taken again", 5)
