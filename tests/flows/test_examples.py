"""The examples do what they say: a script reads a message, a filter changes its parts."""

from __future__ import annotations

import poplib
import shutil
import smtplib
import subprocess
import sys
from base64 import encodebytes
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from twisted.internet.threads import deferToThread  # noqa: TID251 - clients that block

from mailplat.mail.canonical import BodyHash, Canonicalization
from mailplat.mail.content import whole
from mailplat.mail.header import Header, body_begins
from mailplat.mail.message import Message
from mailplat.mail.multipart import text_part
from mailplat.pytest_plugin import PASSWORD, SocketHouse

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = b"Content-Type: text/csv; name=small.csv\r\n\r\n1,2\r\n"
LARGE = (
    b"Content-Type: application/zip; name=large.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + encodebytes(bytes(range(256)) * 1000).replace(b"\n", b"\r\n")
)
BODY = b"\r\n".join(
    [b"--b\r\n\r\ncaf\xc3\xa9", b"--b", SMALL, b"--b", LARGE, b"--b", SMALL, b"--b--", b""]
)

Serve = Callable[..., Awaitable[SocketHouse]]


def message() -> bytes:
    """Return a message with three attachments and a signature whose body hash fits."""
    body_hash = BodyHash(Canonicalization.SIMPLE)
    body_hash.feed(BODY)
    return b"".join(
        [
            b"DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=one; h=from; c=relaxed;\r\n",
            b" bh=%b; b=AAAA\r\n" % body_hash.digest(),
            b"From: Bob <bob@example.net>\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n",
            b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
            BODY,
        ]
    )


def test_ten_lines(tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(message())
    script = EXAMPLES / "ten_lines.py"
    assert len(script.read_text().splitlines()) == 11
    done = subprocess.run(
        [sys.executable, "-X", "utf8", script, tmp_path / "message", tmp_path],
        check=True,
        capture_output=True,
    )
    assert done.stdout.decode() == "Bob <bob@example.net>\ncafé\ncafé\n"
    assert (tmp_path / "small.csv").read_bytes() == b"1,2\r\n"
    assert (tmp_path / "small-2.csv").read_bytes() == b"1,2\r\n"
    assert (tmp_path / "large.zip").read_bytes() == bytes(range(256)) * 1000


def send(port: int) -> tuple[int, bytes]:
    """Send the message, and return what the server answers to it."""
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        smtp.ehlo()
        smtp.mail("bob@example.net")
        smtp.rcpt("alice@example.org")
        return smtp.data(message())


def read(port: int) -> bytes:
    """Return the only message in the INBOX."""
    pop3 = poplib.POP3("127.0.0.1", port)
    pop3.user("alice@example.org")
    pop3.pass_(PASSWORD)
    assert pop3.stat()[0] == 1
    lines: list[bytes] = pop3.retr(1)[1]
    pop3.quit()
    return b"".join(line + b"\r\n" for line in lines)


@pytest.mark.parametrize("spare_signed", [False, True])
async def test_large_attachments_are_stripped(
    mailplat_server: Serve, tmp_path: Path, spare_signed: bool
) -> None:
    folder = tmp_path / "server0"
    folder.mkdir()
    shutil.copy(EXAMPLES / "strip_attachments.py", folder)
    assert len((EXAMPLES / "strip_attachments.py").read_text().splitlines()) < 25
    house = await mailplat_server(
        '[filters.strip]\nuse = "strip_attachments:StripAttachments"\nabove = "100 KiB"\n'
        f"spare_signed = {str(spare_signed).lower()}\n",
        inbound=["recipients", "relaying", "strip"],
    )
    await house.add_account("alice@example.org")
    code, _ = await deferToThread(send, house.port("mx"))
    octets = await deferToThread(read, house.port("pop3"))
    assert code == 250
    [record] = await house.operate("message.explain", message="alice@example.org")
    if spare_signed:
        assert octets[body_begins(octets) :] == BODY
        assert "replaces part" not in record["text"]
        return
    note = await whole(text_part("large.zip was too big.").whole)
    assert octets[body_begins(octets) :] == BODY.replace(LARGE, note)
    assert Header.parse(octets).count(b"DKIM-Signature") == 1
    assert [one.name for one in Message.of(octets).attachments] == ["small.csv", "small-2.csv"]
    assert "replaces part 3" in record["text"]
    assert "one._domainkey.example.net" in record["text"]
