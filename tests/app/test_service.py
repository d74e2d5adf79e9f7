"""The server as a process: it starts in order, refuses a second one, reloads, and stops."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.app import asking
from mailplat.testing import commands
from mailplat.testing.programs import NotStarted, Program, wait_until

PORTAL = '''
"""A portal that says its word and repeats what it hears."""

from twisted.internet.protocol import Protocol
from zope.interface import implementer

from mailplat.interfaces import IPortal
from mailplat.plugin import Settings


class EchoSettings(Settings):
    """Keys of an echo."""

    listen: tuple[str, ...] = ("127.0.0.1:0",)
    word: str = "hello"


class Echo(Protocol):
    def __init__(self, portal):
        self.portal = portal

    def connectionMade(self):
        self.portal.open.add(self)
        self.transport.write(self.portal.word)

    def dataReceived(self, data):
        self.transport.write(self.portal.word + data)

    def connectionLost(self, reason=None):
        self.portal.open.discard(self)


@implementer(IPortal)
class EchoPortal:
    def __init__(self, settings: EchoSettings) -> None:
        self.addresses = settings.listen
        self.word = settings.word.encode()
        self.open = set()

    @property
    def sessions(self):
        return len(self.open)

    async def drain(self, patience):
        for echo in list(self.open):
            echo.transport.loseConnection()

    def buildProtocol(self, addr):
        return Echo(self)

    def doStart(self):
        pass

    def doStop(self):
        pass
'''

CONFIG = """\
hostname = "localhost"

[store.main]
use = "memory"

[portals.echo]
use = "echo_of_service:EchoPortal"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "echo_of_service.py").write_text(PORTAL)
    (tmp_path / "mailplat.toml").write_text(CONFIG)
    (tmp_path / "state").mkdir()
    return tmp_path


def start(folder: Path, **environment: str) -> Program:
    twistd = Path(sys.executable).with_name("twistd")
    command: list[str | Path] = [twistd, "-n", "--pidfile=", "mailplat"]
    ready = ["mailplat is ready"]
    return Program(command, folder / "log", ready, folder=folder, environment=environment)


@pytest.fixture
def server(folder: Path) -> Iterator[Program]:
    with start(folder) as program:
        yield program


def port_of(server: Program, name: str = "echo") -> int:
    found = re.findall(rf"listening: {name} 127\.0\.0\.1:(\d+)", server.output())
    return int(found[-1])


def talk(server: Program) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(server)), 10)


def mailplat(folder: Path, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return commands.mailplat(*words, said=said, folder=folder)


def reload(server: Program) -> None:
    """Send SIGHUP and wait until it has been acted upon."""
    before = server.output()
    os.kill(server.pid, signal.SIGHUP)
    words = ("the configuration was read again", "the configuration stays as it was")
    wait_until(lambda: any(w in server.output()[len(before) :] for w in words), "reload")


def test_it_serves_and_stops(server: Program, folder: Path) -> None:
    with talk(server) as channel:
        assert channel.recv(5) == b"hello"
        channel.sendall(b"!")
        assert channel.recv(6) == b"hello!"
        status = json.loads(mailplat(folder, "status", "--json").stdout)
        assert status["running"] is True
        assert status["pid"] == server.pid
        assert status["sessions"] == {"echo": 1}
        assert status["listening"] == [f"echo 127.0.0.1:{port_of(server)}"]
        assert server.stop() in (0, -signal.SIGTERM)
        assert channel.recv(5) == b""
    assert "mailplat has stopped" in server.output()
    assert json.loads(mailplat(folder, "status", "--json").stdout)["running"] is False


def test_a_second_server_is_refused(server: Program, folder: Path) -> None:
    with pytest.raises(NotStarted, match=r"is held by another process, whose id is \d+"):
        start(folder)


def test_a_taken_port_is_said_plainly(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (folder / "mailplat.toml").open("a") as config:
            config.write(f'listen = ["127.0.0.1:{port}"]\n')
        with pytest.raises(NotStarted, match=f"port {port} is taken") as caught:
            start(folder)
    assert "Traceback" not in str(caught.value)


def test_mistakes_are_said_plainly(folder: Path) -> None:
    with (folder / "mailplat.toml").open("a") as config:
        config.write('wrod = "x"\n[portal.x]\n')
    with pytest.raises(NotStarted) as caught:
        start(folder)
    assert "mailplat.toml:8: portals.echo.wrod: there is no such key" in str(caught.value)
    assert "mailplat.toml:9: portal: there is no such key" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_store_that_cannot_be_opened_ends_it_with_a_status(folder: Path) -> None:
    (folder / "state/mail.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(NotStarted, match="ended with status 1") as caught:
        start(folder)
    assert "mailplat could not start: " in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_certificates_that_are_missing_are_a_mistake(folder: Path) -> None:
    with (folder / "mailplat.toml").open("a") as config:
        config.write('[portals.pop3]\nport = 0\n[tls]\ncertificates = "nowhere"\n')
    said = mailplat(folder, "check").stderr
    assert "mailplat.toml:11: tls.certificates: there is no usable certificate in" in said
    with pytest.raises(
        NotStarted, match=r"mailplat.toml:8: portals.pop3: .*needs certificates"
    ):
        start(folder)


FAILING = """
from mailplat.plugin import Settings
from mailplat.sql import Database
from twisted.internet.interfaces import IReactorTime
from echo_of_service import EchoPortal, EchoSettings

class Failing(EchoPortal):
    def __init__(self, settings: EchoSettings, database: Database, clock: IReactorTime) -> None:
        super().__init__(settings)
        self.database, self.clock = database, clock

    async def prepare(self):
        self.clock.callLater(0.5, self.database._turn_bad, OSError("the disk has failed"))
"""


def test_a_failed_disk_ends_it_with_a_status(folder: Path) -> None:
    (folder / "failing.py").write_text(FAILING)
    text = CONFIG.replace("echo_of_service:EchoPortal", "failing:Failing")
    (folder / "mailplat.toml").write_text(text)
    server = start(folder)
    assert server.ended() == 1
    assert "nothing more can be kept, ending: the disk has failed" in server.output()


def test_a_reload_keeps_sessions_and_changes_what_changed(
    server: Program, folder: Path
) -> None:
    config = folder / "mailplat.toml"
    with talk(server) as old:
        assert old.recv(5) == b"hello"
        config.write_text(CONFIG + 'word = "howdy"\n')
        reload(server)
        old.sendall(b"!")
        assert old.recv(6) == b"hello!"
        with talk(server) as new:
            assert new.recv(5) == b"howdy"


def test_a_bad_file_changes_nothing(server: Program, folder: Path) -> None:
    (folder / "mailplat.toml").write_text(CONFIG + "word = 5\nwrod = 6\n")
    reload(server)
    said = server.output()
    assert "mailplat.toml:8: portals.echo.word: expected a valid string" in said
    assert "mailplat.toml:9: portals.echo.wrod: there is no such key" in said
    with talk(server) as channel:
        assert channel.recv(5) == b"hello"


def test_a_reload_imports_anew_what_has_changed_beside_the_configuration(
    server: Program, folder: Path
) -> None:
    module = folder / "echo_of_service.py"
    better = PORTAL.replace("word + data", 'word + b"..." + data')
    module.write_text(better)
    reload(server)
    with talk(server) as channel:
        assert channel.recv(5) == b"hello"
        channel.sendall(b"!")
        assert channel.recv(9) == b"hello...!"
    module.write_text(better.replace("def doStop", "dfe doStop"))
    reload(server)
    said = server.output()
    assert "the configuration stays as it was" in said
    assert "portals.echo.use: echo_of_service can't be imported: SyntaxError" in said
    assert "portals.echo.use can't be had" in said
    assert "SyntaxError: invalid syntax (echo_of_service.py, line" in said
    with talk(server) as channel:
        channel.sendall(b"!")
        assert channel.recv(5) == b"hello"
        assert channel.recv(9) == b"hello...!"
    module.write_text(PORTAL.replace("word + data", "word + b'+' + data"))
    reload(server)
    with talk(server) as channel:
        assert channel.recv(5) == b"hello"
        channel.sendall(b"!")
        assert channel.recv(7) == b"hello+!"


def test_a_reload_opens_and_closes_doors(server: Program, folder: Path) -> None:
    port = port_of(server)
    more = CONFIG.replace("portals.echo", "portals.other").replace("[store", "[store", 1)
    (folder / "mailplat.toml").write_text(
        more + f'listen = ["127.0.0.1:{port + 1 if port < 65000 else port - 1}"]\n'
    )
    reload(server)
    status = json.loads(mailplat(folder, "status", "--json").stdout)
    assert [place.split()[0] for place in status["listening"]] == ["other"]
    with pytest.raises(ConnectionRefusedError):
        talk(server)


def test_keys_that_need_a_restart_are_named(server: Program, folder: Path) -> None:
    mailplat(folder, "domain", "add", "example.org")
    text = CONFIG.replace('"memory"', '"indexed"') + 'word = "howdy"\n'
    more = '[database]\nurl = "sqlite:other.db"\n[directory]\ndelimiter = "-"\n'
    (folder / "mailplat.toml").write_text('state = "elsewhere"\n' + text + more)
    reload(server)
    for key in ("state", "database", "store", "directory"):
        assert f"{key} has changed; that takes a restart" in server.output()
    assert "journal has changed" not in server.output()
    assert not (folder / "elsewhere").exists()
    with talk(server) as channel:
        assert channel.recv(5) == b"howdy"
    said = asking.ask(folder / "state", "domain.list", {}, False)
    assert said == [{"name": "example.org"}]


def test_an_operation_that_is_not_known_is_refused(server: Program, folder: Path) -> None:
    for operation, arguments in (("domain.paint", {}), ("domain.list", {"colour": 1})):
        with pytest.raises(asking.OperationFailed, match=operation):
            asking.ask(folder / "state", operation, arguments, False)
    assert "Traceback" not in server.output()


def test_systemd_is_told(folder: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        with start(folder, **told) as server:
            assert systemd.recv(100) == b"READY=1"
            assert [systemd.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            os.kill(server.pid, signal.SIGHUP)
            said = b""
            while not said.startswith(b"RELOADING=1\nMONOTONIC_USEC="):
                said = systemd.recv(100)
            while said != b"READY=1":
                said = systemd.recv(100)
        while said != b"STOPPING=1":
            said = systemd.recv(100)


def test_the_log_file_is_reopened(folder: Path) -> None:
    log = folder / "mail.log"
    (folder / "mailplat.toml").write_text(CONFIG + f'[log]\nfile = "{log}"\nformat = "json"\n')
    twistd = Path(sys.executable).with_name("twistd")
    with Program(
        [twistd, "-n", "--pidfile=", "mailplat"], folder / "out", [""], folder=folder
    ) as server:
        wait_until(lambda: log.exists() and "mailplat is ready" in log.read_text(), "start")
        log.rename(folder / "mail.log.1")
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: log.exists() and "was read again" in log.read_text(), "reopening")
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert {entry["level"] for entry in entries} >= {"info"}
    assert entries[0]["time"].endswith("Z")


def test_a_log_that_can_not_be_opened_changes_nothing(server: Program, folder: Path) -> None:
    config = folder / "mailplat.toml"
    better = CONFIG + 'word = "howdy"\n'
    config.write_text(better + '[log]\nfile = "nowhere/mail.log"\nformat = "json"\n')
    reload(server)
    said = server.output()
    assert "error [mailplat.app.service.MailService] the configuration stays as it was" in said
    with talk(server) as channel:
        assert channel.recv(5) == b"hello"
    config.write_text(better)
    reload(server)
    with talk(server) as channel:
        assert channel.recv(5) == b"howdy"


def test_a_lost_log_does_not_end_reloading(folder: Path) -> None:
    logs = folder / "logs"
    logs.mkdir()
    text = CONFIG + f'[log]\nfile = "{logs}/mail.log"\n'
    (folder / "mailplat.toml").write_text(text)
    twistd = Path(sys.executable).with_name("twistd")
    with Program(
        [twistd, "-n", "--pidfile=", "mailplat"], folder / "out", [""], folder=folder
    ) as server:
        moved, again = folder / "moved", logs / "mail.log"
        wait_until(lambda: again.exists() and "is ready" in again.read_text(), "start")
        logs.rename(moved)
        os.kill(server.pid, signal.SIGHUP)
        kept = moved / "mail.log"
        wait_until(lambda: "stays as it was" in kept.read_text(), "the first reload")
        assert "the log can't be reopened" in kept.read_text()
        logs.mkdir()
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: again.exists() and "was read again" in again.read_text(), "reload")


EARLY = """
import os
import signal

from echo_of_service import EchoPortal, EchoSettings

class Early(EchoPortal):
    def __init__(self, settings: EchoSettings) -> None:
        super().__init__(settings)

    async def prepare(self):
        os.kill(os.getpid(), signal.SIGHUP)
"""


def test_a_reload_while_it_starts_comes_after_the_start(folder: Path) -> None:
    (folder / "early.py").write_text(EARLY)
    text = CONFIG.replace("echo_of_service:EchoPortal", "early:Early")
    (folder / "mailplat.toml").write_text(text)
    with start(folder) as server:
        wait_until(lambda: "was read again" in server.output(), "reload")
        said = server.output()
        assert said.index("mailplat is ready") < said.index("was read again")
