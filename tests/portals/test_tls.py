"""Certificates: which are found, which are shown, and what handshakes they allow."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mailplat.interfaces import House
from mailplat.plugin import ConfigError
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.tls import (
    BadCertificate,
    Certificates,
    TlsSettings,
    load,
    make_self_signed,
)

NOW = datetime.now(UTC)
HOOK = Path(__file__).parents[2] / "etc" / "certbot-deploy-hook"


def pem(*names: str, days: int = 30) -> bytes:
    return make_self_signed(names, NOW, days)


def halves(both: bytes) -> tuple[bytes, bytes]:
    """Split a key and a certificate."""
    place = both.index(b"-----BEGIN CERTIFICATE")
    return both[:place], both[place:]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tls").mkdir()
    return tmp_path / "tls"


def opened(folder: Path, clock: Clock | None = None, **settings: Any) -> Certificates:
    return Certificates(
        TlsSettings(certificates=folder, **settings),
        House("mx.example.org", folder),
        clock or Clock(),
    )


def shown(certificates: Certificates, name: str = "", **client: Any) -> x509.Certificate:
    """Shake hands in memory, and return the certificate that the client is shown."""
    return shaken(certificates, name, **client)[0].get_peer_certificate(as_cryptography=True)  # type: ignore[return-value]


def shaken(
    certificates: Certificates,
    name: str = "",
    *,
    alpn: list[bytes] | None = None,
    least: int = SSL.TLS1_VERSION,
    most: int = SSL.TLS1_3_VERSION,
    ciphers: bytes = b"ALL@SECLEVEL=0",
) -> tuple[SSL.Connection, SSL.Connection]:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(least)
    context.set_max_proto_version(most)
    context.set_cipher_list(ciphers)
    client = SSL.Connection(context, None)
    client.set_connect_state()
    if name:
        client.set_tlsext_host_name(name.encode())
    if alpn:
        client.set_alpn_protos(alpn)
    server = certificates.serverConnectionForTLS(None)  # type: ignore[arg-type]
    server.set_accept_state()
    for _ in range(6):
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            move(one, other)
    return client, server


def move(one: SSL.Connection, other: SSL.Connection) -> None:
    try:
        other.bio_write(one.bio_read(65536))
    except SSL.WantReadError:
        pass


def names(certificate: x509.Certificate) -> list[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return extension.value.get_values_for_type(x509.DNSName)


# Which is shown.


def test_a_name_is_found_exactly_or_by_wildcard(folder: Path) -> None:
    (folder / "a.pem").write_bytes(pem("*.example.org"))
    (folder / "b.pem").write_bytes(pem("mx.example.org", "MAIL.example.org"))
    (folder / "c.pem").write_bytes(pem("example.net"))
    certificates = opened(folder)
    assert verifyObject(IOpenSSLServerConnectionCreator, certificates)
    assert certificates.names >= {"*.example.org", "mail.example.org", "example.net"}
    for asked, first in {
        "mx.example.org": "mx.example.org",
        "Mail.Example.ORG": "mx.example.org",
        "imap.example.org": "*.example.org",
        "a.b.example.org": "mx.example.org",
        "example.net": "example.net",
        "unknown.example": "mx.example.org",
        "": "mx.example.org",
    }.items():
        assert names(shown(certificates, asked))[0] == first, asked


def test_the_default_can_be_chosen(folder: Path) -> None:
    (folder / "a.pem").write_bytes(pem("mx.example.org"))
    (folder / "b.pem").write_bytes(pem("example.net"))
    assert names(shown(opened(folder, default="Example.net"))) == ["example.net"]
    assert names(shown(opened(folder, default="nobody.example"))) == ["mx.example.org"]


def test_what_lasts_longer_is_shown(folder: Path) -> None:
    (folder / "new.pem").write_bytes(pem("mx.example.org", days=60))
    (folder / "old.pem").write_bytes(pem("mx.example.org", days=30))
    assert shown(opened(folder)).not_valid_after_utc - NOW > timedelta(days=50)


# Which are found.


def test_key_and_certificate_in_files_of_one_name(folder: Path) -> None:
    key, own = halves(pem("mx.example.org"))
    (folder / "mx.crt").write_bytes(own)
    (folder / "mx.key").write_bytes(key)
    (folder / "README").write_text("not one")
    (folder / ".hidden.pem").write_text("not one either")
    assert opened(folder).names == {"mx.example.org"}


def test_a_folder_as_certbot_keeps_it(folder: Path, tmp_path: Path) -> None:
    """``live/NAME`` holds links, and the certificate is there twice."""
    archive = tmp_path / "archive"
    archive.mkdir()
    key, own = halves(pem("mx.example.org"))
    _, above = halves(pem("an authority"))
    live = folder / "mx.example.org"
    live.mkdir()
    for name, octets in {
        "privkey": key, "cert": own, "chain": above, "fullchain": own + above
    }.items():  # fmt: skip
        (archive / f"{name}1.pem").write_bytes(octets)
        (live / f"{name}.pem").symlink_to(archive / f"{name}1.pem")
    certificates = opened(folder)
    client, _ = shaken(certificates, "mx.example.org")
    chain = client.get_peer_cert_chain(as_cryptography=True)
    assert chain
    assert [c.subject.rfc4514_string() for c in chain] == [
        "CN=mx.example.org",
        "CN=an authority",
    ]


def test_rsa_keys(folder: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name.from_rfc4514_string("CN=mx.example.org")
    from cryptography.hazmat.primitives import hashes

    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, NOW, NOW + timedelta(1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    own = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (folder / "mx.pem").write_bytes(certificate + own)
    certificates = opened(folder)
    assert certificates.names == {"mx.example.org"}
    assert shown(certificates).serial_number == 1


def test_what_is_no_certificate() -> None:
    key, own = halves(pem("mx.example.org"))
    other_key, other = halves(pem("mx.example.org"))
    locked = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    for octets in (b"", key, own, key + other, key + other_key + own, locked, own[:-9] + key):
        with pytest.raises(BadCertificate):
            load(octets)
    broken = own[:100] + b"AAAA" + own[104:]
    with pytest.raises(BadCertificate):
        load(key + broken)


def test_an_empty_folder(folder: Path) -> None:
    with pytest.raises(ConfigError, match="mailplat init"):
        opened(folder)
    with pytest.raises(ConfigError):
        opened(folder / "missing")


def test_one_bad_file_does_not_hide_the_others(folder: Path) -> None:
    (folder / "bad.pem").write_text("nonsense")
    (folder / "mx.pem").write_bytes(pem("mx.example.org"))
    assert opened(folder).names == {"mx.example.org"}


# When files change.


async def test_new_files_are_noticed(folder: Path) -> None:
    clock = Clock()
    (folder / "mx.pem").write_bytes(pem("mx.example.org"))
    certificates = opened(folder, clock)
    await certificates.prepare()
    first = shown(certificates).serial_number
    clock.advance(60)
    assert shown(certificates).serial_number == first
    (folder / "mx.pem").write_bytes(pem("mx.example.org"))
    (folder / "new.pem").write_bytes(pem("example.net"))
    clock.advance(59)
    assert shown(certificates).serial_number == first
    clock.advance(1)
    assert shown(certificates).serial_number != first
    assert names(shown(certificates, "example.net")) == ["example.net"]
    (folder / "new.pem").unlink()
    clock.advance(60)
    assert names(shown(certificates, "example.net")) == ["mx.example.org"]
    await certificates.finish()
    assert not clock.getDelayedCalls()


def test_a_broken_new_file_keeps_the_old(folder: Path) -> None:
    (folder / "mx.pem").write_bytes(pem("mx.example.org"))
    certificates = opened(folder)
    before = shown(certificates).serial_number
    (folder / "mx.pem").write_bytes(pem("mx.example.org")[:300])
    certificates.reload()
    certificates.reload()
    assert shown(certificates).serial_number == before
    (folder / "mx.pem").write_bytes(pem("mx.example.org"))
    certificates.reload()
    assert shown(certificates).serial_number != before


def test_an_emptied_folder_keeps_what_there_was(folder: Path) -> None:
    (folder / "mx.pem").write_bytes(pem("mx.example.org"))
    certificates = opened(folder)
    (folder / "mx.pem").unlink()
    certificates.reload()
    assert names(shown(certificates)) == ["mx.example.org"]


def test_the_keys_of_tickets_do_not_grow_old(folder: Path) -> None:
    clock = Clock()
    (folder / "mx.pem").write_bytes(pem("mx.example.org"))
    certificates = opened(folder, clock)
    before = certificates._find("mx.example.org").context
    clock.advance(43199)
    certificates.reload()
    assert certificates._find("mx.example.org").context is before
    clock.advance(1)
    certificates.reload()
    assert certificates._find("mx.example.org").context is not before


# Handshakes.


@pytest.mark.parametrize(
    "alpn", [[b"imap"], [b"http/1.1"], [b"nonsense", b"h2"], [b"pop3", b"imap", b"smtp"]]
)
@pytest.mark.parametrize("name", ["mx.example.org", "example.net"])
@pytest.mark.parametrize("most", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_clients_that_offer_alpn_come_in(
    folder: Path, alpn: list[bytes], name: str, most: int
) -> None:
    (folder / "a.pem").write_bytes(pem("mx.example.org"))
    (folder / "b.pem").write_bytes(pem("example.net"))
    client, _ = shaken(opened(folder), name, alpn=alpn, most=most)
    assert client.get_alpn_proto_negotiated() == b""
    assert names(client.get_peer_certificate(as_cryptography=True)) == [name]  # type: ignore[arg-type]


@pytest.mark.parametrize("most", [SSL.TLS1_VERSION, SSL.TLS1_1_VERSION])
def test_old_versions_stay_outside(certificates: Certificates, most: int) -> None:
    with pytest.raises(SSL.Error):
        shaken(certificates, most=most)


@pytest.mark.parametrize(
    "ciphers", [b"aNULL@SECLEVEL=0", b"AES256-GCM-SHA384", b"3DES@SECLEVEL=0"]
)
def test_bad_ciphers_stay_outside(certificates: Certificates, ciphers: bytes) -> None:
    try:
        shaken(certificates, most=SSL.TLS1_2_VERSION, ciphers=ciphers)
    except SSL.Error:
        return
    pytest.fail("a handshake without forward secrecy or identity")


def test_no_renegotiation(certificates: Certificates) -> None:
    """The server says no_renegotiation (RFC 5246 section 7.2.2), and the client gives up."""
    client, server = shaken(certificates, most=SSL.TLS1_2_VERSION)
    client.renegotiate()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    move(client, server)
    with pytest.raises(SSL.WantReadError):
        server.recv(100)
    move(server, client)
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.do_handshake()


async def test_alpn_over_starttls_and_implicit_tls(
    reactor: Any,
    toy: Any,
    doorkeeper: Doorkeeper,
    certificates: Certificates,
    serve: Any,
    call: Any,
) -> None:
    for tls in ("starttls", "implicit"):
        portal = toy(reactor, doorkeeper, certificates=certificates, tls={"tls": tls})
        [place] = serve(portal).places
        for alpn in ([b"imap"], [b"http/1.1"], [b"\0\xff"]):
            client = await call(place)
            if tls == "starttls":
                client.say(b"starttls\n")
                await client.until(b"starttls\n")
            client.start_tls(alpn=alpn)
            client.say(b"quit\n")
            await client.until(b"quit\n")


# Channel binding.


@pytest.mark.parametrize("highest", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
async def test_channel_binding(
    reactor: Any,
    toy: Any,
    doorkeeper: Doorkeeper,
    certificates: Certificates,
    serve: Any,
    call: Any,
    highest: int,
) -> None:
    portal = toy(reactor, doorkeeper, certificates=certificates, tls={"tls": "implicit"})
    client = await call(serve(portal).places[0])
    handle = client.start_tls(highest=highest)
    await client.until(b"hello\n")
    [connection] = portal.connections
    own = handle.get_peer_certificate(as_cryptography=True)
    assert own
    digest = hashlib.sha256(own.public_bytes(Encoding.DER)).digest()
    assert connection.binding("tls-server-end-point") == digest
    exported = handle.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
    if highest == SSL.TLS1_3_VERSION:
        assert connection.binding("tls-exporter") == exported
    else:
        with pytest.raises(LookupError):
            connection.binding("tls-exporter")
    with pytest.raises(LookupError):
        connection.binding("tls-unique")


# The hook.


def hook(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(HOOK)],
        env={"PATH": os.environ["PATH"], "MAILPLAT_TLS": str(folder), **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def renewed(tmp_path: Path) -> Callable[[], Path]:
    """Renews a certificate in a lineage, as certbot lays it out."""

    def renew() -> Path:
        lineage = tmp_path / "live" / "mx.example.org"
        lineage.mkdir(parents=True, exist_ok=True)
        key, own = halves(pem("mx.example.org"))
        (lineage / "privkey.pem").write_bytes(key)
        (lineage / "fullchain.pem").write_bytes(own)
        return lineage

    return renew


def test_certbots_hook(folder: Path, renewed: Callable[[], Path]) -> None:
    assert hook(folder, RENEWED_LINEAGE=str(renewed())).returncode == 0
    [file] = folder.iterdir()
    assert file.name == "mx.example.org.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    certificates = opened(folder)
    before = shown(certificates).serial_number
    hook(folder, RENEWED_LINEAGE=str(renewed()))
    certificates.reload()
    assert shown(certificates).serial_number != before


def test_the_hook_keeps_the_folders_owner(folder: Path, renewed: Callable[[], Path]) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(folder, 65534, 65534)
    hook(folder, RENEWED_LINEAGE=str(renewed()))
    assert (folder / "mx.example.org.pem").stat().st_uid == 65534


def test_legos_hook(folder: Path, tmp_path: Path) -> None:
    key, own = halves(pem("mx.example.org"))
    (tmp_path / "mx.key").write_bytes(key)
    (tmp_path / "mx.crt").write_bytes(own)
    done = hook(
        folder,
        LEGO_CERT_DOMAIN="mx.example.org",
        LEGO_CERT_PATH=str(tmp_path / "mx.crt"),
        LEGO_CERT_KEY_PATH=str(tmp_path / "mx.key"),
    )
    assert done.returncode == 0, done.stderr
    assert opened(folder).names == {"mx.example.org"}


def test_a_hook_without_a_certificate(folder: Path, tmp_path: Path) -> None:
    assert hook(folder).returncode == 64
    assert hook(folder, RENEWED_LINEAGE=str(tmp_path / "missing")).returncode != 0
    assert not list(folder.iterdir())
