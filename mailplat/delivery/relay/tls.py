"""TLS towards other hosts: what they show is kept, and judged afterwards."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailplat.mail.hops import Judge, Shown
from mailplat.plugin import ConfigError

LONGEST_CHAIN = 20  # certificates that are kept
_OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION


def new_context(trust: Path | None = None) -> SSL.Context:
    """Return a context that lets every handshake succeed and remembers what was wrong.

    ``trust`` is a file of certificates whose owners are believed, the system's if
    None.  Raises `ConfigError` if it can't be used.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(_OPTIONS)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_PEER, _remember)
    try:
        if trust is None:
            context.set_default_verify_paths()
        else:
            context.load_verify_locations(str(trust))
    except SSL.Error as problem:
        raise ConfigError(f"there are no certificates in {trust}: {problem}") from None
    return context


def _remember(
    connection: SSL.Connection, _certificate: Any, number: int, depth: int, ok: int
) -> bool:
    if not ok:
        _problems.setdefault(connection, f"error {number} at depth {depth} of its chain")
    return True


_problems: WeakKeyDictionary[SSL.Connection, str] = WeakKeyDictionary()


@implementer(IOpenSSLClientConnectionCreator)
class Client:
    """Begins TLS with a host, which is asked for by its name (RFC 6066 section 3)."""

    def __init__(self, context: SSL.Context, name: str) -> None:
        self._context = context
        self._name = name

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if self._name and not _is_address(self._name):
            connection.set_tlsext_host_name(self._name.encode("ascii"))
        return connection


def shown_by(connection: SSL.Connection) -> Shown:
    """Return what a server has shown in a handshake that is over."""
    chain = connection.get_peer_cert_chain(as_cryptography=True) or []
    problem = _problems.get(connection, "")
    return Shown(
        tuple(one.public_bytes(Encoding.DER) for one in chain[:LONGEST_CHAIN]),
        trusted=bool(chain) and not problem,
        problem=problem if chain else "it showed no certificate",
        version=connection.get_protocol_version_name(),
    )


def named(name: str) -> Judge:
    """Return a judge for a host of that name whose certificate a trusted authority has signed."""

    def judge(shown: Shown) -> str:
        if not shown.trusted:
            return f"its certificate isn't trusted: {shown.problem}"
        certificate = x509.load_der_x509_certificate(shown.chain[0])
        verify: Callable[[x509.Certificate, str], None] = verify_certificate_hostname
        if _is_address(name):
            verify = verify_certificate_ip_address
        try:
            verify(certificate, name)
        except (VerificationError, CertificateError, ValueError):
            return f"its certificate is not for {name}"
        return ""

    return judge


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
