"""Trace fields say what happened and nothing that a stranger put into their mouth."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.address import Address
from mailplat.mail.compose import delivered_to, received, return_path
from mailplat.mail.dates import date_text
from mailplat.mail.header import Header
from mailplat.mail.transit import Peer
from mailplat.testing.transits import new_transit

NOW = datetime(2026, 11, 3, 9, 5, 7, tzinfo=UTC)


def test_a_received_field() -> None:
    transit = new_transit(protocol="ESMTPS")
    transit.greeting = "mail.example.net"
    transit.secured = "TLSv1.3"
    assert received(transit, "mx.example.org", NOW) == (
        b"Received: from mail.example.net ([192.0.2.1])\r\n"
        b"\tby mx.example.org with ESMTPS (TLSv1.3) id 4f2a\r\n"
        b"\tfor <alice@example.org>;\r\n"
        b"\tTue, 3 Nov 2026 09:05:07 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("to", "named"),
    [
        (["alice@example.org"], True),
        (["alice@example.org", "bob@example.org"], False),  # neither learns of the other
        (["ülf@example.org"], False),
        (['"a b"@example.org'], True),
        (["postmaster"], True),
    ],
)
def test_one_recipient_is_named(to: list[str], named: bool) -> None:
    field = received(new_transit(to=to), "mx.example.org", NOW)
    assert (b"\r\n\tfor <" in field) is named


@pytest.mark.parametrize(
    ("greeting", "peer", "begins"),
    [
        ("", Peer("192.0.2.1", 1), b"Received: from [192.0.2.1] ([192.0.2.1])\r\n"),
        ("[10.0.0.1]", Peer("192.0.2.1", 1), b"Received: from [192.0.2.1] ([192.0.2.1])\r\n"),
        ("x", Peer("2001:db8::1", 1), b"Received: from x ([IPv6:2001:db8::1])\r\n"),
        ("x", Peer(path="/run/lmtp"), b"Received: from x (localhost)\r\n"),
        ("a\r\nBcc: b", Peer("192.0.2.1", 1), b"Received: from a?Bcc:?b ([192.0.2.1])\r\n"),
        ("(;<>", Peer("192.0.2.1", 1), b"Received: from ? ([192.0.2.1])\r\n"),
    ],
)
def test_where_it_came_from(greeting: str, peer: Peer, begins: bytes) -> None:
    transit = new_transit()
    transit.greeting, transit.peer = greeting, peer
    assert received(transit, "mx.example.org", NOW).startswith(begins)


@given(st.text())
def test_no_greeting_makes_another_field(greeting: str) -> None:
    transit = new_transit()
    transit.greeting = greeting
    field = received(transit, "mx.example.org", NOW)
    header = Header.parse(field + b"\r\n")
    assert [one.name for one in header.fields] == [b"Received"]
    assert header.octets == field
    assert field.isascii()
    assert max(map(len, field.split(b"\r\n"))) < 998


def test_the_fields_of_a_final_delivery() -> None:
    assert return_path(None) == b"Return-Path: <>\r\n"
    assert return_path(Address("a", "b.org")) == b"Return-Path: <a@b.org>\r\n"
    assert delivered_to(Address("a b", "b.org")) == b'Delivered-To: "a b"@b.org\r\n'


@pytest.mark.parametrize("hours", [-11, 0, 5])
def test_dates_are_in_utc(hours: int) -> None:
    moment = NOW.astimezone(timezone(timedelta(hours=hours)))
    assert date_text(moment) == "Tue, 3 Nov 2026 09:05:07 +0000"


def test_dates_are_as_the_rfc_has_them() -> None:
    days = [date_text(NOW + timedelta(days=n)) for n in range(0, 400, 13)]
    grammar = (
        r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000"
    )
    assert all(re.fullmatch(grammar, day) for day in days)
