"""Hosts inside are shown as the house, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.interfaces import IFilter
from mailplat.mail.address import Address
from mailplat.mail.masks import Mask, MaskFields
from mailplat.mail.transit import KEEP
from mailplat.pipeline.filters.masquerade import Masquerade, MasqueradeSettings
from mailplat.pipeline.judge import amend
from mailplat.testing.contracts.judges import FilterContract
from mailplat.testing.transits import HELLO, new_transit

SETTINGS: dict[str, Any] = {
    "domains": ["example.org", "b\u00fccher.example"],
    "spare": ["Root"],
    "addresses": {"cron@web.example.org": "ops@example.org", "@old.example": "@new.example"},
}


def masquerade(**more: Any) -> Masquerade:
    return Masquerade(MasqueradeSettings(**{**SETTINGS, **more}))


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("www@web.example.org", "www@example.org"),
        ("www@a.b.example.org", "www@example.org"),
        ("www@example.org", "www@example.org"),
        ("www@notexample.org", "www@notexample.org"),
        ("root@web.example.org", "root@web.example.org"),
        ("CRON@web.example.org", "ops@example.org"),
        ("any@old.example", "any@new.example"),
        ("any@sub.old.example", "any@sub.old.example"),
        ("a@x.b\u00fccher.example", "a@xn--bcher-kva.example"),
    ],
)
def test_addresses(inside: str, outside: str) -> None:
    assert str(masquerade().mask.of(Address.parse(inside))) == outside


async def test_a_message() -> None:
    octets = (
        b"From: =?utf-8?q?J=C3=BCrgen?= <j@web.example.org>\r\n"
        b"sender: cron@web.example.org (Cron)\r\n"
        b'To: a@b.example,\r\n "C, D" <c@db.example.org>\r\n'
        b"Cc: friends: a@web.example.org;\r\n"
        b"Bcc: <broken@web.example.org\r\n"
        b"Subject: x@web.example.org\r\n\r\nx@web.example.org\r\n"
    )
    transit = new_transit(octets, sender="www@web.example.org")
    verdict = await masquerade().judge(transit)
    await amend(transit, verdict.edits, transit.run)
    assert str(transit.envelope.sender) == "www@example.org"
    assert verdict.facts == {"sender": "www@web.example.org"}
    assert await transit.content.read(0, 999) == (
        b"From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\n"
        b"sender: Cron <ops@example.org>\r\n"
        b'To: a@b.example, "C, D" <c@example.org>\r\n'
        b"Cc: friends: a@web.example.org;\r\n"
        b"Bcc: <broken@web.example.org\r\n"
        b"Subject: x@web.example.org\r\n\r\nx@web.example.org\r\n"
    )


async def test_what_needs_no_mask_stays() -> None:
    transit = new_transit(b"From:  carol@example.org (odd)\r\nTo:x@example.com\r\n\r\n")
    assert await masquerade().judge(transit) is KEEP
    assert await masquerade().judge(new_transit(HELLO, sender="")) is KEEP


@given(
    st.lists(
        st.sampled_from(
            [b"From: ", b"To:", b"a@w.example.org", b"<", b">", b",", b" ", b"\r\n", b"\r\n ",
             b'"', b"(", b")", b":", b";", b"\xff", b"=?utf-8?q?x?=", b"\0"]
        )
    ).map(b"".join)
)  # fmt: skip
def test_any_header_can_be_masked(octets: bytes) -> None:
    transit = new_transit(octets + b"\r\n\r\n")
    step = MaskFields(Mask(("example.org",)))
    once = step(list(transit.header.lines))
    assert step(once) == once
    assert len(once) == len(transit.header.lines)


@pytest.mark.parametrize(
    "wrong",
    [
        {"domains": ["a b"]},
        {"addresses": {"a@b.example": "@c.example"}},
        {"addresses": {"@b.example": "a@c.example"}},
        {"addresses": {"a": "a@c.example"}},
        {"addresses": {"@b..example": "@c.example"}},
    ],
)
def test_settings_that_make_no_sense(wrong: Any) -> None:
    with pytest.raises(ValueError):
        MasqueradeSettings(**wrong)


class TestMasquerade(FilterContract):
    @pytest.fixture
    def filter(self) -> IFilter:
        return masquerade()
