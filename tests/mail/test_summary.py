"""What a summary says of a message, whatever its octets."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.content import Octets
from mailplat.mail.identifiers import LONGEST_IDENTIFIER, REFERENCES
from mailplat.mail.limits import MIB
from mailplat.mail.summary import (
    LONGEST_ENVELOPE,
    LONGEST_STRUCTURE,
    Facts,
    Mark,
    findings,
    read_summary,
    read_words,
    summarise,
    summary_of,
)
from mailplat.testing.growth import in_linear_time, repeated

REPLY = b"""\
Received: from a by b;\r
\tMon, 23 Nov 2026 10:00:00 +0000\r
date: Mon, 23 Nov 2026 10:00:07 +0130\r
Message-ID: <own@example.org>\r
REFERENCES: <first@example.org>\r
 <second@example.org> (said\r
\tearlier)\r
In-Reply-To: <second@example.org> <third@exa\r
 mple.org>\r
Subject: Message-ID: <not@this.one>\r
\r
Message-ID: <nor@this.one>\r
"""


def facts(octets: bytes) -> Facts:
    return read_summary(summarise(octets).octets)


def test_a_reply_names_itself_and_then_its_ancestors() -> None:
    assert facts(REPLY).references == (
        b"own@example.org",
        b"first@example.org",
        b"second@example.org",
        b"third@example.org",
    )
    assert summarise(REPLY).references == facts(REPLY).references


def test_the_body_begins_behind_the_empty_line() -> None:
    assert REPLY[facts(REPLY).body :] == b"Message-ID: <nor@this.one>\r\n"
    assert facts(b"\r\nMessage-ID: <a@b>\r\n\r\nbody").body == 2
    assert facts(b"Subject: no body\r\n").body == 18
    assert facts(b"").body == 0


@pytest.mark.parametrize(
    ("date", "sent"),
    [
        (b"Mon, 23 Nov 2026 10:00:07 +0130", 1795422607),
        (b"23 Nov 2026 10:00:07 +0130", 1795422607),
        (b"Mon,\r\n 23  Nov 2026 03:30 EST (New York)", 1795422600),
        (b"Mon , 23 Nov 26 08:30:60 GMT", 1795422660),
        (b"Mon, 23 Nov 126 08:30:00", 1795422600),
        (b"1 Jan 70 00:00:00 -0000", 0),
        (b"31 Feb 2026 00:00:00 +0000", None),
        (b"Mon, 23 Foo 2026 10:00:07 +0130", None),
        (b"yesterday", None),
        (b"", None),
    ],
)
def test_a_date_is_a_moment(date: bytes, sent: int | None) -> None:
    assert facts(b"Date: " + date + b"\r\n\r\n").sent == sent


def test_of_too_many_ancestors_the_nearest_are_kept() -> None:
    many = b" ".join(b"<%d@x>" % n for n in range(1000))
    found = facts(b"Message-ID: <own@x>\r\nReferences: " + many + b"\r\n\r\n").references
    assert found[0] == b"own@x"
    assert found[1:] == tuple(b"%d@x" % n for n in range(1000 - REFERENCES, 1000))


def test_identifiers_that_are_too_long_are_passed_over() -> None:
    edge = b"a" * LONGEST_IDENTIFIER
    assert facts(b"Message-ID: <" + edge + b">\r\n\r\n").references == (edge,)
    assert facts(b"Message-ID: <a" + edge + b">\r\n\r\n").references == ()


@given(
    st.binary(max_size=200) | st.lists(st.sampled_from(REPLY.splitlines(True))).map(b"".join)
)
def test_nothing_can_make_it_fail(octets: bytes) -> None:
    found = facts(octets)
    assert 0 <= found.body <= len(octets)


@pytest.mark.parametrize(
    ("start", "unit"),
    [
        (b"", b"\nMessage-ID: "),
        (b"", b"\r\n "),
        (b"Message-ID:", b"\r\n "),
        (b"References: ", b"<a"),
        (b"References: ", b"<a>"),
        (b"Date: ", b" "),
        (b"Date: ", b"a "),
        (b"Date: 1 Jan", b"a"),
    ],
)
def test_nasty_headers_cost_no_more_than_their_length(start: bytes, unit: bytes) -> None:
    in_linear_time(summarise, repeated(unit, start), MIB)


def test_a_later_version_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="version 9"):
        read_summary(b"\x09" + summarise(REPLY).octets[1:])
    with pytest.raises(ValueError, match="version 1"):
        read_summary(b"\x01")


def test_what_was_cut_or_damaged_is_refused() -> None:
    octets = summarise(REPLY).octets
    for stop in range(len(octets)):
        with pytest.raises(ValueError):
            read_summary(octets[:stop])
    with pytest.raises(ValueError):
        read_summary(octets + b"x")


@given(st.data())
def test_damage_is_refused_or_leaves_all_lengths_whole(data: st.DataObject) -> None:
    octets = bytearray(summarise(REPLY).octets)
    at = data.draw(st.integers(1, len(octets) - 1))
    octets[at] = data.draw(st.integers(0, 255))
    try:
        found = read_summary(bytes(octets))
    except ValueError:
        return
    assert read_summary(bytes(octets)) == found


FORWARD = b"""\
From: "Zo\xc3\xab" <Zoe@Example.org>\r
To: List: one@example.org, two@example.org;\r
Cc: =?utf-8?q?Gr=C3=BC=C3=9Fe?= <three@example.org>\r
Date: Tue, 24 Nov 2026 00:30:00 +0200\r
Subject: Fwd: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
\r
Here it is,  as you\r
asked.\r
--b\r
Content-Type: application/pdf; name=a.pdf\r
Content-Disposition: attachment; filename=a.pdf\r
Content-Transfer-Encoding: base64\r
\r
AAAA\r
--b--\r
"""


def test_what_imap_asks_for_is_in_its_own_words() -> None:
    found = facts(FORWARD)
    assert found.envelope == (
        b'("Tue, 24 Nov 2026 00:30:00 +0200" "Fwd: =?utf-8?q?Gr=C3=BC=C3=9Fe?="'
        b' (({4}\r\nZo\xc3\xab NIL "Zoe" "Example.org"))'
        b' (({4}\r\nZo\xc3\xab NIL "Zoe" "Example.org"))'
        b' (({4}\r\nZo\xc3\xab NIL "Zoe" "Example.org"))'
        b' ((NIL NIL "List" NIL)(NIL NIL "one" "example.org")(NIL NIL "two" "example.org")'
        b"(NIL NIL NIL NIL))"
        b' (("=?utf-8?q?Gr=C3=BC=C3=9Fe?=" NIL "three" "example.org")) NIL NIL NIL)'
    )
    assert found.description == (
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 27 1)'
        b'("application" "pdf" ("name" "a.pdf") NIL NIL "base64" 4) "mixed")'
    )
    assert b'("attachment" ("filename" "a.pdf"))' in found.bodystructure


def test_what_messages_are_sorted_and_listed_by_is_there() -> None:
    found = facts(FORWARD)
    assert (found.sent, str(found.day)) == (1795473000, "2026-11-24")
    assert found.subject == unicodedata.normalize("NFD", "GRÜßE").encode()  # RFC 5051
    assert (found.sender, found.to, found.cc) == (b"ZOE", b"LIST", b"THREE")
    assert found.marks == Mark.REPLY | Mark.ATTACHMENT | Mark.UTF8
    assert found.preview == b"Here it is, as you asked."
    assert facts(REPLY).marks == Mark(0)
    assert facts(REPLY).day == date(2026, 11, 23)


def test_trace_fields_before_a_message_move_its_parts_and_nothing_else() -> None:
    trace = b"Return-Path: <a@b>\r\nDelivered-To: c@d\r\n"
    assert findings(FORWARD).summary(trace) == summarise(trace + FORWARD)
    moved = read_summary(findings(FORWARD).summary(trace).octets)
    part = moved.layout.section("2")
    assert part
    assert (trace + FORWARD)[part.start : part.stop] == b"AAAA"


@pytest.mark.parametrize("piece", [1, 7, 64, 1000])
async def test_a_large_content_is_read_in_pieces(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailplat.mail.summary.CHUNK", piece)
    monkeypatch.setattr("mailplat.mail.summary.SLICE", max(1, piece // 3))
    for message in (REPLY, FORWARD, b"", b"\r\n", b"Subject: no body"):
        assert await summary_of(Octets(message)) == summarise(message)


def is_utf8(message: str, trace: bytes = b"") -> bool:
    octets = findings(message.encode()).summary(trace).octets
    return Mark.UTF8 in read_summary(octets).marks


PARTS = (
    "Content-Type: multipart/mixed; boundary=b\r\n\r\nä\r\n--b\r\nX: y\r\n%s\r\nä\r\n--b--\r\n"
)


def test_headers_outside_ascii_are_marked_wherever_they_are() -> None:
    assert is_utf8("Subject: ä\r\n\r\n")
    assert not is_utf8("Subject: a\r\n\r\nä")
    assert is_utf8(PARTS % "Content-Description: ä\r\n")
    assert not is_utf8(PARTS % "")
    assert not is_utf8("Subject: a\r\n\r\n", b"Return-Path: <a@b.c>\r\n")
    assert is_utf8("Subject: a\r\n\r\n", "Return-Path: <ä@b.c>\r\n".encode())


async def test_headers_of_large_messages_are_marked_too() -> None:
    large = "line\r\n" * 200_000
    for message, marked in (
        (PARTS % f"\r\n{large}\r\n--b\r\nX: ä\r\n", True),
        ((PARTS % f"\r\n{large}\r\n--b\r\n").replace("ä", "a"), False),
        (f"X: y\r\n\r\n{large}ä", False),
    ):
        found = read_summary((await summary_of(Octets(message.encode()))).octets)
        assert (Mark.UTF8 in found.marks) is marked


def digest_of(headers: bytes, count: int) -> bytes:
    inner = b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + headers + b"\r\n\r\nx\r\n"
    return b"Subject: many\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + inner * count


FIELDS = (b"From", b"To", b"Cc", b"Bcc")
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


@pytest.mark.parametrize(
    ("nasty", "most"),
    [
        (lambda count: digest_of(b"From: " + b"a:" * 1500, count), 300),
        (lambda count: digest_of(b"From: " + b"a@b.c, " * 700, count), 200),
        (lambda count: digest_of(b"Subject: " + b"x" * 5000, count), 200),
        (lambda count: digest_of(b"From: a\r\nTo: a\r\nCc: \xff\r\nBcc: a:;", count), 5_000),
        (lambda count: b"".join(name + b": " + b"a:;" * count + b"\r\n" for name in FIELDS), 4_000),
        (repeated(b"From: a@b\r\nTo: a@b\r\n"), MIB),
        (repeated(b"<a>", b"References: ", b"\r\n\r\n"), MIB),
        (repeated(b"+AA-", b"Content-Type: text/plain; charset=utf-7\r\n\r\n"), 65536),
        (repeated(b" \r\n\r\n", b"\r\n"), 65536),
        (repeated(b"a:", b"From: ", b"\r\n\r\n"), MIB),
        (repeated(b"=?utf-8?q?a?=", b"Subject: ", b"\r\n\r\n"), MIB),
        (repeated(b"x", b"Message-ID: <", b">\r\n\r\n"), MIB),
        (repeated(b"--b\r\n\r\n", MIXED), 65536),
        (repeated(b"--b\r\nContent-Type: a/b; name=" + b"x" * 5000 + b"\r\n\r\n", MIXED), MIB),
    ],
)  # fmt: skip
def test_no_message_has_a_summary_without_bounds(
    nasty: Callable[[int], bytes], most: int
) -> None:
    in_linear_time(findings, nasty, most)
    in_linear_time(lambda found: found.summary(b"x"), lambda size: findings(nasty(size)), most)
    octets = findings(nasty(most)).summary(b"x" * 50).octets
    assert len(octets) < LONGEST_ENVELOPE + 3 * LONGEST_STRUCTURE
    facts = read_summary(octets)
    assert facts.envelope.startswith(b"(")
    assert facts.bodystructure.endswith(b")")
    assert facts.layout.parts[0].end == len(nasty(most)) + 50


def test_what_has_too_long_a_description_is_one_part() -> None:
    found = facts(digest_of(b"From: " + b"a@b.c, " * 700, 200))
    assert found.description.startswith(b'("application" "octet-stream"')
    assert len(found.layout.parts) == 1
    many = facts(digest_of(b"From: alice@example.org\r\nSubject: one of many", 200))
    assert many.description.startswith(b'(("message" "rfc822"')
    assert len(many.layout.parts) == 401


def test_words_are_those_of_the_whole_summary() -> None:
    octets = summarise(b"Subject: x\r\nReferences: <a@b>\r\n\r\nbody").octets
    facts, words = read_summary(octets), read_words(octets)
    assert words == (facts.envelope, facts.description, facts.bodystructure)
    for damaged in (b"", b"\xff" + octets[1:], octets[:20], octets[:80]):
        with pytest.raises(ValueError, match="summary"):
            read_words(damaged)
