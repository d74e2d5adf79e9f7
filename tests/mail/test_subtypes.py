"""Each of the fourteen subtypes of RFC 2046, built, and taken apart by others and by us."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Awaitable, Callable
from email.message import Message

import pytest

from mailplat.mail.content import Octets, whole
from mailplat.mail.encodings import decoded
from mailplat.mail.external import external_body, external_part
from mailplat.mail.filenames import file_names
from mailplat.mail.header import Header
from mailplat.mail.layout import Kind
from mailplat.mail.multipart import (
    MimePart,
    attachment,
    message,
    message_part,
    multipart,
    text_part,
)
from mailplat.mail.partial import fragment_of, fragments, reassembled
from mailplat.mail.structure import scan
from mailplat.mail.summary import findings, read_summary, summarise
from mailplat.pytest_plugin import MemoryHouse

UNIQUE = "r4nd0mn3ss"
HEAD = (b"From: a@example.org\r\n", b"Subject: x\r\n")
INNER = b"From: b@example.org\r\nSubject: inner\r\n\r\nhello\r\n"
EVERY_OCTET = bytes(range(256))
NAME = "Übersicht, \"neu\" & 'gut' 漢字.dat"

LEAVES = {
    "text/plain": "Grüße\r\naus Köln\r\n".encode(),
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + EVERY_OCTET * 300,
    "image/gif": b"GIF89a\x01\x00\x01\x00;",
    "video/mpeg": b"\x00\x00\x01\xba" + EVERY_OCTET,
    "audio/basic": b".snd" + bytes(100),
    "application/postscript": b"%!PS-Adobe-3.0\nshowpage\n",
    "application/octet-stream": EVERY_OCTET,
}


async def alternative(subtype: str) -> MimePart:
    return await multipart(subtype, [text_part("plain"), text_part("<p>", "html")], UNIQUE)


async def digest() -> MimePart:
    return await multipart("digest", [await message_part(Octets(INNER))] * 2, UNIQUE)


async def external() -> MimePart:
    return external_part("URL", {"url": "https://www.example.org/"}, "image/gif", b"1@x")


MAKERS: dict[str, Callable[[], Awaitable[MimePart]]] = {
    "message/rfc822": lambda: message_part(Octets(INNER)),
    "message/external-body": external,
    "multipart/mixed": lambda: alternative("mixed"),
    "multipart/parallel": lambda: alternative("parallel"),
    "multipart/alternative": lambda: alternative("alternative"),
    "multipart/digest": digest,
}


def parsed(octets: bytes) -> Message:
    found = email.message_from_bytes(octets, policy=email.policy.compat32)
    assert not [defect for one in found.walk() for defect in one.defects]
    return found


@pytest.mark.parametrize("media_type", LEAVES)
async def test_a_leaf(media_type: str) -> None:
    content = LEAVES[media_type]
    part = await attachment(Octets(content), media_type, NAME)
    mixed = await multipart("mixed", [text_part("see there"), part], UNIQUE)
    octets = await whole(message(HEAD, mixed))

    theirs = parsed(octets).get_payload(1)
    assert isinstance(theirs, Message)
    assert theirs.get_content_type() == media_type
    assert theirs.get_filename() == NAME
    assert theirs.get_payload(decode=True) == content

    structure = scan(octets)
    ours, entity = structure.layout.parts[2], structure.entities[2]
    assert entity.media_type.name == media_type
    assert file_names(entity.media_type, entity.disposition).texts == (NAME,)
    assert decoded(octets[ours.body : ours.end], entity.encoding) == content


@pytest.mark.parametrize("media_type", MAKERS)
async def test_what_has_something_in_it(media_type: str) -> None:
    part = await MAKERS[media_type]()
    octets = await whole(message(HEAD, part))
    assert parsed(octets).get_content_type() == media_type
    structure = scan(octets)
    assert structure.entities[0].media_type.name == media_type
    parts = structure.layout.parts
    theirs = [one.get_content_type() for one in parsed(octets).walk()]
    assert [entity.media_type.name for entity in structure.entities] == [
        *theirs[: 1 if media_type == "message/external-body" else None]
    ]
    if media_type == "message/rfc822":
        assert octets[parts[0].body : parts[0].end] == INNER
        assert parts[0].kind is Kind.MESSAGE
    elif media_type == "multipart/digest":
        assert [octets[one.start : one.end] for one in parts[2::2]] == [INNER] * 2
    elif media_type == "message/external-body":
        body = octets[parts[0].body : parts[0].end]
        found = external_body(structure.entities[0].media_type, body)
        assert found
        assert found.place == "https://www.example.org/"
    else:
        bodies = [octets[one.body : one.end] for one in parts[1:]]
        assert bodies == [b"plain\r\n", b"<p>\r\n"]


async def test_partial() -> None:
    octets = await whole(message(HEAD, text_part("a line\n" * 2000)))
    pieces = [await whole(one) for one in await fragments(Octets(octets), 9000, UNIQUE, "x")]
    for number, piece in enumerate(pieces, 1):
        theirs = email.message_from_bytes(piece)  # which looks for a header in every part
        assert theirs.get_content_type() == "message/partial"
        assert scan(piece).entities[0].media_type.name == "message/partial"
        fragment = fragment_of(Header.parse(piece))
        assert fragment
        assert (fragment.number, fragment.total) == (number, len(pieces))
    together = await reassembled(map(Octets, reversed(pieces)), 1 << 20)
    assert together
    assert parsed(await whole(together)).get_payload() == "a line\r\n" * 2000
    assert await whole(together) == octets


async def built() -> dict[str, list[bytes]]:
    """Return messages of each subtype; of message/partial there are several."""
    found: dict[str, list[bytes]] = {}
    for media_type, content in LEAVES.items():
        part = await attachment(Octets(content), media_type, NAME)
        mixed = await multipart("mixed", [text_part("see there"), part], UNIQUE)
        found[media_type] = [await whole(message(HEAD, mixed))]
    for media_type, make in MAKERS.items():
        found[media_type] = [await whole(message(HEAD, await make()))]
    long = await whole(message(HEAD, text_part("a line\n" * 2000)))
    pieces = await fragments(Octets(long), 9000, UNIQUE, "x")
    found["message/partial"] = [await whole(piece) for piece in pieces]
    return found


def test_all_fourteen_are_sent_and_received_to_the_octet(
    mailplat_house: Callable[..., MemoryHouse],
) -> None:
    house = mailplat_house()
    house.add_account("alice@example.org")
    sent = house.do(built())
    assert len(sent) == 14
    octets = [one for messages in sent.values() for one in messages]
    for one in octets:
        assert house.deliver(one, "alice@example.org").startswith("250")
    received = house.messages("alice@example.org")
    assert len(received) == len(octets)
    for came, went in zip(received, octets, strict=True):
        assert came.endswith(went)
        trace = came.removesuffix(went)
        assert read_summary(summarise(came).octets) == read_summary(
            findings(went).summary(trace).octets
        )
