"""A house on real ports, and the real programs that talk to it."""

from __future__ import annotations

import contextlib
import itertools
import os
import poplib
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs
import pytest

from mailplat.testing.programs import LOOPBACK, NOBODY, House, program_path

TRACE = (b"Return-Path:", b"Received:", b"Delivered-To:", b"Authentication-Results:")
PASSWORD = "a long enough secret"

MESSAGE = (
    b"From: Alice <alice@example.net>\r\n"
    b"To: Bob <bob@example.org>\r\n"
    b"Subject: lines that programs like to spoil\r\n"
    b"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\n"
    b"Message-ID: <interop@example.net>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
    b"X-Folded: one\r\n two\r\n\tthree\r\n"
    b"\r\n"
    b".\r\n"
    b"..two dots, and a lone one above\r\n"
    b"From the start of a line\r\n"
    b"trailing spaces   \r\n"
    b"\tl\xc3\xbcgen haben kurze Beine\r\n"
    b"\r\n" + b"x" * 900 + b"\r\n"
    b"\r\n"
    b"end\r\n"
)


@attrs.frozen
class Person:
    """An account in the house."""

    house: House
    address: str
    password: str = PASSWORD

    def received(self) -> list[bytes]:
        """Return the messages in the inbox, by Python's own POP3 client; they stay there."""
        with contextlib.closing(poplib.POP3(LOOPBACK, self.house.port("pop3"))) as client:
            client.user(self.address)
            client.pass_(self.password)
            count, _ = client.stat()
            messages = [client.retr(number + 1)[1] for number in range(count)]
            client.quit()
        return [b"".join(line + b"\r\n" for line in lines) for lines in messages]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One running house for all tests; each makes its own accounts in it."""
    house = House(tmp_path_factory.mktemp("house"))
    house.make({})
    with house.start():
        yield house


@pytest.fixture
def person(house: House, new_person: Callable[[], Person]) -> Person:
    return new_person()


@pytest.fixture(scope="session")
def new_person(house: House) -> Callable[[], Person]:
    numbers = itertools.count()

    def new_person() -> Person:
        person = Person(house, f"person{next(numbers)}@{house.domain}")
        house.run("account", "add", person.address, "--password-stdin", said=person.password)
        return person

    return new_person


@pytest.fixture
def message_file(tmp_path: Path) -> Path:
    """The message with CRLF, as it goes over the wire."""
    path = tmp_path / "message"
    path.write_bytes(MESSAGE)
    return path


@pytest.fixture
def unix_message_file(tmp_path: Path) -> Path:
    """The message as programs of UNIX keep it."""
    path = tmp_path / "message.unix"
    path.write_bytes(MESSAGE.replace(b"\r\n", b"\n"))
    return path


@pytest.fixture(scope="session")
def real() -> Callable[[str, str], str]:
    """Find a program, or skip the test with the name of the Debian package that is missing."""

    def real(name: str, package: str) -> str:
        if (path := program_path(name)) is None:
            missing = f"needs {name}, from Debian's package {package}"
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
        return path

    return real


@pytest.fixture
def run(real: Callable[[str, str], str], tmp_path: Path) -> Callable[..., bytes]:
    """Run a real program to its end, with a home of its own, and return what it printed."""

    def run(package: str, name: str, *words: object, said: bytes = b"") -> bytes:
        command = [real(name, package), *map(str, words)]
        environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        done = subprocess.run(
            command, input=said, capture_output=True, env=environment, cwd=tmp_path, timeout=60
        )
        assert done.returncode == 0, f"{command}: {done.stdout!r} {done.stderr!r}"
        return done.stdout

    return run


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """Compare octet for octet with `MESSAGE`, but for line ends and trace fields in front."""

    def assert_same(received: bytes) -> None:
        received, sent = (text.replace(b"\r\n", b"\n") for text in (received, MESSAGE))
        assert received.endswith(sent), received
        fields = received.removesuffix(sent).splitlines(keepends=True)
        for field in fields:
            assert field.startswith((b" ", b"\t", *TRACE)), field
        assert fields, "no trace fields"

    return assert_same


@pytest.fixture
def ask_dovecot(real: Callable[[str, str], str]) -> Iterator[Callable[..., bytes]]:
    """Let Dovecot's IMAP, without a network or login, answer commands about messages."""
    doveadm = real("doveadm", "dovecot-core")
    real("/usr/lib/dovecot/imap", "dovecot-imapd")
    root = os.geteuid() == 0  # which Dovecot refuses to be
    owner, group = (NOBODY, NOBODY) if root else (os.geteuid(), os.getegid())

    def ask_dovecot(messages: Sequence[bytes], *commands: bytes) -> bytes:
        for name in ("run", "state", "mail/cur", "mail/new", "mail/tmp"):
            (folder / name).mkdir(parents=True)
        for number, message in enumerate(messages):
            (folder / f"mail/cur/{number:06}.M0P1.host:2,S").write_bytes(message)
        for path in (folder / "mail", *(folder / "mail").iterdir()):
            os.chown(path, owner, group)
        (folder / "dovecot.conf").write_text(
            f"base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = /dev/stderr\n"
            f"protocols = imap\nssl = no\nmail_location = maildir:{folder}/mail\n"
            f"mail_uid = {owner}\nmail_gid = {group}\nfirst_valid_uid = {owner}\n"
            f"stats_writer_socket_path =\n"
        )
        numbered = b"".join(b"%d %b\r\n" % pair for pair in enumerate(commands, 2))
        with subprocess.Popen(
            [doveadm, "-c", folder / "dovecot.conf", "exec", "imap"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"USER": "nobody", "HOME": str(folder / "mail"), "PATH": os.environ["PATH"]},
        ) as child:
            assert child.stdin
            assert child.stdout
            child.stdin.write(b"1 SELECT INBOX\r\n" + numbered + b"0 LOGOUT\r\n")
            child.stdin.flush()  # and left open, since Dovecot says no more once it is closed
            answer = child.stdout.read()
        assert b"\r\n0 OK" in answer, answer
        return answer

    with tempfile.TemporaryDirectory(prefix="mailplat-dovecot.") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield ask_dovecot
