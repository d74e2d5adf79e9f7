"""Real programs that a test or a benchmark starts for itself on loopback: house and peers."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

import attrs

from mailplat import READY
from mailplat.mail.ports import STANDARD_PORTS
from mailplat.testing.commands import mailplat

LOOPBACK = "127.0.0.1"
NOBODY = 65534  # who owns the maildirs: Postfix's virtual(8) and Dovecot refuse to be root
PORTS = range(10_000, 28_000)  # below those that the kernel hands to clients


class NotStarted(Exception):
    """A program ended, or said nothing, before it was ready; the text is its output."""


def free_base(offsets: Iterable[int] = (0,)) -> int:
    """Return a number to which each of ``offsets`` may be added to get a free TCP port."""
    offsets = tuple(offsets)
    while True:
        base = random.choice(PORTS)  # noqa: S311
        if all(_is_free(base + offset) for offset in offsets):
            return base


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def wait_until(done: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Return as soon as ``done()``; raise `TimeoutError` naming ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


class Program:
    """One running child process; a context manager that ends it.

    Its output goes to ``log``.  It counts as started when each of ``ready`` stands there.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        ready: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float = 30,
    ) -> None:
        self.log = log
        self._said_before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        try:
            wait_until(lambda: self._is_ready(ready), f"start of {command[0]}", seconds)
        except (TimeoutError, NotStarted) as failure:
            self.kill()
            raise NotStarted(f"{failure}\n{self.output()}") from failure

    @property
    def pid(self) -> int:
        return self._child.pid

    def output(self) -> str:
        """Return what the program has said since this start."""
        with self.log.open("rb") as log:
            log.seek(self._said_before)
            return log.read().decode(errors="backslashreplace")

    def stop(self, seconds: float = 20) -> int:
        """Ask the program to end, wait for it, and return its exit status."""
        self._child.terminate()
        return self.ended(seconds)

    def ended(self, seconds: float = 30) -> int:
        """Wait for the program to end by itself, and return its exit status."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End the program and its children at once, as a power cut would."""
        if self._child.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)
        return self._child.wait()

    def _is_ready(self, ready: Sequence[str]) -> bool:
        said = self.output()
        if all(words in said for words in ready):
            return True
        if (status := self._child.poll()) is not None:
            raise NotStarted(f"ended with status {status}")
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def program_path(name: str) -> str | None:
    """Return where ``name`` is installed, also where only root's PATH looks; else None."""
    return shutil.which(
        name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    )


@attrs.frozen
class House:
    """The folder of a mailplat of its own, made by ``mailplat init`` and run by ``twistd``."""

    folder: Path
    domain: str = "example.org"
    base: int = attrs.field(factory=lambda: free_base(STANDARD_PORTS.values()))

    @property
    def config(self) -> Path:
        return self.folder / "mailplat.toml"

    def port(self, service: str) -> int:
        """Return where ``service``, a key of `STANDARD_PORTS`, listens on loopback."""
        return self.base + STANDARD_PORTS[service]

    def make(
        self,
        passwords: Mapping[str, str],
        limits: Mapping[str, object] = MappingProxyType({}),
        database: str = "sqlite:mail.db",
        contents: str = "database",
    ) -> None:
        """Write the configuration, with these limits, and make an account for each name."""
        where = ["--domain", self.domain, "--port-base", str(self.base)]
        where += ["--database", database, "--contents", contents]
        self.run("init", str(self.folder), *where)
        chosen = "".join(f"{key} = {value}\n" for key, value in limits.items())
        config = self.config.read_text().replace("[limits]\n", f"[limits]\n{chosen}")
        self.config.write_text(config)
        for name, password in passwords.items():
            address = f"{name}@{self.domain}"
            self.run("account", "add", address, "--password-stdin", said=password)

    def run(self, *words: str, said: str = "") -> str:
        """Run ``mailplat`` with ``words`` and return its output; raise if it fails."""
        where = {"MAILPLAT_CONFIG": str(self.config)}
        done = mailplat(*words, said=said, environment=where)
        done.check_returncode()
        return done.stdout

    def start(self) -> Program:
        """Run the server until the caller stops it."""
        twistd = Path(sys.executable).with_name("twistd")
        command = [str(twistd), "-n", "--pidfile=", "mailplat", "--config", str(self.config)]
        return Program(command, self.folder / "log", [READY], folder=self.folder)


@attrs.frozen
class Postfix:
    """The folder of a private Postfix with its own configuration, queue and maildirs.

    Mail to each of ``people`` at ``domain`` goes to a maildir of that name in `maildirs`;
    the port ``hold`` accepts the same mail and leaves it in the queue.
    """

    folder: Path
    domain: str = "example.org"
    people: Sequence[str] = ()
    main: Mapping[str, str] = attrs.field(factory=dict)  # further lines of main.cf
    port: int = attrs.field(factory=free_base)
    hold: int = attrs.field(factory=free_base)

    @property
    def maildirs(self) -> Path:
        return self.folder / "mail"

    def start(self) -> Program:
        """Write the configuration, and run until the caller stops it.

        Raises `FileNotFoundError` where Debian's package postfix is missing.
        """
        postfix = program_path("postfix")
        if postfix is None:
            raise FileNotFoundError("Debian's package postfix")
        for name in ("conf", "queue", "data", "mail"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        shutil.chown(self.folder / "data", "postfix")
        os.chown(self.maildirs, NOBODY, NOBODY)
        (self.folder / "conf/main.cf").write_text(self._main_cf())
        (self.folder / "conf/master.cf").write_text(self._master_cf())
        (self.folder / "conf/mailboxes").write_text(
            "".join(f"{name}@{self.domain} {name}/\n" for name in self.people)
        )
        check = [postfix, "-c", str(self.folder / "conf"), "check"]
        checked = subprocess.run(check, capture_output=True, text=True)
        if checked.returncode:
            raise NotStarted(checked.stdout + checked.stderr)
        return Program(
            ["/usr/lib/postfix/sbin/master", "-c", str(self.folder / "conf"), "-s"],
            self.folder / "log",
            ["daemon started"],
            environment={"MAIL_CONFIG": str(self.folder / "conf"), "MAIL_LOGTAG": "postfix"},
        )

    def _main_cf(self) -> str:
        lines = {
            "compatibility_level": "3.6",
            "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data",
            "maillog_file": "/dev/stdout",
            "myhostname": f"mx.{self.domain}",
            "mydestination": "",
            "alias_maps": "",
            "alias_database": "",
            "inet_interfaces": "loopback-only",
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "smtpd_peername_lookup": "no",
            "smtpd_client_connection_count_limit": "0",
            "virtual_mailbox_domains": self.domain,
            "virtual_mailbox_maps": f"texthash:{self.folder}/conf/mailboxes",
            "virtual_mailbox_base": self.maildirs,
            "virtual_uid_maps": f"static:{NOBODY}",
            "virtual_gid_maps": f"static:{NOBODY}",
            **self.main,
        }
        return "".join(f"{key} = {value}\n" for key, value in lines.items())

    def _master_cf(self) -> str:
        return f"""\
{LOOPBACK}:{self.port} inet n - n - - smtpd
{LOOPBACK}:{self.hold} inet n - n - - smtpd
  -o smtpd_client_restrictions=static:HOLD
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@attrs.frozen
class Dovecot:
    """The folder of a private Dovecot that serves maildirs by POP3 with login in the clear."""

    folder: Path
    people: Sequence[str] = ()
    password: str = "benchmark"  # noqa: S105
    scheme: str = "PLAIN"  # of the stored passwords; a hash is verified anew at each login
    port: int = attrs.field(factory=free_base)

    @property
    def maildirs(self) -> Path:
        return self.folder / "mail"

    def start(self) -> Program:
        """Write the configuration, and run until the caller stops it.

        Raises `FileNotFoundError` where Debian's package dovecot-pop3d is missing.
        """
        dovecot = program_path("dovecot")
        if dovecot is None:
            raise FileNotFoundError("Debian's package dovecot-pop3d")
        for name in ("run", "state", "mail"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        os.chown(self.maildirs, NOBODY, NOBODY)
        (self.folder / "dovecot.conf").write_text(self._configuration())
        doveadm = [
            program_path("doveadm") or "doveadm",
            "-c",
            str(self.folder / "dovecot.conf"),
        ]
        words = subprocess.run(
            [*doveadm, "pw", "-s", self.scheme, "-p", self.password],
            check=True,
            capture_output=True,
            text=True,
        )
        passwords = self.folder / "passwords"
        passwords.write_text("".join(f"{name}:{words.stdout}" for name in self.people))
        return Program(
            [dovecot, "-F", "-c", str(self.folder / "dovecot.conf")],
            self.folder / "log",
            ["starting up for"],
        )

    def _configuration(self) -> str:
        return f"""\
base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = /dev/stderr
protocols = pop3
listen = {LOOPBACK}
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_cache_size = 10M
mail_location = maildir:{self.maildirs}/%n
first_valid_uid = {NOBODY}
passdb {{
  driver = passwd-file
  args = username_format=%n {self.folder}/passwords
}}
userdb {{
  driver = static
  args = uid={NOBODY} gid={NOBODY} home={self.maildirs}/%n
}}
service pop3-login {{
  service_count = 0
  inet_listener pop3 {{
    port = {self.port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""
