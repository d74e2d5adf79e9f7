"""What IMAP says of a message can be read back, whatever the octets."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.addresslist import Effort, addresses_in
from mailplat.mail.header import Header
from mailplat.mail.imapwords import (
    LONGEST_QUOTED,
    address_list,
    astring,
    envelope,
    quoted,
    read_envelope,
)
from mailplat.testing.growth import in_linear_time, repeated

LOST = b"\xef\xbf\xbd"


def read(octets: bytes) -> bytes | None:
    """Return the value of one ``nstring``, by the grammar of RFC 3501 section 9."""
    if octets == b"NIL":
        return None
    if found := re.fullmatch(rb'"((?:[\x01-\x09\x0b\x0c\x0e-!#-\[\]-\x7f]|\\["\\])*)"', octets):
        return re.sub(rb"\\(.)", rb"\1", found[1], flags=re.DOTALL)
    found = re.fullmatch(rb"\{(\d+)\}\r\n([\x01-\xff]*)", octets, re.DOTALL)
    assert found, octets
    assert int(found[1]) == len(found[2])
    return found[2]


@pytest.mark.parametrize(
    ("octets", "written"),
    [
        (None, b"NIL"),
        (b"", b'""'),
        (b"NIL", b'"NIL"'),
        (b"a b", b'"a b"'),
        (rb'a"b\c', rb'"a\"b\\c"'),
        (b"\x1b\x7f\t", b'"\x1b\x7f\t"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"a\rb", b"{3}\r\na\rb"),
        (b"a\nb", b"{3}\r\na\nb"),
        (b"caf\xc3\xa9", b"{5}\r\ncaf\xc3\xa9"),
        (b"caf\xe9", b"{4}\r\ncaf\xe9"),
        (b"a\0b", b"{5}\r\na" + LOST + b"b"),
        (b"x" * LONGEST_QUOTED, b'"' + b"x" * LONGEST_QUOTED + b'"'),
        (b"x" * 1001, b"{1001}\r\n" + b"x" * 1001),
    ],
)
def test_strings(octets: bytes | None, written: bytes) -> None:
    assert quoted(octets) == written


@given(st.binary() | st.text().map(str.encode))
def test_strings_are_read_again(octets: bytes) -> None:
    assert read(quoted(octets)) == octets.replace(b"\0", LOST)


@pytest.mark.parametrize(
    ("octets", "written"),
    [
        (b"", b'""'),
        (b"INBOX", b"INBOX"),
        (b"a]b", b"a]b"),
        (b"nil", b'"nil"'),
        (b"a b", b'"a b"'),
        (b"a%", b'"a%"'),
        (b"a*", b'"a*"'),
        (b"(", b'"("'),
        (b"{3}", b'"{3}"'),
        (b"\\Seen", rb'"\\Seen"'),
        (b"\x7f", b'"\x7f"'),
        (b"\xc3\xa9", b"{2}\r\n\xc3\xa9"),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
    ],
)
def test_astrings(octets: bytes, written: bytes) -> None:
    assert astring(octets) == written


@pytest.mark.parametrize("unit", [b"a", b'"', b"\\", b"\0", b"\xff", b"\r\n"])
def test_time_is_linear(unit: bytes) -> None:
    in_linear_time(lambda octets: (quoted(octets), astring(octets)), repeated(unit))


RFC3501 = (  # the example of section 8, whose ENVELOPE stands there
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
    b"From: Terry Gray <gray@cac.washington.edu>\r\n"
    b"Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
    b"To: imap@cac.washington.edu\r\n"
    b"cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
    b"Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
    b"MIME-Version: 1.0\r\n"
)


def envelope_of(octets: bytes) -> bytes:
    return envelope(Header.parse(octets))


def test_the_rfc_s_own_envelope() -> None:
    terry = b'(("Terry Gray" NIL "gray" "cac.washington.edu"))'
    assert envelope_of(RFC3501) == (
        b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)"'
        b' "IMAP4rev1 WG mtg summary and minutes" %b %b %b'
        b' ((NIL NIL "imap" "cac.washington.edu"))'
        b' ((NIL NIL "minutes" "CNRI.Reston.VA.US")'
        b'("John Klensin" NIL "KLENSIN" "MIT.EDU"))'
        b' NIL NIL "<B27397-0100000@cac.washington.edu>")' % (terry, terry, terry)
    )


NO_HOST = b"MISSING_DOMAIN"
FROM, SENDER = b'((NIL NIL "a" "b"))', b'((NIL NIL "c" "d"))'


@pytest.mark.parametrize(
    ("octets", "written"),
    [
        (b"", b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
        (
            b"Date:\r\nSubject: \r\nIn-Reply-To:\r\nMessage-ID:\r\nFrom:\r\nTo: ,\r\n",
            b'("" "" NIL NIL NIL NIL NIL NIL "" "")',
        ),
        (
            b"From: a@b\r\nSender:\r\nReply-To: c@d\r\n",
            b"(NIL NIL %b %b %b NIL NIL NIL NIL NIL)" % (FROM, FROM, SENDER),
        ),
        (
            b"From: a@b\r\nSender: c@d\r\nFROM : c@d\r\nSubject: 1\r\nSubject: 2\r\n",
            b'(NIL "1" ((NIL NIL "a" "b")(NIL NIL "c" "d")) %b'
            b' ((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL NIL NIL)' % SENDER,
        ),
        (
            b"To: x, G: a@b, \"Q \\\" R\" <@r:c@d>;, H:;, \xc3\xa9 <e@f>, a\0b@c\r\n",
            b'(NIL NIL NIL NIL NIL ((NIL NIL "x" "MISSING_DOMAIN")(NIL NIL "G" NIL)'
            b'(NIL NIL "a" "b")("Q \\" R" "@r" "c" "d")(NIL NIL NIL NIL)(NIL NIL "H" NIL)'
            b'(NIL NIL NIL NIL)({2}\r\n\xc3\xa9 NIL "e" "f")(NIL NIL {5}\r\na%bb "c"))'
            b" NIL NIL NIL NIL)" % LOST,
        ),
        (
            b"Cc: x\r\nBcc: <>\r\nSubject: a\r\n\tb\r\n",
            b'(NIL "a\tb" NIL NIL NIL NIL ((NIL NIL "x" "%b")) ((NIL NIL "%b" "%b")) NIL NIL)'
            % (NO_HOST, b"MISSING_MAILBOX", NO_HOST),
        ),
    ],
)  # fmt: skip
def test_envelopes(octets: bytes, written: bytes) -> None:
    assert envelope_of(octets) == written


ADDRESSES = st.lists(
    st.sampled_from(
        [b"a", b"@", b"b.c", b"<", b">", b", ", b'"', b"(", b")", b":", b";", b" ", b"\\", b"\xff",
         b"Foo Bar <a@b>, ", b'"Foo, Bar" <a@b>', b"a@b,", b"\0", b"=?x?q?y?="]
    )
).map(b"".join)  # fmt: skip


@given(ADDRESSES)
def test_the_fast_way_and_the_slow_write_the_same(body: bytes) -> None:
    written = address_list(addresses_in(body))
    header = Header.parse(b"To: " + body + b"\r\n")
    assert envelope(header) == b"(NIL NIL NIL NIL NIL %b NIL NIL NIL NIL)" % (
        b"(%b)" % written if written else b"NIL"
    )


@given(st.binary() | ADDRESSES.map(lambda body: b"From: " + body))
def test_nothing_is_raised(octets: bytes) -> None:
    assert envelope_of(octets).startswith(b"(")


def test_of_long_lists_no_more_is_read_than_an_envelope_has_room_for() -> None:
    many = b"aaaa <a@b.cc>, " * 70_000
    effort = Effort()
    found = read_envelope({b"to": [many], b"cc": [b"Zoe <z@b.cc>, " + many]}, 65536, effort)
    assert found.octets == b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
    assert found.to == (b"aaaa", b"a", b"b.cc")
    assert found.cc == (b"Zoe", b"z", b"b.cc")
    assert Effort().addresses - effort.addresses < 65536 // 15 + 10
    short = b"aaaa <a@b.cc>, " * 1000
    found = read_envelope({b"to": [short, short]}, 65536, Effort())
    assert found.octets.count(b'"aaaa"') == 2000
    folded = b"a@b.cc, " + b" " * 70_000 + b", d@e.ff"
    found = read_envelope({b"to": [folded]}, 65536, Effort())
    assert b'(NIL NIL "a" "b.cc")' in found.octets
    assert b"e.ff" not in found.octets
