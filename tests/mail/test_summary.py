"""What a summary says of a message, whatever its octets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.content import Octets
from mailplat.mail.identifiers import LONGEST_IDENTIFIER, REFERENCES
from mailplat.mail.summary import Facts, read_summary, summarise, summary_of

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
    "nasty",
    [
        b"\nMessage-ID: " * 80_000,
        b"\r\n " * 300_000,
        b"Message-ID:" + b"\r\n " * 300_000,
        b"References: " + b"<a" * 500_000,
        b"References: " + b"<a>" * 300_000,
        b"Date: " + b" " * 1_000_000,
        b"Date: " + b"a " * 500_000,
        b"Date: 1 Jan" + b"a" * 1_000_000,
    ],
    ids=lambda nasty: repr(nasty[:20]),
)
def test_nasty_headers_cost_no_more_than_their_length(nasty: bytes) -> None:
    began = time.process_time()
    summarise(nasty)
    assert time.process_time() - began < 0.5


def test_a_later_version_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="version 9"):
        read_summary(b"\x09" + summarise(REPLY).octets[1:])


async def test_a_content_is_read_no_further_than_its_header() -> None:
    assert await summary_of(Octets(REPLY)) == summarise(REPLY)
