"""Keys of DKIM: those that sign, and the records that tell the world of them (RFC 6376, 8301, 8463)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from enum import Enum
from typing import Self

import attrs
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from mailplat.mail.address import domain_of
from mailplat.mail.errors import BadAddress
from mailplat.mail.taglist import tags_of

LEAST_BITS = 1024  # of an RSA key that is believed (RFC 8301 section 3.2)
MOST_BITS = 8192  # of one that is tried at all
LONGEST_RECORD = 8192  # octets of a key's record that are read
LONGEST_STRING = 255  # octets of one string of a TXT record (RFC 1035 section 3.3)

_PADDING, _DIGEST = PKCS1v15(), Prehashed(SHA256())
_SELECTOR = re.compile(  # RFC 6376 section 3.1, RFC 5321 section 4.1.2
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?){0,9}"
)


class BadKey(ValueError):
    """What was given is no key that can be used; the text says why."""


class Algorithm(Enum):
    """How a signature is made (RFC 6376 section 3.3, RFC 8463 section 3)."""

    RSA_SHA256 = "rsa-sha256"
    ED25519_SHA256 = "ed25519-sha256"

    @property
    def key_type(self) -> str:
        """What k= of a key's record calls it."""
        return self.value.partition("-")[0]


# Private keys ----------------------------------------------------------------


@attrs.frozen(eq=False)
class SigningKey:
    """A private key, and the name in the DNS under which its public half is found."""

    domain: str
    selector: str
    _private: RSAPrivateKey | Ed25519PrivateKey = attrs.field(repr=False)

    @classmethod
    def read(cls, domain: str, selector: str, pem: bytes) -> Self:
        """Return the key that a PEM text holds; raises `BadKey`."""
        try:
            private = load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
            raise BadKey(f"no private key in PEM without a password: {problem}") from None
        return cls._of(domain, selector, private)

    @classmethod
    def new(cls, domain: str, selector: str, algorithm: Algorithm, bits: int = 2048) -> Self:
        """Make a new key; one of RSA takes a good part of a second, and has so many bits."""
        private: RSAPrivateKey | Ed25519PrivateKey = (
            generate_private_key(65537, bits)
            if algorithm is Algorithm.RSA_SHA256
            else Ed25519PrivateKey.generate()
        )
        return cls._of(domain, selector, private)

    @classmethod
    def _of(cls, domain: str, selector: str, private: object) -> Self:
        if not isinstance(private, (RSAPrivateKey, Ed25519PrivateKey)):
            raise BadKey("a key for DKIM is one of RSA or Ed25519")
        if isinstance(private, RSAPrivateKey) and private.key_size < LEAST_BITS:
            raise BadKey(f"an RSA key of {private.key_size} bits is believed by nobody")
        return cls(checked_domain(domain), checked_selector(selector), private)

    @property
    def name(self) -> str:
        """Where in the DNS the record is to be found (section 3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def algorithm(self) -> Algorithm:
        """How it signs."""
        if isinstance(self._private, RSAPrivateKey):
            return Algorithm.RSA_SHA256
        return Algorithm.ED25519_SHA256

    @property
    def bits(self) -> int:
        """How long it is."""
        return self._private.key_size if isinstance(self._private, RSAPrivateKey) else 256

    @property
    def pem(self) -> bytes:
        """The private key, to be kept where nobody else can read it."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def record(self) -> str:
        """The text to publish (section 3.6.1, RFC 8463 section 4)."""
        public = self._private.public_key()
        if isinstance(public, RSAPublicKey):
            octets = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            octets = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k={self.algorithm.key_type}; p={b64encode(octets).decode()}"

    def sign(self, digest: bytes) -> bytes:
        """Sign a SHA-256 digest."""
        if isinstance(self._private, RSAPrivateKey):
            return self._private.sign(digest, _PADDING, _DIGEST)
        return self._private.sign(digest)


def checked_domain(text: str) -> str:
    """Return a domain in its one spelling; raises `BadKey`."""
    try:
        domain = domain_of(text)
    except BadAddress as problem:
        raise BadKey(str(problem)) from None
    if domain.startswith("["):
        raise BadKey("an address literal has no keys")
    return domain


def checked_selector(text: str) -> str:
    """Return a selector in lower case; raises `BadKey`."""
    if not _SELECTOR.fullmatch(text) or len(text) > 100:
        raise BadKey(f"no selector, which is letters, digits and hyphens: {text[:100]!r}")
    return text.lower()


def strings_of_record(text: str) -> list[str]:
    """Return a record's text in the strings of which a TXT record consists."""
    return [text[at : at + LONGEST_STRING] for at in range(0, len(text), LONGEST_STRING)]


# Records ---------------------------------------------------------------------


@attrs.frozen
class PublicKey:
    """What a key's record says: the key, and for whom and what it counts (section 3.6.1).

    ``is_strict`` is the flag s: that i= may be in no subdomain of d=;
    ``is_test`` the flag y.
    """

    _key: RSAPublicKey | Ed25519PublicKey
    is_strict: bool = False
    is_test: bool = False

    @classmethod
    def read(cls, record: bytes) -> Self:
        """Return the key of a record; raises `BadKey` for all that doesn't count as one."""
        if len(record) > LONGEST_RECORD:
            raise BadKey(f"a record of {len(record)} octets")
        tags = tags_of(record)
        if not tags.is_sound:
            raise BadKey("no list of tags")
        if b"v" in tags.tags and (tags.first != b"v" or tags.raw(b"v") != b"DKIM1"):
            raise BadKey("another version")
        if b"p" not in tags.tags:
            raise BadKey("no key in it")
        if not tags.raw(b"p"):
            raise BadKey("the key has been revoked")
        if not _has(tags.value(b"h") or b"sha256", b"sha256"):
            raise BadKey("it is not for SHA-256")
        if not _has(tags.value(b"s") or b"*", b"*", b"email"):
            raise BadKey("it is not for mail")
        flags = tags.value(b"t").split(b":")
        key = _key_of(tags.value(b"k") or b"rsa", tags.value(b"p"))
        return cls(key, b"s" in flags, b"y" in flags)

    @property
    def algorithm(self) -> Algorithm:
        """How signatures for it are made."""
        if isinstance(self._key, RSAPublicKey):
            return Algorithm.RSA_SHA256
        return Algorithm.ED25519_SHA256

    def fits(self, signature: bytes, digest: bytes) -> bool:
        """Say whether a signature of a SHA-256 digest was made by this key's other half."""
        try:
            if isinstance(self._key, RSAPublicKey):
                self._key.verify(signature, digest, _PADDING, _DIGEST)
            else:
                self._key.verify(signature, digest)
        except InvalidSignature:
            return False
        return True


def _has(value: bytes, *words: bytes) -> bool:
    return not frozenset(words).isdisjoint(value.split(b":"))


def _key_of(kind: bytes, text: bytes) -> RSAPublicKey | Ed25519PublicKey:
    try:
        octets = b64decode(text, validate=True)
        if kind == b"ed25519":
            return Ed25519PublicKey.from_public_bytes(octets)
        key = load_der_public_key(octets) if kind == b"rsa" else None
    except (NotBase64, ValueError, UnsupportedAlgorithm) as problem:
        raise BadKey(f"no key that can be read: {problem}") from None
    if not isinstance(key, RSAPublicKey):
        raise BadKey(f"no key of a known kind: {kind[:32]!r}")
    if not LEAST_BITS <= key.key_size <= MOST_BITS:
        raise BadKey(f"an RSA key of {key.key_size} bits")
    return key
