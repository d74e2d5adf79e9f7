"""Address lists: what the RFCs allow, what comes besides, and that nothing does harm."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.address import Address
from mailplat.mail.addresslist import (
    MOST_ADDRESSES,
    MOST_WORDS,
    AddressList,
    Group,
    NamedAddress,
    _Reader,
    address_field,
    addresses_in,
)
from mailplat.mail.header import Header
from mailplat.mail.words import shown
from mailplat.testing.growth import in_linear_time, repeated

Parts = tuple[bytes | None, bytes, bytes]


def one(name: bytes | None, local: bytes, domain: bytes) -> Parts:
    return name, local, domain


def read(body: bytes) -> list[Parts]:
    return [(found.name, found.local, found.domain) for found in addresses_in(body).addresses]


@pytest.mark.parametrize(
    ("body", "addresses"),
    [
        # RFC 5322 appendix A.1 to A.6
        (b"John Doe <jdoe@machine.example>", [(b"John Doe", b"jdoe", b"machine.example")]),
        (
            b'"Joe Q. Public" <john.q.public@example.com>',
            [(b"Joe Q. Public", b"john.q.public", b"example.com")],
        ),
        (
            b"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
            [
                (b"Mary Smith", b"mary", b"x.test"),
                (None, b"jdoe", b"example.org"),
                (b"Who?", b"one", b"y.test"),
            ],
        ),
        (
            rb'<boss@nil.test>, "Giant; \"Big\" Box" <sysservices@example.net>',
            [
                (None, b"boss", b"nil.test"),
                (b'Giant; "Big" Box', b"sysservices", b"example.net"),
            ],
        ),
        (
            rb"Pete(A nice \) chap) <pete(his account)@silly.test(his host)>",
            [(b"Pete", b"pete", b"silly.test")],
        ),
        (b"Joe Q. Public <john.q.public@example.com>", [(b"Joe Q. Public", b"john.q.public", b"example.com")]),
        (
            b"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
            [(b"Mary Smith", b"mary", b"example.net"), (None, b"jdoe", b"test.example")],
        ),
        (b"John Doe <jdoe@machine(comment).  example>", [(b"John Doe", b"jdoe", b"machine.example")]),
        (b"Mary Smith          <mary@example.net>", [(b"Mary Smith", b"mary", b"example.net")]),
        # RFC 2047 section 8
        (
            b"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>",
            [(b"=?US-ASCII?Q?Keith_Moore?=", b"moore", b"cs.utk.edu")],
        ),
        (
            b"Nathaniel Borenstein <nsb@thumper.bellcore.com> (=?iso-8859-8?b?7eXs+SDv4SDs6fTo8A==?=)",
            [(b"Nathaniel Borenstein", b"nsb", b"thumper.bellcore.com")],
        ),
        # What section 3.4.1 and section 4.4 allow.
        (b"a@b (first) (the (last) \\) one)", [(b"the (last) ) one", b"a", b"b")]),
        (b"(before) a@b", [(None, b"a", b"b")]),
        (b'"a b"@c', [(None, b"a b", b"c")]),
        (b'"a" . "b" @ c', [(None, b"a.b", b"c")]),
        (b"a . b @ c . d", [(None, b"a.b", b"c.d")]),
        (b"a@[192.0.2.1]", [(None, b"a", b"[192.0.2.1]")]),
        (b"a@[IPv6:2001:db8::1]", [(None, b"a", b"[IPv6:2001:db8::1]")]),
        (b" ,, a@b ,, c@d,", [(None, b"a", b"b"), (None, b"c", b"d")]),
        (b'"" <a@b>', [(None, b"a", b"b")]),
        (b'"A"B  "C" <a@b>', [(b"A B C", b"a", b"b")]),
        (b"", []),
        (b" ", []),
        (b"(nobody)", []),
        # RFC 6532
        (
            b"J\xc3\xbcrgen <j\xc3\xbcrgen@b\xc3\xbccher.example>",
            [(b"J\xc3\xbcrgen", b"j\xc3\xbcrgen", b"b\xc3\xbccher.example")],
        ),
    ],
)  # fmt: skip
def test_what_the_rfcs_allow(body: bytes, addresses: list[Parts]) -> None:
    assert read(body) == addresses
    assert not addresses_in(body).broken


@pytest.mark.parametrize(
    ("body", "addresses"),
    [
        # Brackets.
        (b"Foo Bar a@b", [(b"Foo Bar", b"a", b"b")]),
        (b'"Foo" a@b', [(b"Foo", b"a", b"b")]),
        (b"a@b <c@d>", [(b"a@b", b"c", b"d")]),
        (b"<a@b", [(None, b"a", b"b")]),
        (b"<a@b, c@d", [(None, b"a", b"b"), (None, b"c", b"d")]),
        (b"Foo <Bar <a@b>>", [(b"Foo Bar", b"a", b"b")]),
        (b"a@b>", [(None, b"a", b"b")]),
        (b"<a@b> Foo", [(None, b"a", b"b")]),
        (b"<mailto:a@b>", [(None, b"a", b"b")]),
        (b"<a@b c>", [(None, b"a", b"b")]),
        (b"<a b@c>", [(None, b"a b", b"c")]),
        (b"<@r a@b>", [(None, b"a", b"b")]),
        (b"<@r,@s,@t:>", [(None, b"", b"")]),
        (b"<>", [(None, b"", b"")]),
        (b"Foo <>", [(b"Foo", b"", b"")]),
        # What is missing.
        (b"root", [(None, b"root", b"")]),
        (b"root (Charlie Root)", [(b"Charlie Root", b"root", b"")]),
        (b"Foo Bar", [(b"Foo Bar", b"", b"")]),
        (b"a@", [(None, b"a", b"")]),
        (b"@b", [(None, b"", b"b")]),
        (b"a@b@c", [(None, b"a@b", b"c")]),
        (b"<a@b@c>", [(None, b"a@b", b"c")]),
        # Commas.
        (b"a@b c@d", [(None, b"a", b"b"), (None, b"c", b"d")]),
        (b"<a@b> <c@d> e@f", [(None, b"a", b"b"), (None, b"c", b"d"), (None, b"e", b"f")]),
        (b"<a@b> Foo <c@d>", [(None, b"a", b"b"), (b"Foo", b"c", b"d")]),
        (b"a@b; c@d;", [(None, b"a", b"b"), (None, b"c", b"d")]),
        (b"=?utf-8?q?a,_b?= <c@d>", [(b"=?utf-8?q?a,_b?=", b"c", b"d")]),
        (b"=?utf-8?q?a@b.c?= <c@d>", [(b"=?utf-8?q?a@b.c?=", b"c", b"d")]),
        (b"=?utf-8?q?a,b@c, d@e", [(None, b"=?utf-8?q?a", b""), (None, b"b", b"c"), (None, b"d", b"e")]),
        # Strings and comments that nobody closed.
        (b'"Foo <a@b>', [(b"Foo", b"a", b"b")]),
        (b'"Foo\\" <a@b>, Bar', [(b"Foo", b"a", b"b"), (None, b"Bar", b"")]),
        (b"Foo (Bar <a@b>", [(b"Foo Bar", b"a", b"b")]),
        (b"a@b (c) (d", [(b"c", b"a", b"b")]),
        (b"a) @ b)", [(None, b"a", b"b")]),
        (b"a@[b", [(None, b"a", b"b")]),
        (b"Foo\\Bar <a@b>", [(b"Foo Bar", b"a", b"b")]),
    ],
)  # fmt: skip
def test_what_comes_besides(body: bytes, addresses: list[Parts]) -> None:
    assert read(body) == addresses
    assert addresses_in(body).broken


@pytest.mark.parametrize(
    ("body", "groups", "count", "broken"),
    [
        (
            b"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
            [Group(b"A Group", 0, 3)],
            3,
            False,
        ),
        (
            b"A Group(Some people)     :Chris Jones <c@(Chris's host.)public.example>,         joe@example.org,  John <jdoe@one.test> (my dear friend); (the end of the group)",
            [Group(b"A Group", 0, 3)],
            3,
            False,
        ),
        (b"Undisclosed recipients:;", [Group(b"Undisclosed recipients", 0, 0)], 0, False),
        (
            b"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",
            [Group(b"Hidden recipients", 0, 0)],
            0,
            False,
        ),
        (b"a@b, G: c@d,, ;, H:;, e@f", [Group(b"G", 1, 2), Group(b"H", 2, 2)], 3, False),
        (b"Managing Partners:ben@example.com,carol@example.com;", [Group(b"Managing Partners", 0, 2)], 2, False),
        (b'"G H": a@b;, c@d', [Group(b"G H", 0, 1)], 2, False),
        (b"G: a@b;c@d", [Group(b"G", 0, 1)], 2, True),
        (b"G: a@b", [Group(b"G", 0, 1)], 1, True),
        (b"G: H: a@b;;", [Group(b"G", 0, 0), Group(b"H", 0, 1)], 1, True),
        (b"mailto:a@b", [Group(b"mailto", 0, 1)], 1, True),
        (b":", [Group(b"", 0, 0)], 0, True),
        (b"a@b:c", [], 1, True),
    ],
)  # fmt: skip
def test_groups(body: bytes, groups: list[Group], count: int, broken: bool) -> None:
    found = addresses_in(body)
    assert list(found.groups) == groups
    assert len(found.addresses) == count
    assert found.broken == broken


def test_a_route_is_kept_apart() -> None:
    assert addresses_in(b"Foo <@a.test,,(x) @b.test:c@d>").addresses == (
        NamedAddress(b"Foo", b"@a.test,,@b.test", b"c", b"d"),
    )


PIECES = [
    b"a", b"b.c", b"@", b"@", b"<", b">", b",", b";", b":", b'"', b"(", b")", b"[", b"]", b"\\",
    b".", b" ", b"  ", b"\t", b"\r", b"=?utf-8?q?", b"?=", b"=?x?b?a,b?=", b"\xc3\xa9", b"\xff",
    b"\0", b"\x7f", b'"Foo, Bar" <a@b>', b"Foo Bar <a.b@c.d>", b"a@b, ", b"G: ", b"' ", b"a@b (c)",
]  # fmt: skip
lists = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)


def slowly(body: bytes) -> AddressList:
    reader = _Reader(MOST_ADDRESSES, usual=False)
    reader.read(body)
    return reader.found()


@given(lists | st.binary())
@example(b"=?utf-8?q?a@b.c, d?= <x@y>")
@example(b"Foo =?utf-8?q?a <x@y>, ?= <z@w>")
def test_the_fast_way_and_the_slow_say_the_same(body: bytes) -> None:
    assert addresses_in(body) == slowly(body)


@given(lists | st.binary())
def test_nothing_is_raised_and_all_can_be_shown(body: bytes) -> None:
    found = addresses_in(body)
    assert not found.cut
    for address in found.addresses:
        assert "\n" not in str(address)
        assert address.address is None or address.is_same_as(address)
    for group in found.groups:
        assert 0 <= group.start <= group.stop <= len(found.addresses)


@pytest.mark.parametrize(
    ("unit", "words"),
    [(b"a@b,", 0), (b"a <b@c>,", 0), (b"a,", 1), (b"a b,", 2), (b'"a"@b,', 3)],
)
def test_too_long_a_list_is_cut(unit: bytes, words: int) -> None:
    each = unit.count(b",")
    most = MOST_WORDS * each // words if words else MOST_ADDRESSES
    for count in (most - each, most, most + each, 100_000):
        found = addresses_in(unit * (count // each))
        assert len(found.addresses) == min(most, count)
        assert found.cut == (count > most)


@pytest.mark.parametrize(
    "unit",
    [bytes([octet]) for octet in b' ",:;<>@()[]\\.=?a\0\xff']
    + [b'"\\', b"[\\", b"(\\", b"a@b", b"a@b ", b"<a@b>", b"a,", b"a:", b":;", b"<@,", b"=?a?q?", b"=?a?q?,?=",
       b"(),", b"()", b'""', b"a.", b". ", b"a <", b"a b c,", b"@a:", b"<@a:b@c,", b'"\\" ', b"x@y <"],
)  # fmt: skip
def test_time_is_linear(unit: bytes) -> None:
    in_linear_time(addresses_in, repeated(unit))


@pytest.mark.parametrize(
    ("text", "name", "written"),
    [
        ("a@b.c", "", b"To: a@b.c"),
        ("a@b.c", "Foo Bar", b"To: Foo Bar <a@b.c>"),
        ("a@b.c", "Bar, Foo", b'To: "Bar, Foo" <a@b.c>'),
        ("a@b.c", 'a "b" \\', rb'To: "a \"b\" \\" <a@b.c>'),
        ("a@b.c", "J. Foo", b'To: "J. Foo" <a@b.c>'),
        ("a@b.c", "J\u00fc", b"To: =?utf-8?b?SsO8?= <a@b.c>"),
        ("a@b.c", "=?x?=", b"To: =?utf-8?b?PT94Pz0=?= <a@b.c>"),
        ('"a b"@b.c', "", b'To: "a b"@b.c'),
        ("j\u00fc@b\u00fccher.example", "", b"To: j\xc3\xbc@xn--bcher-kva.example"),
    ],
)  # fmt: skip
def test_addresses_are_written(text: str, name: str, written: bytes) -> None:
    assert (
        address_field(b"To", [NamedAddress.of(Address.parse(text), name)]) == written + b"\r\n"
    )


names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])) | st.sampled_from(
    ["Foo Bar", "Bar, Foo", "a" * 100, "x y " * 50, 'q"\\', "(c)", "<a@b>", "=?utf-8?q?x?="]
)
addresses = st.builds(
    Address,
    st.sampled_from(["a", "a.b", "a b", 'q"\\', "a@b", "j\u00fc", "(", "<>"]),
    st.sampled_from(["example.org", "[192.0.2.1]", "[IPv6:::1]", "xn--bcher-kva.example"]),
)


@given(st.lists(st.builds(NamedAddress.of, addresses, names), max_size=8))
def test_what_is_written_is_read_again(listed: list[NamedAddress]) -> None:
    octets = address_field(b"To", listed)
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    found = addresses_in(Header.parse(octets).body(b"To"))
    assert not found.broken
    assert [(one.address, one.shown_name) for one in found.addresses] == [
        (one.address, shown(one.shown_name.encode()).strip()) for one in listed
    ]


@pytest.mark.parametrize(
    "address",
    [NamedAddress(None, None, b"", b"b"), NamedAddress(None, None, b"a", b""),
     NamedAddress(None, None, b"a\r\nb", b"c"), NamedAddress(None, None, b"a", b"b\r\nBcc: x")],
)  # fmt: skip
def test_what_is_no_address_is_not_written(address: NamedAddress) -> None:
    with pytest.raises(ValueError, match="no address"):
        address_field(b"To", [address])


def test_addresses_of_header_and_envelope_are_compared() -> None:
    named = addresses_in(b"J <J\xc3\x9c@B\xc3\x9ccher.example>").addresses[0]
    assert named.is_same_as(Address.parse("ju\u0308@xn--bcher-kva.EXAMPLE."))
    assert named.is_same_as(addresses_in(b'"j\xc3\xbc"@xn--bcher-kva.example').addresses[0])
    assert not named.is_same_as(Address.parse("ju@xn--bcher-kva.example"))
    assert not addresses_in(b"root").addresses[0].is_same_as(Address("root", ""))
    assert named.shown_address == "J\u00dc@b\u00fccher.example"
    assert str(addresses_in(b'"a\r\nb\x07" <x@y>').addresses[0]) == "a b\ufffd <x@y>"


def test_several_fields_are_one_list() -> None:
    found = addresses_in(b"a@b, G: c@d", b'e@f; "g', b'h@i"')
    assert [one.addr_spec for one in found.addresses] == [b"a@b", b"c@d", b"e@f", b"g", b"h@i"]
    assert found.groups == (Group(b"G", 1, 2),)
    found = addresses_in(*[b"a@b"] * MOST_ADDRESSES, b"c@d")
    assert len(found.addresses) == MOST_ADDRESSES
    assert found.cut
