"""Says by TLSA records whether a host is who it says (RFC 6698, 7671, 7672).

Whoever asks has proven by DNSSEC that the records, and all that led to them,
are the domain's own; without that proof there is nothing to judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import IntEnum
from hashlib import sha256, sha512
from typing import Self

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mailplat.mail.dns import Tlsa
from mailplat.trust.certificates import (
    NotAuthentic,
    SignerKey,
    check_name,
    check_path,
    key_info,
)
from mailplat.trust.tlsrpt import ResultType

MOST_RECORDS = 100  # that are looked at of one host


class Usage(IntEnum):
    """What a record's certificate is for (RFC 6698 section 2.1.1, RFC 7218)."""

    PKIX_TA = 0
    PKIX_EE = 1
    DANE_TA = 2
    DANE_EE = 3


class Selector(IntEnum):
    """What of a certificate is compared (section 2.1.2)."""

    CERT = 0
    SPKI = 1


class Matching(IntEnum):
    """How it is compared (section 2.1.3)."""

    FULL = 0
    SHA2_256 = 1
    SHA2_512 = 2


_LENGTHS: dict[int, int] = {Matching.SHA2_256: 32, Matching.SHA2_512: 64}  # octets


# Records ---------------------------------------------------------------------


def is_usable(record: Tlsa) -> bool:
    """Say whether SMTP can go by a record (RFC 7672 sections 3.1.1 to 3.1.3).

    Usages that would need a list of certificate authorities are of no use here;
    so is what is malformed.
    """
    if record.usage not in (Usage.DANE_TA, Usage.DANE_EE) or record.selector > Selector.SPKI:
        return False
    if record.matching == Matching.FULL:
        return _holds_what_it_says(record)
    return len(record.octets) == _LENGTHS.get(record.matching)


def _holds_what_it_says(record: Tlsa) -> bool:
    try:
        if record.selector == Selector.CERT:
            x509.load_der_x509_certificate(record.octets).public_key()
        else:
            load_der_public_key(record.octets)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def matches(record: Tlsa, certificate: bytes) -> bool:
    """Say whether a certificate, in DER, is the one that a record means."""
    found = certificate if record.selector == Selector.CERT else key_info(certificate)
    if record.matching == Matching.SHA2_256:
        found = sha256(found).digest()
    elif record.matching == Matching.SHA2_512:
        found = sha512(found).digest()
    return found == record.octets


def text_of(record: Tlsa) -> str:
    """Return a record as zone files and reports have it (RFC 6698 section 2.2)."""
    return f"{record.usage} {record.selector} {record.matching} {record.octets.hex()}"


# Judging ---------------------------------------------------------------------


@attrs.frozen
class TlsaPolicy:
    """What all records of a host ask for.

    ``published`` are all of them, ``usable`` those that count: of records that
    differ in nothing but the digest, only those with the strongest (RFC 7671
    section 9).
    """

    published: tuple[Tlsa, ...]
    usable: tuple[Tlsa, ...]

    @classmethod
    def of(cls, records: Sequence[Tlsa]) -> Self:
        """Return what proven records ask for."""
        published = tuple(records[:MOST_RECORDS])
        usable = [one for one in published if is_usable(one)]
        strongest: dict[tuple[int, int], int] = {}
        for one in usable:
            kind = one.usage, one.selector
            strongest[kind] = max(strongest.get(kind, 0), one.matching)
        return cls(
            published,
            tuple(
                one
                for one in usable
                if one.matching in (Matching.FULL, strongest[one.usage, one.selector])
            ),
        )

    @property
    def needs_tls(self) -> bool:
        """Whether nothing may be sent without TLS (RFC 7672 section 2.2)."""
        return bool(self.published)

    @property
    def authenticates(self) -> bool:
        """Whether the host has to prove who it is; else any certificate will do."""
        return bool(self.usable)

    def check(self, chain: Sequence[bytes], names: Sequence[str], now: datetime) -> Tlsa | None:
        """Return the record by which a host is who it says; raises `NotAuthentic`.

        ``chain`` are the certificates that it has shown, in DER, its own first.
        ``names`` are those under which it may be known, in A-labels: the host
        that the records belong to, and the domain whose mail it takes (RFC 7672
        section 3.2.2).  None says that no record could be used, and that TLS as
        such is enough.
        """
        if not self.usable:
            return None
        if not chain:
            raise NotAuthentic("it has shown no certificate", ResultType.VALIDATION_FAILURE)
        for record in self.usable:
            if record.usage == Usage.DANE_EE and matches(record, chain[0]):
                return record  # whatever its names and dates (RFC 7672 section 3.1.1)
        anchors = [one for one in self.usable if one.usage == Usage.DANE_TA]
        if not anchors:
            raise NotAuthentic(
                "its certificate is not the one that was published",
                ResultType.VALIDATION_FAILURE,
            )
        return _check_anchors(anchors, chain, names, now)


def _check_anchors(
    anchors: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: datetime
) -> Tlsa:
    """Return the record that a chain leads to (RFC 7671 section 5.2, RFC 7672 section 3.1.2)."""
    whole = [one for one in anchors if one.matching == Matching.FULL]
    published = [one.octets for one in whole if one.selector == Selector.CERT]

    def anchor_of(certificate: bytes) -> Tlsa | None:
        return next((one for one in anchors if matches(one, certificate)), None)

    found = check_path([*chain, *published], anchor_of, _signers(whole), now)
    check_name(chain[0], names)
    return found


def _signers(records: Iterable[Tlsa]) -> list[tuple[SignerKey, Tlsa]]:
    """Return the keys that are published as such, which need no certificate of their own."""
    return [
        (load_der_public_key(one.octets), one)
        for one in records
        if one.selector == Selector.SPKI
    ]
