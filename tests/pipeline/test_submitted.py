"""What a submitted message lacks is added, and it is signed by the domains that have keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.interfaces import House, IFilter, ISigner
from mailplat.mail.canonical import RELAXED, Style
from mailplat.mail.compose import received
from mailplat.mail.content import Content
from mailplat.mail.header import Header
from mailplat.mail.signatures import body_hashes, body_start, signatures_of
from mailplat.mail.transit import KEEP, Peer, Transit
from mailplat.pipeline.filters.complete import Complete, CompleteSettings
from mailplat.pipeline.filters.sign import Sign, SignSettings
from mailplat.pipeline.judge import amend
from mailplat.testing.contracts.judges import FilterContract
from mailplat.testing.transits import HELLO, FakeDirectory, new_transit
from mailplat.trust.dkim import check, signed
from mailplat.trust.keys import Algorithm, SigningKey

ALICE = "alice@example.org"
KEYS = {
    "example.org": [
        SigningKey.new("example.org", "one", Algorithm.RSA_SHA256, 1024),
        SigningKey.new("example.org", "two", Algorithm.ED25519_SHA256),
    ],
    "example.net": [SigningKey.new("example.net", "other", Algorithm.ED25519_SHA256)],
}
LETTER = HELLO.replace(b"Carol <carol@example.net>", b"Alice <alice@example.org>")
NOW = 1_700_000_000
HOUSE = House("mx.example.org", Path("/"))


@implementer(ISigner)
class FakeSigner:
    """Has keys for two domains."""

    def domain_for(self, domain: str) -> str:
        while domain and domain not in KEYS:
            domain = domain.partition(".")[2]
        return domain

    async def signed(
        self, domain: str, header: Header, content: Content, style: Style = RELAXED
    ) -> Sequence[bytes]:
        return await signed(header, content, KEYS[domain], NOW, style)


def signing(**settings: Any) -> Sign:
    return Sign(SignSettings(**settings), FakeDirectory(), FakeSigner())


def submitted(octets: bytes = LETTER, login: str = ALICE, sender: str = ALICE) -> Transit:
    return new_transit(octets, login=login, sender=sender)


async def holding(transit: Transit) -> list[str]:
    """Return the names of the signatures that a message bears, all of which hold."""
    signatures = signatures_of(transit.header)
    start = await body_start(transit.header, transit.content)
    hashes = await body_hashes(transit.content, start, signatures)
    records = {key.name: key.record for keys in KEYS.values() for key in keys}
    for one in signatures:
        check(one, transit.header, hashes[one][0], records[str(one)].encode(), NOW)
    return list(map(str, signatures))


async def after(one: Sign | Complete, transit: Transit) -> Transit:
    verdict = await one.judge(transit)
    await amend(transit, verdict.edits, transit.run)
    return transit


OURS = ["one._domainkey.example.org", "two._domainkey.example.org"]


async def test_what_an_account_sends_is_signed() -> None:
    transit = submitted()
    verdict = await signing().judge(transit)
    assert verdict.facts == {"signed": ", ".join(OURS)}
    await amend(transit, verdict.edits, transit.run)
    assert await holding(transit) == OURS


async def test_a_domain_below_is_signed_by_the_one_above() -> None:
    directory = FakeDirectory()
    directory.ways["alice@sub.example.org"] = directory.ways[ALICE]
    octets = LETTER.replace(b"alice@example.org>", b"alice@sub.example.org>", 1)

    class Everywhere(FakeDirectory):
        async def may_send_as(self, *_: object) -> bool:
            return True

    transit = submitted(octets, sender="alice@sub.example.org")
    await after(Sign(SignSettings(), Everywhere(), FakeSigner()), transit)
    assert await holding(transit) == OURS


@pytest.mark.parametrize(
    ("octets", "login", "sender", "names"),
    [
        (LETTER, "", ALICE, []),  # anybody could say so
        (HELLO, ALICE, ALICE, OURS),  # not what carol answers for, but alice
        (HELLO, ALICE, "", []),
        (HELLO, ALICE, "carol@example.net", []),
        (LETTER, ALICE, "", OURS),
        (LETTER, ALICE, "x@example.com", OURS),
        (LETTER.replace(b"From:", b"X-From:"), ALICE, ALICE, []),
        (LETTER.replace(b"From:", b"From: bob@example.net\r\nFrom:"), ALICE, ALICE, []),
    ],
)
async def test_who_answers_for_a_message(
    octets: bytes, login: str, sender: str, names: list[str]
) -> None:
    transit = submitted(octets, login, sender)
    await after(signing(), transit)
    assert await holding(transit) == names
    if not names:
        assert transit.content == new_transit(octets).content


EIGHT = LETTER.replace(
    b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xbc"
)


async def test_texts_are_brought_to_seven_bits_before() -> None:
    transit = submitted(EIGHT)
    await after(signing(), transit)
    octets = await transit.content.read(0, transit.content.size)
    assert octets.isascii()
    assert b"Content-Transfer-Encoding: base64\r\n" in octets
    assert await holding(transit) == OURS


async def test_or_stay_as_they_are() -> None:
    transit = submitted(EIGHT)
    await after(signing(seven_bits=False), transit)
    octets = await transit.content.read(0, transit.content.size)
    assert octets.endswith(EIGHT)
    assert await holding(transit) == OURS


async def test_signatures_are_as_the_settings_say() -> None:
    transit = submitted()
    await after(signing(header="simple", body="simple", lifetime="1 day"), transit)
    assert await holding(transit) == OURS
    for one in signatures_of(transit.header):
        assert one.tags.raw(b"c") == b"simple/simple"
        assert int(one.tags.raw(b"x")) - int(one.tags.raw(b"t")) == 86400


class TestSign(FilterContract):
    @pytest.fixture
    def filter(self) -> IFilter:
        return signing()


# Completing ------------------------------------------------------------------


def completing(**settings: Any) -> Complete:
    clock = Clock()
    clock.advance(NOW)
    return Complete(CompleteSettings(**settings), HOUSE, clock)


async def test_date_and_identifier_are_added_below() -> None:
    octets = LETTER.replace(b"Message-ID: <1@example.net>\r\n", b"")
    transit = await after(completing(), submitted(octets))
    head, _, body = octets.partition(b"\r\n\r\n")
    assert await transit.content.read(0, 999) == (
        head + b"\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
        b"Message-ID: <4f2a@mx.example.org>\r\n\r\n" + body
    )


async def test_what_is_there_stays() -> None:
    octets = b"date: whenever\r\nMESSAGE-ID: odd\r\n" + LETTER
    assert await completing(hide_client=True).judge(submitted(octets)) is KEEP


@pytest.mark.parametrize(("login", "hides"), [(ALICE, True), (ALICE, False), ("", True)])
async def test_a_client_is_hidden(login: str, hides: bool) -> None:
    transit = submitted(login=login)
    transit.peer, transit.greeting = Peer("192.168.1.7", 4000), "laptop.home"
    transit.arrived = datetime(2026, 11, 28, tzinfo=UTC)
    older = b"Received: from 192.168.1.7 by elsewhere; now\r\n"
    octets = received(transit, HOUSE.hostname, transit.arrived) + older + LETTER
    new = submitted(octets, login)
    new.peer, new.greeting, new.arrived = transit.peer, transit.greeting, transit.arrived
    await after(completing(hide_client=hides), new)
    [first, second] = new.header.bodies(b"received")
    is_hidden = hides and bool(login)
    assert (b"laptop.home" not in first and b"192.168.1.7" not in first) is is_hidden
    assert first.startswith(b"from client.invalid\tby mx.example.org with ") is is_hidden
    assert first.endswith(b"; Sat, 28 Nov 2026 00:00:00 +0000".lstrip(b"; "))
    assert second == b"from 192.168.1.7 by elsewhere; now"


class TestComplete(FilterContract):
    @pytest.fixture
    def filter(self) -> IFilter:
        return completing(hide_client=True)
