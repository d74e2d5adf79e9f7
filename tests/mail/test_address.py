"""Addresses: what parses, into what, and when two are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.address import POSTMASTER, Address, domain_of, shown_domain
from mailplat.mail.errors import BadAddress


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("alice@example.org", "alice", "example.org"),
        ("Alice@EXAMPLE.org.", "Alice", "example.org"),
        ("a.b+c@example.org", "a.b+c", "example.org"),
        ('"a b"@example.org', "a b", "example.org"),
        (r'"a\"\\b"@example.org', 'a"\\b', "example.org"),
        ('"a@b"@example.org', "a@b", "example.org"),
        ("alice@[127.0.0.1]", "alice", "[127.0.0.1]"),
        ("alice@[IPv6:2001:DB8:0::1]", "alice", "[IPv6:2001:db8::1]"),
        ("jürgen@bücher.example", "jürgen", "xn--bcher-kva.example"),
        ("x@xn--bcher-kva.example", "x", "xn--bcher-kva.example"),
        ("a%b!c@example.org", "a%b!c", "example.org"),
    ],
)
def test_what_parses(text: str, local: str, domain: str) -> None:
    assert Address.parse(text) == Address(local, domain)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "alice",
        "alice@",
        "@example.org",
        '""@example.org',
        ".a@example.org",
        "a.@example.org",
        "a..b@example.org",
        "a b@example.org",
        "a@b@example.org",
        '"a"b@example.org',
        '"a@example.org',
        "a@-example.org",
        "a@example-.org",
        "a@exa_mple.org",
        "a@example..org",
        "a@[300.1.1.1]",
        "a@[IPv6:zz]",
        "a@[127.0.0.1",
        "a@" + "x" * 64 + ".org",
        "a@" + "x." * 130 + "org",
        "a" * 65 + "@example.org",
        "a\r\nb@example.org",
        "a\0@example.org",
        "a@exam\nple.org",
    ],
)
def test_what_does_not(text: str) -> None:
    with pytest.raises(BadAddress):
        Address.parse(text)


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Nothing but `BadAddress` comes out, and what parses is written and read again."""
    try:
        address = Address.parse(text)
    except BadAddress:
        return
    assert Address.parse(str(address)) == address


@given(st.text(st.characters(max_codepoint=127, categories=("L", "P", "S", "Zs")), min_size=1))
def test_any_local_part_can_be_written(local: str) -> None:
    address = Address(local[:64], "example.org")
    assert Address.parse(str(address)) == address


def test_local_mailboxes_are_the_same_without_case() -> None:
    assert Address.parse("Alice@Example.ORG").key == Address.parse("alice@example.org").key


def test_postmaster_stands_alone() -> None:
    assert str(POSTMASTER) == "postmaster"


def test_one_spelling_of_a_domain() -> None:
    assert domain_of("BÜCHER.example") == domain_of("xn--BCHER-kva.example.")


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        ("example.org", "example.org"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("XN--BCHER-KVA.xn--p1ai", "bücher.рф"),
        ("a.xn--zz--zz.xn--", "a.xn--zz--zz.xn--"),
        ("xn--a-ecp.ru", "xn--a-ecp.ru"),  # what IDNA 2008 forbids
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("", ""),
    ],
)
def test_domains_are_shown_in_u_labels(domain: str, text: str) -> None:
    assert shown_domain(domain) == text


def test_addresses_are_shown_with_domains_in_u_labels() -> None:
    assert Address.parse('"a b"@bücher.example').shown == '"a b"@bücher.example'
    assert POSTMASTER.shown == "postmaster"


def test_local_parts_are_the_same_however_they_are_composed() -> None:
    assert Address("JU\u0308", "b").key == Address("jü", "b").key


@given(st.text(max_size=300))
def test_any_domain_can_be_shown(text: str) -> None:
    shown_domain(text)
    try:
        domain = domain_of(text)
    except BadAddress:
        return
    assert domain_of(shown_domain(domain)) == domain


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("a..b@example.org", "a..b", "example.org"),
        ("a.@Example.ORG", "a.", "example.org"),
        (".a@example.org.", ".a", "example.org"),
        ("x" * 200 + "@example.org", "x" * 200, "example.org"),
        ("a@mail_1.Example.org", "a", "mail_1.example.org"),
        ("a@_dmarc._x.org", "a", "_dmarc._x.org"),
        ('"a b"@example.org', "a b", "example.org"),
    ],
)
def test_other_hosts_may_write_paths_more_freely(text: str, local: str, domain: str) -> None:
    address = Address.in_path(text)
    assert (address.local, address.domain) == (local, domain)
    assert Address.in_path(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "@",
            "a",
            "a@",
            "@b",
            "a b@c",
            "a@b c",
            "a@-b",
            "a@b..c",
            "a@_" + "x" * 63,
            "a,b@c",
        ),
        *("a@b_ü", "a@[1.2.3_4]", 'a"b@c', "a@" + "b." * 130 + "c"),
    ],
)
def test_no_host_may_write_anything_as_a_path(text: str) -> None:
    with pytest.raises(BadAddress):
        Address.in_path(text)
