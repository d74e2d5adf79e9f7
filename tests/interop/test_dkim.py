"""What we sign is verified by programs that others have written."""

from __future__ import annotations

from pathlib import Path

import dkim
import pytest

from mailplat.mail.canonical import Canonicalization, Style
from mailplat.mail.content import Octets
from mailplat.mail.header import Header
from mailplat.trust.dkim import signed
from mailplat.trust.keys import Algorithm, SigningKey

pytestmark = pytest.mark.interop

NOW = 1_700_000_000
RSA = SigningKey.new("example.org", "rsa", Algorithm.RSA_SHA256)
ED25519 = SigningKey.new("example.org", "ed", Algorithm.ED25519_SHA256)
STYLES = [Style(a, b) for a in Canonicalization for b in Canonicalization]
each_style = pytest.mark.parametrize(
    "style", STYLES, ids=lambda style: f"{style.of_header.value}-{style.of_body.value}"
)
MESSAGE = (
    b"Received: from [127.0.0.1]\r\n\tby mx.example.org; Mon, 23 Nov 2026 12:00:00 +0000\r\n"
    b"From: Alice <alice@example.org>\r\n"
    b"To: Bob <bob@example.net>,\r\n\t\t Carol <carol@example.net>  \r\n"
    b"SUBJECT: white   space\t of\tall\r\n  kinds \r\n"
    b"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
    b"List-Unsubscribe: <https://example.org/>\r\n"
    b"\r\n"
    b"trailing \t \r\n\ttabs\t\r\n \r\nl\xc3\xbcgen  haben kurze Beine\r\n\r\n\r\n \r\n\r\n"
)


async def letter(style: Style, *keys: SigningKey) -> bytes:
    header = Header.parse(MESSAGE)
    return b"".join(await signed(header, Octets(MESSAGE), keys, NOW, style)) + MESSAGE


def records(name: bytes, timeout: int = 5) -> bytes:
    """Answer in the place of the DNS."""
    found = {f"{key.name}.".encode(): key.record.encode() for key in (RSA, ED25519)}
    return found[name]


@each_style
async def test_dkimpy(style: Style) -> None:
    octets = await letter(style, RSA, ED25519)
    for index in range(2):
        assert dkim.DKIM(octets).verify(idx=index, dnsfunc=records)
    spoilt = octets.replace(b"kurze", b"lange")
    for index in range(2):
        with pytest.raises(dkim.ValidationError, match="body hash"):
            dkim.DKIM(spoilt).verify(idx=index, dnsfunc=records)


@each_style
async def test_opendkim(run, tmp_path: Path, style: Style) -> None:
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{key.name} {key.record}\n" for key in (RSA, ED25519)))
    settings = tmp_path / "opendkim.conf"
    settings.write_text(f"TestPublicKeys {keys}\nMode v\nSyslog no\n")
    octets = await letter(style, RSA, ED25519)
    for text, result in ((octets, b"pass"), (octets.replace(b"kurze", b"lange"), b"fail")):
        file = tmp_path / "message"
        file.write_bytes(text)
        said = run("opendkim", "opendkim", "-x", settings, "-t", file, "-vv")
        assert said.count(b"dkim=" + result) == 2
        assert b"header.a=rsa-sha256" in said
        assert b"header.a=ed25519-sha256" in said
