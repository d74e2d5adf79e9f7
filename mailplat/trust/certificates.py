"""Reads certificates, and follows them from a host's own to one that is trusted (RFC 5280, 9525)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import NameOID

from mailplat.trust.tlsrpt import ResultType

MOST_CERTIFICATES = 20  # of a chain that are looked at
WEAK = ("md5", "sha1")  # hashes by which nobody proves anything any more

SignerKey = PublicKeyTypes
A = TypeVar("A")

_BROKEN = (ValueError, TypeError, UnsupportedAlgorithm)
_UNDERSTOOD = (  # extensions that an authority's certificate may call critical
    x509.BasicConstraints.oid,
    x509.KeyUsage.oid,
    x509.ExtendedKeyUsage.oid,
    x509.CertificatePolicies.oid,
)


class NotAuthentic(Exception):
    """A host has not proven who it is; ``result`` is what a report says of it (RFC 8460)."""

    def __init__(self, detail: str, result: ResultType) -> None:
        super().__init__(detail)
        self.result = result


# Octets ----------------------------------------------------------------------


def key_info(certificate: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a certificate, octet by octet as it has it.

    Empty for what is no certificate.  Nothing else in it is looked at, so that a
    key can be compared that stands in an odd certificate (RFC 5280 section 4.1).
    """
    try:
        signed = next(_elements(next(_elements(certificate))[1]))[1]
        elements = [whole for whole, _ in _elements(signed)]
    except (StopIteration, ValueError):
        return b""
    at = 6 if elements and elements[0][:1] == b"\xa0" else 5  # behind an explicit version
    return elements[at] if len(elements) > at else b""


def _elements(octets: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each element of DER as a whole, and what is in it; raises `ValueError`."""
    at = 0
    while at < len(octets):
        start, length = at, octets[at + 1 : at + 2]
        if not length:
            raise ValueError("cut off")
        at += 2
        size = length[0]
        if size > 0x84 or size == 0x80:
            raise ValueError("no length")
        if size > 0x80:
            digits = octets[at : at + size - 0x80]
            at += size - 0x80
            size = int.from_bytes(digits)
        if at + size > len(octets):
            raise ValueError("cut off")
        yield octets[start : at + size], octets[at : at + size]
        at += size


# Names -----------------------------------------------------------------------


def check_name(certificate: bytes, names: Sequence[str]) -> None:
    """Raise `NotAuthentic` unless a certificate is for one of these hosts."""
    try:
        given = names_of(x509.load_der_x509_certificate(certificate))
    except _BROKEN:
        given = []
    if not any(is_for(pattern, name) for pattern in given for name in names):
        raise NotAuthentic(
            f"its certificate is for {', '.join(given)[:200] or 'nobody'}",
            ResultType.CERTIFICATE_HOST_MISMATCH,
        )


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the hosts that a certificate is for.

    The common name counts only where there is no alternative name of a host
    (RFC 7672 section 3.2.3).
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    if names:
        return names
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [str(one.value) for one in common[-1:]]


def is_for(pattern: str, host: str) -> bool:
    """Say whether a name, or a wildcard for one whole label, means a host (RFC 9525 section 6.3)."""
    pattern, host = pattern.lower().removesuffix("."), host.lower().removesuffix(".")
    if pattern.startswith("*."):
        label, _, rest = host.partition(".")
        return bool(label) and "." in rest and rest == pattern[2:]
    return bool(host) and pattern == host


# Paths -----------------------------------------------------------------------


def check_path(
    certificates: Sequence[bytes],
    anchor_of: Callable[[bytes], A | None],
    signers: Sequence[tuple[SignerKey, A]],
    now: datetime,
) -> A:
    """Return the anchor to which the first certificate leads by the others.

    ``anchor_of`` says which certificates are trusted, ``signers`` are keys that
    are.  Each certificate is followed once, so that no set of them costs more
    than its square.  Raises `NotAuthentic`.
    """
    read = _read(certificates[:MOST_CERTIFICATES])
    if not read or read[0][0] != certificates[0]:
        raise NotAuthentic("its certificate can't be read", ResultType.VALIDATION_FAILURE)
    waiting, seen = [(0, -1)], {0}  # with how many authorities there are below
    has_expired = False
    while waiting:
        place, below = waiting.pop()
        certificate = read[place][1]
        if not _is_valid(certificate, now):
            has_expired = True
            continue
        for key, anchor in signers:
            if signed_by(certificate, key):
                return anchor
        for above, (octets, issuer) in enumerate(read):
            if above in seen or not _may_issue(issuer, certificate, below + 1):
                continue
            seen.add(above)
            if (found := anchor_of(octets)) is not None and _is_valid(issuer, now):
                return found
            waiting.append((above, below + 1))
    if has_expired:
        raise NotAuthentic("a certificate is out of date", ResultType.CERTIFICATE_EXPIRED)
    raise NotAuthentic(
        "its certificates lead to none that was published", ResultType.CERTIFICATE_NOT_TRUSTED
    )


def _read(certificates: Sequence[bytes]) -> list[tuple[bytes, x509.Certificate]]:
    read = []
    for octets in dict.fromkeys(certificates):
        try:
            read.append((octets, x509.load_der_x509_certificate(octets)))
        except _BROKEN:
            continue
    return read


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _may_issue(issuer: x509.Certificate, certificate: x509.Certificate, below: int) -> bool:
    """Say whether one certificate has signed another, and is that of an authority.

    ``below`` is how many authorities are between it and the host (RFC 5280
    section 6.1.4).
    """
    try:
        return (
            issuer.subject == certificate.issuer
            and _is_authority(issuer, below)
            and signed_by(certificate, issuer.public_key())
        )
    except _BROKEN:
        return False


def _is_authority(certificate: x509.Certificate, below: int) -> bool:
    if certificate.version is x509.Version.v1:
        return certificate.subject == certificate.issuer  # it could not say so
    found = {one.oid: one for one in certificate.extensions}
    if any(one.critical and oid not in _UNDERSTOOD for oid, one in found.items()):
        return False
    constraints = found.get(x509.BasicConstraints.oid)
    usage = found.get(x509.KeyUsage.oid)
    if constraints is None or not constraints.value.ca:
        return False
    if usage is not None and not usage.value.key_cert_sign:
        return False
    most = constraints.value.path_length
    return most is None or below <= most


def signed_by(certificate: x509.Certificate, key: SignerKey) -> bool:
    """Say whether a key has signed a certificate, by a hash that still counts."""
    try:
        how = certificate.signature_hash_algorithm
        if how is not None and how.name in WEAK:
            return False
        signed = certificate.signature, certificate.tbs_certificate_bytes
        parameters = certificate.signature_algorithm_parameters
        if (
            isinstance(key, RSAPublicKey)
            and how
            and not isinstance(parameters, (ECDSA, type(None)))
        ):
            key.verify(*signed, parameters, how)
        elif isinstance(key, EllipticCurvePublicKey) and isinstance(parameters, ECDSA):
            key.verify(*signed, parameters)
        elif isinstance(key, (Ed25519PublicKey, Ed448PublicKey)):
            key.verify(*signed)
        else:
            return False
    except (InvalidSignature, *_BROKEN):
        return False
    return True
