"""Certificates from a folder, chosen by the name clients ask for, read again when they change.

A certificate is what lies together in the folder: files that differ in their
ending only (``mx.pem``, or ``mx.crt`` with ``mx.key``), or one folder below
(``mx/fullchain.pem`` with ``mx/privkey.pem``, as certbot keeps them).  The key
says which of the certificates found there is the server's own; the others are
its chain.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL
from pydantic import Field
from twisted.internet.interfaces import (
    IDelayedCall,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailplat.interfaces import House, ILifetime
from mailplat.plugin import ConfigError, Duration, Location, Settings

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES+SHA256:ECDHE+AES+SHA384:!aNULL"
OPTIONS = (
    SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_CIPHER_SERVER_PREFERENCE
    | SSL.OP_SINGLE_ECDH_USE
)
MOST = 1000  # certificates in the folder
ENDINGS = frozenset((".pem", ".crt", ".cer", ".key"))
RENEW_TICKETS_AFTER = 43200.0  # seconds; session tickets can't be read after twice as long
Key: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]{1,40})-----[^-]{1,65536}-----END \1-----")


class TlsSettings(Settings):
    """Keys of ``[tls]``: what the server proves its name with."""

    certificates: Location = Field(
        Path("tls"),
        validate_default=True,
        description="A folder of PEM files with keys and certificates, chosen by SNI.",
    )
    default: str = Field(
        "",
        description="The name whose certificate is shown to clients that ask for none we have; "
        "left out, the server's own name.",
    )
    check_every: Duration = Field(
        timedelta(minutes=1), description="How often to look whether the files have changed."
    )


class BadCertificate(Exception):
    """Files that are not a certificate with its key; the text says why."""


@attrs.frozen(eq=False)
class Certificate:
    """A key, its certificate with chain, and the names these are for."""

    names: frozenset[str]  # in lower case; ``*.example.org`` for all one level below
    until: datetime
    context: SSL.Context


@implementer(IOpenSSLServerConnectionCreator, ILifetime)
class Certificates:
    """What ``startTLS`` takes: a context for every name, made anew when files change.

    The files are read when this is made, so that it can be done before
    privileges are dropped; later changes have to be readable without them.  A
    file that has become bad is logged, and what it held before stays in use.
    """

    log = Logger()

    def __init__(self, settings: TlsSettings, house: House, clock: IReactorTime) -> None:
        self._folder = settings.certificates
        self._default_name = (settings.default or house.hostname).lower()
        self._interval = settings.check_every.total_seconds()
        self._clock = clock
        self._call: IDelayedCall | None = None
        self._read_at = clock.seconds()
        self._seen: object = None
        self._certificates: dict[str, Certificate] = {}
        self._by_name: dict[str, Certificate] = {}
        self.reload()
        if not self._certificates:
            raise ConfigError(
                f"there is no usable certificate in {self._folder}; put one there "
                "(NAME.pem with key and chain), or make one by `mailplat init`"
            )

    # Its life.

    async def prepare(self) -> None:
        """Begin to look for changes."""
        self._call = self._clock.callLater(self._interval, self._look)

    async def finish(self) -> None:
        """Look no more."""
        if self._call:
            self._call.cancel()
            self._call = None

    def reload(self) -> None:
        """Read the files again if they have changed, or the tickets have grown old."""
        seen = _signature(self._folder)
        old = self._clock.seconds() - self._read_at >= RENEW_TICKETS_AFTER
        if seen == self._seen and not old:
            return
        self._seen, self._read_at = seen, self._clock.seconds()
        certificates = dict(self._read())
        if not certificates and self._certificates:
            self.log.error("{folder} is empty; what it held stays in use", folder=self._folder)
            return
        self._certificates, self._by_name = certificates, _by_name(certificates)

    def _look(self) -> None:
        self._call = self._clock.callLater(self._interval, self._look)
        self.reload()

    def _read(self) -> Iterator[tuple[str, Certificate]]:
        for name, files in sorted(_groups(self._folder).items()):
            try:
                certificate = self._load(files)
            except (BadCertificate, OSError) as problem:
                kept = self._certificates.get(name)
                self.log.error(
                    "certificate {name} in {folder} can't be used: {problem}{kept}",
                    name=name,
                    folder=self._folder,
                    problem=problem,
                    kept="; the one from before is kept" if kept else "",
                )
                if kept:
                    yield name, kept
            else:
                yield name, certificate

    def _load(self, files: Sequence[Path]) -> Certificate:
        certificate = load(b"\n".join(file.read_bytes() for file in files))
        certificate.context.set_tlsext_servername_callback(self._choose)
        return certificate

    # Its use.

    @property
    def names(self) -> frozenset[str]:
        """Every name that there is a certificate for."""
        return frozenset(self._by_name)

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Begin with the default certificate; the client's SNI may ask for another."""
        return SSL.Connection(self._find(self._default_name).context, None)

    def _choose(self, connection: SSL.Connection) -> None:
        name = connection.get_servername()
        if name:
            connection.set_context(self._find(name.decode("ascii", "replace").lower()).context)

    def _find(self, name: str) -> Certificate:
        """Return the certificate for a name, else the default one (RFC 6125 section 6.4.3)."""
        for asked in (name, self._default_name):
            wildcard = "*." + asked.partition(".")[2]
            if found := self._by_name.get(asked) or self._by_name.get(wildcard):
                return found
        return next(iter(self._certificates.values()))


# Files.


def _groups(folder: Path) -> dict[str, list[Path]]:
    """Return the files that belong together, by the name they have in common."""
    groups: dict[str, list[Path]] = {}
    for file in _files(folder):
        name = file.stem if file.parent == folder else file.parent.name + os.sep
        groups.setdefault(name, []).append(file)
    return dict(sorted(groups.items())[:MOST])


def _files(folder: Path) -> list[Path]:
    found = [*folder.glob("*"), *folder.glob("*/*")]
    return sorted(f for f in found if f.suffix in ENDINGS and f.name[0] != "." and f.is_file())


def _signature(folder: Path) -> object:
    stats = []
    for file in _files(folder):
        try:
            stat = file.stat()
        except OSError:
            continue
        stats.append((file, stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return stats


def _by_name(certificates: Mapping[str, Certificate]) -> dict[str, Certificate]:
    """Return certificates by what they are for; where there are two, what lasts longer."""
    by_until = sorted(certificates.values(), key=lambda certificate: certificate.until)
    return {name: certificate for certificate in by_until for name in certificate.names}


# One certificate.


def load(pem: bytes) -> Certificate:
    """Make a certificate of PEM blocks: one key, its certificate, its chain, in any order.

    Raises `BadCertificate`.
    """
    try:
        key, own, chain = _sorted_out(pem)
        context = _context()
        context.use_certificate(own)
        context.use_privatekey(key)
        for above in chain:
            context.add_extra_chain_cert(above)
        context.check_privatekey()
    except (ValueError, TypeError, UnsupportedAlgorithm, SSL.Error) as problem:
        raise BadCertificate(str(problem) or repr(problem)) from problem
    return Certificate(_names(own), own.not_valid_after_utc, context)


def _sorted_out(
    pem: bytes,
) -> tuple[Key, x509.Certificate, list[x509.Certificate]]:
    blocks = list(dict.fromkeys(match[0] for match in _BLOCK.finditer(pem)))
    keys = [block for block in blocks if b"PRIVATE KEY-----" in block[:64]]
    found = [
        x509.load_pem_x509_certificate(block)
        for block in blocks
        if block.startswith(b"-----BEGIN CERTIFICATE-----")
    ]
    if len(keys) != 1:
        raise BadCertificate(f"there are {len(keys)} private keys and not one")
    key = load_pem_private_key(keys[0], None)
    if not isinstance(key, Key):
        raise BadCertificate("the private key is of a kind that TLS does not use")
    mine = _public(key)
    own = [c for c in found if _public(c) == mine]
    if not own:
        raise BadCertificate("there is no certificate for the private key")
    return key, own[0], [c for c in found if _public(c) != mine]


def _public(holder: Key | x509.Certificate) -> bytes:
    public = holder.public_key()
    octets: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return octets


def _names(certificate: x509.Certificate) -> frozenset[str]:
    """Return the DNS names a certificate is for (RFC 6125 section 6.4.4)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return frozenset(str(attribute.value).lower() for attribute in common)
    return frozenset(name.lower() for name in names.value.get_values_for_type(x509.DNSName))


def _context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(OPTIONS)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(CIPHERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_alpn_select_callback(_no_alpn)
    return context


def _no_alpn(
    _connection: SSL.Connection, _offered: list[bytes]
) -> bytes | SSL._NoOverlappingProtocols:
    """Go on without ALPN: the answer that Twisted's own contexts give ends the handshake."""
    return SSL.NO_OVERLAPPING_PROTOCOLS


# Making one.


def make_self_signed(names: Sequence[str], now: datetime, days: int = 3650) -> bytes:
    """Return a new P-256 key and a certificate for ``names`` that it signed itself, as PEM.

    Clients have to be told to trust it: it is for trying out, and for servers
    in front of which nobody checks certificates.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_san(name) for name in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem + certificate.public_bytes(Encoding.PEM)


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


# Channel binding.


def channel_binding(tls: SSL.Connection, kind: str) -> bytes:
    """Return what ties a SASL exchange to its connection; `LookupError` for unknown kinds.

    ``tls-exporter`` (RFC 9266) is for TLS 1.3; ``tls-server-end-point``
    (RFC 5929 section 4) for every version.
    """
    if kind == "tls-exporter" and tls.get_protocol_version() >= SSL.TLS1_3_VERSION:
        return tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
    own = tls.get_certificate(as_cryptography=True)
    if kind == "tls-server-end-point" and own is not None:
        algorithm = own.signature_hash_algorithm
        name = algorithm.name if algorithm else "sha256"
        name = "sha256" if name in ("md5", "sha1") else name
        return hashlib.new(name, own.public_bytes(Encoding.DER)).digest()
    raise LookupError(kind)
