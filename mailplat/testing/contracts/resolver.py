"""What everything that answers questions of the DNS is held to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from mailplat.interfaces import IResolver
from mailplat.mail.dns import (
    A,
    Aaaa,
    Caa,
    Cname,
    Mx,
    Ptr,
    ResourceRecord,
    Srv,
    Tlsa,
    Txt,
)
from mailplat.mail.errors import LookupFailed, NoSuchDomain

ZONES = {
    "example.org": r"""
@ MX 10 mx1
@ MX 20 mx2
@ TXT "v=spf1 " "-all"
@ CAA 0 issue "ca.example.net"
mx1 A 192.0.2.1
mx1 AAAA 2001:db8::1
mx2 A 192.0.2.2
_25._tcp.mx1 TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
_submission._tcp SRV 0 1 587 mx1
alias CNAME mx2
two CNAME alias
out CNAME host.example.net.
round CNAME about
about CNAME round
null MX 0 .
""",
    "example.net": "host A 192.0.2.9\n",
    "2.0.192.in-addr.arpa": "1 PTR mx1.example.org.\n",
}
"""The part of the DNS that the tests ask about; ``example.org`` is proven, ``example.net`` not."""

PROVEN = ("example.org", "2.0.192.in-addr.arpa")

RECORDS: dict[tuple[str, type[ResourceRecord]], list[ResourceRecord]] = {
    ("example.org", Mx): [Mx(10, "mx1.example.org"), Mx(20, "mx2.example.org")],
    ("example.org", Txt): [Txt(b"v=spf1 -all")],
    ("example.org", Caa): [Caa(0, "issue", b"ca.example.net")],
    ("mx1.example.org", A): [A(IPv4Address("192.0.2.1"))],
    ("mx1.example.org", Aaaa): [Aaaa(IPv6Address("2001:db8::1"))],
    ("mx2.example.org", A): [A(IPv4Address("192.0.2.2"))],
    ("_25._tcp.mx1.example.org", Tlsa): [Tlsa(3, 1, 1, bytes.fromhex("0123456789abcdef" * 4))],
    ("_submission._tcp.example.org", Srv): [Srv(0, 1, 587, "mx1.example.org")],
    ("alias.example.org", Cname): [Cname("mx2.example.org")],
    ("two.example.org", Cname): [Cname("alias.example.org")],
    ("out.example.org", Cname): [Cname("host.example.net")],
    ("round.example.org", Cname): [Cname("about.example.org")],
    ("about.example.org", Cname): [Cname("round.example.org")],
    ("null.example.org", Mx): [Mx(0, "")],
    ("host.example.net", A): [A(IPv4Address("192.0.2.9"))],
    ("1.2.0.192.in-addr.arpa", Ptr): [Ptr("mx1.example.org")],
}
"""The same as values."""


class ResolverContract:
    """Inherit it, with a fixture ``resolver`` that knows `ZONES`."""

    @pytest.mark.parametrize(("name", "kind"), list(RECORDS), ids=str)
    async def test_records(
        self, resolver: IResolver, name: str, kind: type[ResourceRecord]
    ) -> None:
        answer = await resolver.lookup(name, kind)
        assert answer.name == name
        assert set(answer.records) == set(RECORDS[name, kind])
        assert answer.exists
        assert 0 < answer.ttl <= 300
        assert answer.proven == (not name.endswith("example.net"))

    async def test_case_and_a_final_dot_mean_nothing(self, resolver: IResolver) -> None:
        answer = await resolver.lookup("MX1.Example.ORG.", A)
        assert answer.name == "mx1.example.org"
        assert answer.records == (A(IPv4Address("192.0.2.1")),)

    async def test_aliases_are_followed(self, resolver: IResolver) -> None:
        answer = await resolver.lookup("two.example.org", A)
        assert answer.name == "mx2.example.org"
        assert answer.records == (A(IPv4Address("192.0.2.2")),)
        assert answer.proven

    async def test_proof_ends_where_an_alias_leads_out_of_it(self, resolver: IResolver) -> None:
        answer = await resolver.lookup("out.example.org", A)
        assert answer.records == (A(IPv4Address("192.0.2.9")),)
        assert not answer.proven

    async def test_an_alias_of_a_name_with_nothing_of_that_type(
        self, resolver: IResolver
    ) -> None:
        answer = await resolver.lookup("alias.example.org", Mx)
        assert not answer
        assert answer.name == "mx2.example.org"
        assert answer.exists

    async def test_nothing_of_that_type(self, resolver: IResolver) -> None:
        answer = await resolver.lookup("mx2.example.org", Aaaa)
        assert not answer
        assert answer.exists
        assert answer.proven

    async def test_no_such_name(self, resolver: IResolver) -> None:
        answer = await resolver.lookup("nobody.example.net", A)
        assert not answer
        assert not answer.exists

    async def test_aliases_without_an_end(self, resolver: IResolver) -> None:
        with pytest.raises(LookupFailed):
            await resolver.lookup("round.example.org", A)

    @pytest.mark.parametrize(
        "name", ["a" * 64 + ".org", "a..org", ".org", "a b.org", "é.org", "a.b" * 100]
    )
    async def test_what_cannot_be_a_name(self, resolver: IResolver, name: str) -> None:
        with pytest.raises(NoSuchDomain):
            await resolver.lookup(name, A)
