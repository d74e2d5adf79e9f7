"""Reloading again and again while mail comes in: nobody is cut off, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailplat.mail.ports import STANDARD_PORTS
from mailplat.portals.tls import make_self_signed
from mailplat.testing.programs import House, Program, wait_until

ALICE = "alice@example.org"
SENDERS = 4


class Sender(threading.Thread):
    """Sends over connections of ten messages each until it is told to stop."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__()
        self.port, self.number = port, number
        self.sent = 0
        self.enough = threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            while not self.enough.is_set():
                with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as smtp:
                    for _ in range(10):
                        message = f"Subject: {self.number}.{self.sent}\r\n\r\nhello\r\n"
                        smtp.sendmail("bob@example.net", [ALICE], message)
                        self.sent += 1
        except Exception as error:
            self.failure = error


def reload(server: Program, house: House, number: int) -> None:
    """Change something, send SIGHUP, and wait until it has been acted upon."""
    text = house.config.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("banner = ")]
    lines = [
        f'{line}\nbanner = "{number}"' if line == 'use = "smtp"' else line for line in lines
    ]
    house.config.write_text("\n".join(lines))
    done = server.output().count("the configuration was read again")
    os.kill(server.pid, signal.SIGHUP)
    wait_until(
        lambda: server.output().count("the configuration was read again") > done, "reload"
    )


@pytest.mark.parametrize(
    "rounds", [20, pytest.param(1000, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_reloads_under_load(tmp_path: Path, rounds: int) -> None:
    house = House(tmp_path)
    house.make({"alice": "secret"})
    with house.start() as server:
        senders = [Sender(house.port("smtp"), number) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        for number in range(rounds):
            reload(server, house, number)
        for sender in senders:
            sender.enough.set()
        for sender in senders:
            sender.join()
            assert sender.failure is None
        _, greeting = smtplib.SMTP().connect("127.0.0.1", house.port("smtp"))
        assert greeting.endswith(f"ESMTP {rounds - 1}".encode())
        said = server.output()
        assert "Traceback" not in said
        assert "stays as it was" not in said
        sent = sum(sender.sent for sender in senders)
        assert said.count(f"to <{ALICE}>: 2.") == sent > 0


def test_a_reload_takes_new_certificates(tmp_path: Path) -> None:
    """At once, not only when the next look at the files is due."""
    house = House(tmp_path)
    house.make({"alice": "secret"})
    text = house.config.read_text()
    house.config.write_text(text.replace("[tls]\n", '[tls]\ncheck_every = "1h"\n'))
    [file] = (tmp_path / "tls").glob("*.pem")
    address = ("127.0.0.1", house.port("pop3s"))
    with house.start() as server:
        before = ssl.get_server_certificate(address)
        file.write_bytes(make_self_signed([file.stem], datetime.now(UTC)))
        reload(server, house, 0)
        assert ssl.get_server_certificate(address) != before
        assert "stays as it was" not in server.output()


def test_a_reload_takes_new_types(tmp_path: Path) -> None:
    """Those of the configuration, of the host and of the state folder; added ones stay."""
    house = House(tmp_path)
    house.make({"alice": "secret"})
    host = tmp_path / "host.types"
    house.config.write_text(
        house.config.read_text().replace("[mime]\n", f'[mime]\nsystem = "{host}"\n')
    )
    with house.start() as server:
        house.run("mime", "add", "application/x-added", "aaa")
        host.write_text("application/x-host hhh\n")
        with (house.folder / "state" / "mime.types").open("a") as file:
            file.write("application/x-written www\n")
        with house.config.open("a") as file:
            file.write('[mime.types]\n"application/x-table" = ["ttt"]\n')
        reload(server, house, 0)
        for ending in ("aaa", "hhh", "www", "ttt"):
            assert ending in house.run("mime", "show", ending)
        text = house.config.read_text()
        house.config.write_text(text.replace('["ttt"]', '["t t"]'))
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: "stays as it was" in server.output(), "refusal")
        house.config.write_text(text)
        house.run("mime", "add", "application/x-added", "bbb")
        assert "ttt" in house.run("mime", "show", "ttt")
        assert "bbb" in house.run("mime", "show", "application/x-added")


NOBODY = 65534
TWISTD = "from twisted.scripts.twistd import run; run()"
MAILPLAT = "from mailplat.app.cli import main; main()"


def python_for_nobody() -> tuple[str, dict[str, str]] | None:
    """Return an interpreter that an account without rights can run, and its environment."""
    installed = [path for path in sys.path if path and not path.startswith(sys.base_prefix)]
    environment = {"PYTHONPATH": os.pathsep.join(installed)}
    for python in (sys.executable, "/usr/bin/python3"):
        command = [python, "-c", "import importlib.readers, mailplat.app.service, apsw"]
        with contextlib.suppress(OSError):
            ran = subprocess.run(
                command, user=NOBODY, env=environment, cwd="/", capture_output=True
            )
            if ran.returncode == 0:
                return python, environment
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges")
def test_privileges_are_dropped() -> None:
    """Key and port are taken as root, and the process goes on as nobody."""
    found = python_for_nobody()
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the interpreter must be open to other accounts here")
        pytest.skip("the interpreter is closed to other accounts")
    python, environment = found
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        house = House(Path(folder) / "house", base=reserved_base())
        house.make({"alice": "secret"})
        house.folder.chmod(0o755)
        state = house.folder / "state"
        for path in [state, *state.iterdir()]:
            os.chown(path, NOBODY, NOBODY)
        command: list[str | Path] = [python, "-c", TWISTD, "-n", "--pidfile="]
        command += ["-u", str(NOBODY), "-g", str(NOBODY), "mailplat", "--config", house.config]
        log, ready = Path(folder) / "log", ["mailplat is ready"]
        with Program(
            command, log, ready, folder=house.folder, environment=environment
        ) as server:
            status = Path(f"/proc/{server.pid}/status").read_text()
            assert "Uid:\t65534\t65534\t65534\t65534" in status
            with smtplib.SMTP("127.0.0.1", house.port("smtp")) as smtp:
                smtp.starttls()
                smtp.sendmail("bob@example.net", [ALICE], "Subject: x\r\n\r\nx\r\n")
            assert ALICE in house.run("account", "list")
        listing: list[str | Path] = [
            python,
            "-c",
            MAILPLAT,
            "--config",
            house.config,
            "account",
            "list",
        ]
        listed = subprocess.run(listing, env=environment, cwd="/", capture_output=True)
        assert ALICE.encode() in listed.stdout, listed.stderr
        assert {path.stat().st_uid for path in state.iterdir()} == {NOBODY}


def reserved_base() -> int:
    """Return a base whose SMTP port only root may bind."""
    for base in random.sample(range(500, 998), 100):
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            for port in STANDARD_PORTS.values():
                opened.enter_context(socket.create_server(("127.0.0.1", base + port)))
            return base
    raise LookupError("no reserved port is free")
