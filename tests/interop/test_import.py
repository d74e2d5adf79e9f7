"""An account on a real Dovecot comes in whole, once, and over connections that are proven."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import attrs
import imapclient
import pytest
import trustme

from mailplat.app.cli import main
from mailplat.mail.mailbox import DRAFT, FLAGGED, SEEN
from mailplat.moving.imap import ImapFailed, ImapSource, Remote, Server
from mailplat.moving.letters import Box
from mailplat.moving.sources import FileSource
from mailplat.moving.trees import opened
from mailplat.testing.programs import LOOPBACK, Dovecot, free_base

from .conftest import Person

MOMENT = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
BOXES = {"INBOX": 120, "Sent": 3, "a/b": 2, "Entwürfe": 1, "empty": 0}


@attrs.frozen
class DovecotImap(Dovecot):
    """The same with IMAP, in the clear and over TLS."""

    tls_port: int = attrs.field(factory=free_base)

    def _configuration(self) -> str:
        text = super()._configuration().partition("service pop3-login")[0]
        text = text.replace("protocols = pop3", "protocols = imap").replace("ssl = no", "")
        return (
            text.replace(":LAYOUT=fs", "")
            + f"""
ssl = yes
ssl_cert = <{self.folder}/cert.pem
ssl_key = <{self.folder}/key.pem
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {self.port}
  }}
  inet_listener imaps {{
    port = {self.tls_port}
  }}
}}
"""
        )


def letter(number: int) -> bytes:
    size = 1_300_000 if number == 50 else 40 * number
    line = b"line of letter %d\r\n" % number
    return b"Subject: %d\r\n\r\n" % number + line * (size // len(line) + 1)


def flags(number: int) -> frozenset[str]:
    return frozenset([(), (SEEN,), (FLAGGED, "$Work"), (DRAFT, "home")][number % 4])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def elsewhere(authority: trustme.CA) -> Iterator[DovecotImap]:
    if not Path("/usr/lib/dovecot/imap").exists():
        missing = "needs Debian's package dovecot-imapd"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    with tempfile.TemporaryDirectory(prefix="mailplat-dovecot.") as name:
        dovecot = DovecotImap(Path(name), people=["ann"])
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(f"{name}/key.pem")
        certificate.cert_chain_pems[0].write_to_path(f"{name}/cert.pem")
        authority.cert_pem.write_to_path(f"{name}/ca.pem")
        with dovecot.start():
            fill(dovecot)
            yield dovecot


def fill(dovecot: Dovecot) -> None:
    with client_of(dovecot) as client:
        number = 0
        for name, count in BOXES.items():
            if name != "INBOX":
                client.create_folder(name)
            if name != "Sent":
                client.subscribe_folder(name)
            for _ in range(count):
                client.append(name, letter(number), flags(number), MOMENT)
                number += 1


def client_of(dovecot: Dovecot) -> imapclient.IMAPClient:
    client = imapclient.IMAPClient(LOOPBACK, dovecot.port, ssl=False)
    client.login("ann", dovecot.password)
    return client


@attrs.frozen
class Done:
    """How a command has ended."""

    status: int
    stdout: str
    stderr: str


def importing(
    person: Person, dovecot: DovecotImap, url: str, *words: str, trusted: bool = True
) -> Done:
    """Import in this process, which the house's server does the rest for."""
    config = str(person.house.config)
    command = ["--config", config, "import", person.address, url, "--password-stdin", *words]
    authority = {"SSL_CERT_FILE": str(dovecot.folder / "ca.pem")} if trusted else {}
    said, told = io.StringIO(), io.StringIO()
    status = 0
    with (
        patch.dict(os.environ, authority),
        patch.object(sys, "stdin", io.StringIO(dovecot.password + "\n")),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(told),
    ):
        try:
            main(command, standalone_mode=False)
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Done(status, said.getvalue(), told.getvalue())


def kept(person: Person, target: Path) -> Counter[tuple[str, bytes, frozenset[str], float]]:
    person.house.run("export", person.address, str(target), "--format", "eml")
    with opened(target) as tree:
        files = FileSource(tree)
        files.boxes()
        return Counter(
            (one.mailbox, b"".join(one.pieces), one.flags, one.received or 0.0)
            for one in files.letters()
        )


def test_a_whole_account_comes_in(
    person: Person, elsewhere: DovecotImap, tmp_path: Path
) -> None:
    done = importing(person, elsewhere, f"imaps://ann@localhost:{elsewhere.tls_port}", "--json")
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["added"] == sum(BOXES.values())
    names = [name for name, count in BOXES.items() for _ in range(count)]
    assert kept(person, tmp_path / "out") == Counter(
        (name, letter(number), flags(number), MOMENT.timestamp())
        for number, name in enumerate(names)
    )
    lines = (tmp_path / "out/mailboxes.jsonl").read_text().splitlines()
    boxes = {one["name"]: (one["role"], one["subscribed"]) for one in map(json.loads, lines)}
    assert boxes["Sent"] == ("\\Sent", False)
    assert boxes["empty"] == ("", True)
    assert boxes["a/b"] == ("", True)

    with client_of(elsewhere) as client:
        client.append("empty", letter(999), (), MOMENT)
    try:
        url = f"imap+starttls://ann@localhost:{elsewhere.port}"
        done = importing(person, elsewhere, url, "--json", "--connections", "1")
        tally = json.loads(done.stdout)
        assert (tally["added"], tally["known"]) == (1, sum(BOXES.values()))
    finally:
        with client_of(elsewhere) as client:
            client.select_folder("empty")
            client.delete_messages(client.search("ALL"))
            client.expunge()


def test_a_server_that_anybody_may_be_is_refused(
    person: Person, elsewhere: DovecotImap, tmp_path: Path
) -> None:
    for url in (
        f"imaps://ann@localhost:{elsewhere.tls_port}",
        f"imap+starttls://ann@localhost:{elsewhere.port}",
    ):
        done = importing(person, elsewhere, url, trusted=False)
        assert done.status == 1
        assert "certificate verify failed" in done.stderr
    assert not kept(person, tmp_path / "out")
    done = importing(person, elsewhere, url, "--insecure", "--exclude", "INBOX", trusted=False)
    assert done.stdout.startswith("6 messages have come in")


def test_what_the_server_refuses_is_said(person: Person, elsewhere: DovecotImap) -> None:
    url = f"imaps://eve@localhost:{elsewhere.tls_port}"
    done = importing(person, elsewhere, url)
    assert done.status == 1
    assert "localhost: " in done.stderr
    assert "Traceback" not in done.stderr
    done = importing(person, elsewhere, f"imaps://ann@localhost:{free_base()}")
    assert "refused" in done.stderr


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://a@b", "is no imaps://"),
        ("imaps://b", "is no imaps://"),
        ("imaps://a:secret@b", "never an URL"),
        ("imap://a@b", "--insecure"),
        ("imaps://a@b:x", "imaps://a@b:x"),
    ],
)
def test_urls_that_are_refused(url: str, why: str) -> None:
    with pytest.raises(ImapFailed, match=why):
        Server.parse(url)


def test_a_user_may_have_an_address() -> None:
    server = Server.parse("imaps://ann%2Bx@example.net@imap.example.net")
    assert (server.user, server.host, server.port) == (
        "ann+x@example.net", "imap.example.net", 993,
    )  # fmt: skip


def test_a_mailbox_that_is_refused_is_named(elsewhere: DovecotImap) -> None:
    server = Server("imap", LOOPBACK, elsewhere.port, "ann", insecure=True)
    source = ImapSource(server, elsewhere.password)
    with contextlib.closing(source):
        source.boxes()
        source._remotes.insert(0, Remote("gone", Box("gone")))
        *found, last = source.letters(lambda _keys: set())
        assert len(found) == sum(BOXES.values())
        assert last.place == "gone"
        with pytest.raises(OSError, match="exist"):
            list(last.pieces)


def test_a_connection_that_breaks_is_made_anew(elsewhere: DovecotImap) -> None:
    server = Server("imap", LOOPBACK, elsewhere.port, "ann", insecure=True)
    source = ImapSource(server, elsewhere.password)
    with contextlib.closing(source):
        source.boxes()
        letters = source.letters(lambda _keys: set())
        first = next(letters)
        for client in source._all:
            client.socket().shutdown(socket.SHUT_RDWR)
        found = [first, *letters]
    assert len(found) == sum(BOXES.values())
    assert len({one.key for one in found}) == len(found)
