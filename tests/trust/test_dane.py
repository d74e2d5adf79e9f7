"""TLSA records: which count, and which certificates fit them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.dns import Tlsa
from mailplat.testing.issuing import NOW, Issued, issue
from mailplat.trust.certificates import NotAuthentic, is_for, key_info
from mailplat.trust.dane import TlsaPolicy, is_usable, matches, text_of
from mailplat.trust.tlsrpt import ResultType

HOST = "mx.example.org"
CERT, SPKI = 0, 1


ROOT = issue("root", ca=True, key=rsa.generate_private_key(65537, 2048))
MIDDLE = issue("middle", ROOT, ca=True, key=ed25519.Ed25519PrivateKey.generate())
LEAF = issue("leaf", MIDDLE, hosts=[HOST])
OTHER = issue("other", hosts=["other.example.net"])
CHAIN = [LEAF.der, MIDDLE.der, ROOT.der]


def judged(
    records: Sequence[Tlsa],
    chain: Sequence[bytes] = CHAIN,
    names: Sequence[str] = (HOST,),
    now: datetime = NOW,
) -> ResultType | None:
    """Return why a host is refused; None if it isn't."""
    try:
        TlsaPolicy.of(records).check(chain, names, now)
    except NotAuthentic as problem:
        return problem.result
    return None


# Which records count ---------------------------------------------------------


@pytest.mark.parametrize("selector", [CERT, SPKI])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_usable_records(selector: int, matching: int) -> None:
    for usage in range(5):
        record = LEAF.record(usage, selector, matching)
        assert is_usable(record) is (usage in (2, 3))
        assert matches(record, LEAF.der)
        assert not matches(record, MIDDLE.der)


@pytest.mark.parametrize(
    "record",
    [
        Tlsa(3, 1, 1, b""),
        Tlsa(3, 1, 1, b"x" * 31),
        Tlsa(3, 1, 1, b"x" * 33),
        Tlsa(3, 1, 2, b"x" * 32),
        Tlsa(3, 1, 3, b"x" * 32),
        Tlsa(3, 2, 1, b"x" * 32),
        Tlsa(255, 1, 1, b"x" * 32),
        Tlsa(0, 1, 1, b"x" * 32),
        Tlsa(1, 1, 1, b"x" * 32),
        Tlsa(3, 0, 0, b""),
        Tlsa(3, 0, 0, b"x" * 200),
        Tlsa(2, 1, 0, b"x" * 200),
        Tlsa(3, 0, 0, LEAF.der[:-1]),
    ],
)
def test_unusable_records_ask_for_tls_and_no_more(record: Tlsa) -> None:
    policy = TlsaPolicy.of([record])
    assert policy.needs_tls
    assert not policy.authenticates
    assert policy.check([OTHER.der], [HOST], NOW) is None
    assert policy.check([], [HOST], NOW) is None


def test_without_records_nothing_is_asked_for() -> None:
    assert not TlsaPolicy.of([]).needs_tls


def test_the_strongest_digest_counts() -> None:
    """RFC 7671 section 9: for each usage and selector; full data always."""
    weak, strong = OTHER.record(3, SPKI, 1), LEAF.record(3, SPKI, 2)
    assert judged([weak, strong], [OTHER.der]) is ResultType.VALIDATION_FAILURE
    assert judged([weak, strong]) is None
    assert judged([OTHER.record(3, CERT, 1), strong], [OTHER.der]) is None
    assert judged([OTHER.record(3, SPKI, 0), strong], [OTHER.der]) is None
    assert judged([OTHER.record(3, SPKI, 1), Tlsa(3, 1, 2, b"broken")], [OTHER.der]) is None


def test_how_a_record_is_shown() -> None:
    assert text_of(Tlsa(3, 1, 1, b"\xab\xcd")) == "3 1 1 abcd"


# DANE-EE ---------------------------------------------------------------------


def test_a_published_certificate_needs_nothing_else() -> None:
    """Neither name nor dates nor a chain (RFC 7672 section 3.1.1)."""
    old = issue("old", begin=-900, days=-400)
    for selector in (CERT, SPKI):
        for matching in (0, 1, 2):
            record = old.record(3, selector, matching)
            assert judged([record], [old.der], ["elsewhere.example"]) is None
            assert judged([record]) is ResultType.VALIDATION_FAILURE
            assert judged([LEAF.record(3, selector, matching), record]) is None


def test_only_the_hosts_own_certificate_counts() -> None:
    assert judged([MIDDLE.record(3)]) is ResultType.VALIDATION_FAILURE
    assert judged([LEAF.record(3)], []) is ResultType.VALIDATION_FAILURE


def test_an_odd_certificate_can_be_published() -> None:
    broken = LEAF.der[:-20] + b"\0" * 20
    assert judged([Tlsa(3, 0, 1, sha256(broken).digest())], [broken]) is None
    assert judged([LEAF.record(3, SPKI)], [broken]) is None
    assert judged([LEAF.record(3, SPKI)], [b"no certificate"]) is ResultType.VALIDATION_FAILURE


# DANE-TA ---------------------------------------------------------------------


@pytest.mark.parametrize("selector", [CERT, SPKI])
@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("anchor", [MIDDLE, ROOT])
def test_a_published_authority(anchor: Issued, selector: int, matching: int) -> None:
    record = anchor.record(2, selector, matching)
    assert judged([record]) is None
    assert judged([record], [LEAF.der, ROOT.der, OTHER.der, MIDDLE.der]) is None
    assert judged([record], [OTHER.der]) is ResultType.CERTIFICATE_NOT_TRUSTED
    assert judged([record], names=["x.example"]) is ResultType.CERTIFICATE_HOST_MISMATCH
    assert judged([record], names=["x.example", HOST.upper()]) is None


def test_an_authority_may_be_published_whole_and_not_shown() -> None:
    for selector in (CERT, SPKI):
        assert judged([MIDDLE.record(2, selector, 0)], [LEAF.der]) is None
        assert judged([ROOT.record(2, selector, 0)], [LEAF.der, MIDDLE.der]) is None
    for matching in (1, 2):
        record = MIDDLE.record(2, CERT, matching)
        assert judged([record], [LEAF.der]) is ResultType.CERTIFICATE_NOT_TRUSTED


def test_the_hosts_own_certificate_is_no_authority() -> None:
    alone = issue("alone", hosts=[HOST], ca=True)
    for record in (alone.record(2, CERT, 1), alone.record(2, CERT, 0)):
        assert judged([record], [alone.der, alone.der]) is ResultType.CERTIFICATE_NOT_TRUSTED


def test_dates_count() -> None:
    late = NOW + timedelta(days=366)
    assert judged([ROOT.record(2)], now=late) is ResultType.CERTIFICATE_EXPIRED
    early = NOW - timedelta(days=31)
    assert judged([ROOT.record(2)], now=early) is ResultType.CERTIFICATE_EXPIRED
    old = issue("old", ca=True, days=-1)
    leaf = issue("leaf", old, hosts=[HOST])
    assert judged([old.record(2)], [leaf.der, old.der]) is ResultType.CERTIFICATE_EXPIRED


USAGE = x509.KeyUsage(True, *[False] * 8)
CONSTRAINTS = x509.NameConstraints([x509.DNSName("example.net")], None)


@pytest.mark.parametrize(
    "middle",
    [
        issue("middle", ROOT),
        issue("middle", ROOT, ca=True, more=[(USAGE, True)]),
        issue("middle", ROOT, ca=True, more=[(CONSTRAINTS, True)]),
        issue("middle", issue("root", ca=True), ca=True),
        issue("middle", issue("root", ca=True, path_length=0), ca=True),
    ],
    ids=["no authority", "may not sign", "constrained", "another root", "another root 2"],
)
def test_who_may_issue(middle: Issued) -> None:
    leaf = issue("leaf", middle, hosts=[HOST])
    chain = [leaf.der, middle.der, ROOT.der]
    assert judged([ROOT.record(2)], chain) is ResultType.CERTIFICATE_NOT_TRUSTED


def test_how_many_authorities_there_may_be() -> None:
    root = issue("root", ca=True, path_length=0)
    middle = issue("middle", root, ca=True)
    leaf, direct = issue("leaf", middle, hosts=[HOST]), issue("leaf", root, hosts=[HOST])
    assert judged([root.record(2)], [direct.der, root.der]) is None
    problem = judged([root.record(2)], [leaf.der, middle.der, root.der])
    assert problem is ResultType.CERTIFICATE_NOT_TRUSTED


def test_a_cross_signed_authority_is_found_either_way() -> None:
    cross = issue("middle", OTHER, ca=True, key=MIDDLE.key)
    for chain in (
        [LEAF.der, cross.der, MIDDLE.der, ROOT.der],
        [LEAF.der, MIDDLE.der, cross.der],
    ):
        assert judged([MIDDLE.record(2, CERT)], chain) is None
    chain = [LEAF.der, cross.der, MIDDLE.der, ROOT.der]
    assert judged([ROOT.record(2)], chain) is None


def test_many_certificates_cost_little() -> None:
    circle = [issue("a", MIDDLE, ca=True, key=ed25519.Ed25519PrivateKey.generate())]
    for _ in range(40):
        key = ed25519.Ed25519PrivateKey.generate()
        circle.append(issue("a", circle[-1], ca=True, key=key))
    chain = [one.der for one in reversed(circle)]
    assert judged([ROOT.record(2)], chain) is ResultType.CERTIFICATE_NOT_TRUSTED


@pytest.mark.parametrize(
    ("hosts", "name", "fits"),
    [
        (["*.example.org"], HOST, True),
        (["*.EXAMPLE.org"], HOST, True),
        (["*.org"], HOST, False),
        (["*"], HOST, False),
        (["m*.example.org"], HOST, False),
        (["*.mx.example.org"], HOST, False),
        (["example.org"], HOST, False),
        (["a.example", HOST], HOST, True),
        ([], "leaf", True),  # the common name, where there is nothing else
        (["a.example"], "leaf", False),
    ],
)
def test_names(hosts: Sequence[str], name: str, fits: bool) -> None:
    leaf = issue("leaf", ROOT, hosts=hosts)
    problem = judged([ROOT.record(2)], [leaf.der, ROOT.der], [name])
    assert problem is (None if fits else ResultType.CERTIFICATE_HOST_MISMATCH)


def test_a_wildcard_is_no_public_suffix() -> None:
    assert not is_for("*.org", "example.org")
    assert not is_for("*.", "org")
    assert not is_for("", "")


# Whatever comes --------------------------------------------------------------


@pytest.mark.parametrize("issued", [ROOT, MIDDLE, LEAF, OTHER])
def test_the_key_is_found_in_a_certificate(issued: Issued) -> None:
    assert key_info(issued.der) == issued.spki
    for cut in range(0, len(issued.der), 7):
        key_info(issued.der[:cut])


@given(st.binary(max_size=100), st.integers(0, len(LEAF.der)))
def test_any_octets_can_be_judged(octets: bytes, at: int) -> None:
    changed = LEAF.der[:at] + octets + LEAF.der[at + len(octets) :]
    key_info(octets)
    key_info(changed)
    for records in ([ROOT.record(2)], [MIDDLE.record(2, CERT, 0)], [Tlsa(2, 0, 0, octets)]):
        judged(records, [changed, MIDDLE.der, ROOT.der])
        judged(records, [LEAF.der, changed, octets])


SMALL = st.integers(0, 4)


@given(st.lists(st.builds(Tlsa, SMALL, SMALL, SMALL, st.binary(max_size=66)), max_size=5))
def test_any_records_can_be_read(records: list[Tlsa]) -> None:
    policy = TlsaPolicy.of(records)
    assert len(policy.published) == len(records)
    assert all(map(is_usable, policy.usable))
