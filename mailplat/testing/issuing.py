"""Certificates for tests, good and bad ones, and the TLSA records that fit them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha512
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from mailplat.mail.dns import Tlsa

NOW = datetime(2026, 11, 28, tzinfo=UTC)


@attrs.frozen
class Issued:
    """A certificate with its key, of whatever kind."""

    key: Any
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def spki(self) -> bytes:
        """Its public key."""
        octets: bytes = self.key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return octets

    @property
    def pem(self) -> bytes:
        """The certificate, as files have it."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def secret(self) -> bytes:
        """The private key, as files have it."""
        octets: bytes = self.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        return octets

    def record(self, usage: int, selector: int = 1, matching: int = 1) -> Tlsa:
        """Return a TLSA record for it (RFC 6698 section 2.1)."""
        what = self.spki if selector else self.der
        data = [what, sha256(what).digest(), sha512(what).digest()][matching]
        return Tlsa(usage, selector, matching, data)


def issue(
    name: str,
    by: Issued | None = None,
    *,
    ca: bool = False,
    hosts: Sequence[str] = (),
    key: Any = None,
    days: int = 365,
    begin: int = -30,
    path_length: int | None = None,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Issued:
    """Issue a certificate, by its own key unless ``by`` somebody; days are from `NOW`."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=begin))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, path_length if ca else None), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical=critical)
    signer = by.key if by else key
    how = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(key, builder.sign(signer, how))
