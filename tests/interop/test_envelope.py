"""What IMAP says of headers, beside what Dovecot says; docs/mime.md has the differences."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mailplat.mail.addresslist import addresses_in
from mailplat.mail.header import Header
from mailplat.mail.imapwords import envelope

pytestmark = pytest.mark.interop

HEADERS = 1500


def value(octets: bytes, at: int = 0) -> tuple[Any, int]:
    """Read NIL, a string or a list of them at a place; return it, and where it ends."""
    if octets.startswith(b"(", at):
        found, at = [], at + 1
        while not octets.startswith(b")", at):
            one, at = value(octets, at + octets.startswith(b" ", at))
            found.append(one)
        return found, at + 1
    if string := re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(octets, at):
        return re.sub(rb"\\(.)", rb"\1", string[1]), string.end()
    if literal := re.compile(rb"\{(\d+)\}\r\n").match(octets, at):
        end = literal.end() + int(literal[1])
        return octets[literal.end() : end], end
    assert octets.startswith(b"NIL", at), octets[at : at + 100]
    return None, at + 3


def envelopes(answer: bytes) -> Iterator[Any]:
    for found in re.finditer(rb"\* \d+ FETCH \(ENVELOPE ", answer):
        yield value(answer, found.end())[0]


def alike(said: Any) -> Any:
    """Return what was said with each run of white space made one space."""
    if isinstance(said, list):
        return [alike(one) for one in said]
    return said and b" ".join(said.split())


# A corpus by the grammar of RFC 5322, obsolete forms with it.

ATOMS = [
    b"a",
    b"Foo",
    b"O'Brien",
    b"x+y",
    b"=?utf-8?q?J=C3=BCrgen?=",
    b"J.",
    b"\xc3\xa4",
    b"NIL",
]
STRINGS = [b'"Bar, Baz"', b'"a \\"b\\" \\\\"', b'"x  y"', b'"@<>;:"', b'"=?utf-8?q?x?="']
LOCALS = [b"a", b"a.b", b"a+b/c=d", b'"a b"', b'"a@b"', b"\xc3\xa4", b"A-B_c"]
DOMAINS = [
    b"example.org",
    b"b",
    b"MX.Example.NET",
    b"[192.0.2.1]",
    b"[IPv6:::1]",
    b"\xc3\xa4.example",
]
COMMENTS = [b"(c)", b"(a (b) \\) c)", b"()", b"( x )"]
SPACES = [b"", b" ", b"  ", b"\t", b"\r\n ", b" \r\n\t"]
TEXTS = [
    b"",
    b" ",
    b"hello",
    b"a  b\t c",
    b'"quoted" \\ ',
    b"=?utf-8?q?x?=\r\n =?utf-8?q?y?=",
    b"caf\xe9",
    b"x" * 1100,
    b"{3}",
    b"Re: (a)",
]
NAMES = [b"From", b"Sender", b"Reply-To", b"To", b"Cc", b"Bcc", b"TO", b"cC"]  # fmt: skip


def mailbox(chance: random.Random) -> bytes:
    pick = chance.choice
    address = pick(LOCALS) + b"@" + pick(DOMAINS)
    route = b"@r.example,@s.example:" if chance.random() < 0.05 else b""
    comment = pick(COMMENTS) if chance.random() < 0.2 else b""
    match chance.randrange(5):
        case 0:
            return address + (b" " + comment if comment else b"")
        case 1:
            return b"<" + route + address + b">"
        case 2:
            words = [pick([*ATOMS, *STRINGS, *STRINGS]) for _ in range(chance.randrange(1, 4))]
            return (
                pick([b" ", b"  ", b" (c) ", b"\r\n "]).join(words)
                + b" <"
                + route
                + address
                + b">"
            )
        case 3:
            return (
                pick(STRINGS) + pick(SPACES) + comment + b"<" + pick(SPACES) + address + b" >"
            )
    return pick(ATOMS) + b" <" + address + b">" + comment


def address_list(chance: random.Random) -> bytes:
    groups = chance.random() < 0.2
    return b",".join(
        chance.choice(SPACES)
        + (
            chance.choice([*ATOMS[:3], b'"G, H"', b"Two Words"])
            + b":"
            + b", ".join(mailbox(chance) for _ in range(chance.choice((0, 1, 3))))
            + b";"
            if groups and chance.random() < 0.5
            else mailbox(chance)
        )
        + chance.choice(SPACES[:3])
        for _ in range(chance.choice((1, 1, 1, 2, 5)))
    )


def header(chance: random.Random) -> bytes:
    fields = [
        name + chance.choice((b":", b": ", b" :", b":\r\n ")) + address_list(chance)
        for name in chance.sample(NAMES, chance.randrange(8))
    ]
    fields += [
        name + b": " + chance.choice(TEXTS)
        for name in (b"Date", b"Subject", b"In-Reply-To", b"Message-ID", b"X-Other")
        if chance.random() < 0.7
    ]
    chance.shuffle(fields)
    return b"".join(field + b"\r\n" for field in fields)


def test_what_the_rfcs_allow_is_read_alike(ask_dovecot: Callable[..., bytes]) -> None:
    headers = [header(random.Random(seed)) for seed in range(HEADERS)]
    answer = ask_dovecot([one + b"\r\nbody\r\n" for one in headers], b"FETCH 1:* ENVELOPE")
    for one, theirs in zip(headers, envelopes(answer), strict=True):
        ours = value(envelope(Header.parse(one)))[0]
        assert alike(ours) == alike(theirs), one


# What comes besides.

PIECES = [
    b"a", b"b.c", b"@", b"@", b"x@y", b"x@y.z", b"<", b">", b"<a@b>", b",", b",", b";", b":", b'"',
    b"(", b")", b"[", b"]", b"\\", b".", b" ", b" ", b"\t", b"=?utf-8?q?", b"?=", b"=?x?b?ab?=",
    b"\xc3\xa4", b'"Foo, Bar" <a@b>', b"Foo Bar <a.b@c.d>", b"a@b, ", b"G: ", b"' ", b"a@b (c)",
]  # fmt: skip
NOBODY = [None, None, b"MISSING_MAILBOX", b"MISSING_DOMAIN"]
DOTS_APART = re.compile(rb"[ \t)\"]\.|\.[ \t(\"]")  # RFC 5322 section 4.4 allows it


def test_what_is_read_otherwise_is_known_as_broken(ask_dovecot: Callable[..., bytes]) -> None:
    chance = random.Random(0)
    bodies = [b"".join(chance.choices(PIECES, k=chance.randrange(1, 8))) for _ in range(6000)]
    bodies = [one for one in bodies if not DOTS_APART.search(one)]
    headers = [b"To: " + one + b"\r\n\r\n" for one in bodies]
    compared = 0
    for one, theirs in zip(
        headers, envelopes(ask_dovecot(headers, b"FETCH 1:* ENVELOPE")), strict=True
    ):
        header = Header.parse(one)
        ours = value(envelope(header))[0]
        if not addresses_in(header.body(b"To")).broken:
            compared += 1
            known = [address for address in theirs[5] or [] if address != NOBODY]
            assert alike(ours[5] or []) == alike(known), one
    assert compared > 300


@pytest.mark.parametrize(
    ("body", "ours", "theirs"),
    [
        # They stop at the first mistake; we go on.
        (b"a@b c@d, e@f", b"a@b c@d e@f", b"a@b"),
        (b"a@b; c@d", b"a@b c@d", b"a@b"),
        (b"<a@b> <c@d>", b"a@b c@d", b"a@b"),
        (b'"Foo <a@b>', b"Foo<a@b>", b"?@?"),
        (b"Foo (bar <a@b>", b"Foo bar<a@b>", b"?@?"),
        # We look for an address where they give up.
        (b"Foo Bar a@b", b"Foo Bar<a@b>", b"Foo Bar a<?@?>"),
        (b"a@x <b@y>", b"a@x<b@y>", b"a@x"),
        (b"<a@b", b"a@b", b"a@SYNTAX_ERROR"),
        (b"<mailto:a@b>", b"a@b", b"mailto@SYNTAX_ERROR"),
        (b"=?utf-8?q?a,_b?= <c@d>", b"=?utf-8?q?a,_b?=<c@d>", b"=?utf-8?q?a@? _b?=<c@d>"),
        # Dots may stand apart, and strings may be part of a local part, in the obsolete form.
        (b'"a" . b @ c . d', b"a.b@c.d", b"a<?@?>"),
        # An empty element is nobody.
        (b"a@b,, c@d", b"a@b c@d", b"a@b ?@? c@d"),
    ],
)  # fmt: skip
def test_what_is_read_otherwise(
    ask_dovecot: Callable[..., bytes], body: bytes, ours: bytes, theirs: bytes
) -> None:
    header = b"To: " + body + b"\r\n\r\n"
    (their,) = envelopes(ask_dovecot([header], b"FETCH 1 ENVELOPE"))
    assert short(value(envelope(Header.parse(header)))[0][5]) == ours
    assert short(their[5]) == theirs


def short(addresses: list[Any]) -> bytes:
    return b" ".join(
        b"%b<%b@%b>" % (name, local, host) if name else b"%b@%b" % (local, host)
        for name, _, local, host in addresses
    ).replace(b"MISSING_MAILBOX", b"?").replace(b"MISSING_DOMAIN", b"?")  # fmt: skip
