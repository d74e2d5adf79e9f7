"""What is built can be taken apart again, by others too, and has the same octets."""

from __future__ import annotations

import email.policy
from collections.abc import Iterable
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.content import Content, Joined, Octets, whole
from mailplat.mail.envelope import Body
from mailplat.mail.multipart import (
    MimePart,
    attachment,
    message,
    message_part,
    multipart,
    text_part,
)
from mailplat.mail.transfer import Base64
from mailplat.mail.words import text_field
from mailplat.testing.fakes import FakeContent

UNIQUE = "r4nd0mn3ss"
HEAD = (b"From: a@example.org\r\n", b"Subject: x\r\n")
INNER = b"From: b@example.org\r\nSubject: inner\r\n\r\nhello\r\n"


async def parsed(part: MimePart, fields: Iterable[bytes] = HEAD) -> EmailMessage:
    octets = await whole(message(fields, part))
    found = BytesParser(policy=email.policy.default.clone(utf8=True)).parsebytes(octets)
    assert isinstance(found, EmailMessage)
    assert not [defect for one in found.walk() for defect in one.defects]
    assert found["MIME-Version"] == "1.0"
    return found


def octets_of(part: EmailMessage) -> bytes:
    found = part.get_payload(decode=True)
    assert isinstance(found, bytes)
    return found


# Texts.


@pytest.mark.parametrize(
    ("text", "octets", "charset"),
    [
        ("hello", b"hello\r\n", "us-ascii"),
        ("a\nb\r\nc\rd\n", b"a\r\nb\r\nc\r\nd\r\n", "us-ascii"),
        ("", b"\r\n", "us-ascii"),
        ("Grüße", "Grüße\r\n".encode(), "utf-8"),
        ("Привет", "Привет\r\n".encode(), "utf-8"),
    ],
)
async def test_a_text(text: str, octets: bytes, charset: str) -> None:
    for eight_bit in (False, True):
        found = await parsed(text_part(text, language="de", eight_bit=eight_bit))
        assert found.get_content_type() == "text/plain"
        assert found.get_content_charset() == charset
        assert found["Content-Language"] == "de"
        assert octets_of(found) == octets


def test_a_subtype_that_is_none() -> None:
    with pytest.raises(ValueError, match="control"):
        text_part("x", "plain\r\nBcc: x")
    with pytest.raises(ValueError, match="control"):
        text_part("x", language="de\r\nBcc: x")


# Attachments.


@pytest.mark.parametrize(
    ("media_type", "octets"),
    [
        ("text/plain", b"as it was\r\n"),
        ("text/plain", "auch ä\r\n".encode()),
        ("image/jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256))),
        ("image/gif", b"GIF89a\x01\x00\x01\x00;"),
        ("video/mpeg", b"\x00\x00\x01\xba" + bytes(500)),
        ("audio/basic", b".snd" + bytes(100)),
        ("application/postscript", b"%!PS-Adobe-3.0\r\nshowpage\r\n"),
        ("application/postscript", b"%!PS-Adobe-3.0\nshowpage\n"),
        ("application/octet-stream", bytes(range(256)) * 1000),
    ],
)
async def test_an_attachment(media_type: str, octets: bytes) -> None:
    mixed = await multipart(
        "mixed",
        [
            text_part("see there"),
            await attachment(
                FakeContent(octets),
                media_type,
                "a name",
                description="Blåbær",
                content_id=b"1@example.org",
            ),
        ],
        UNIQUE,
    )
    found = await parsed(mixed)
    assert found.get_content_type() == "multipart/mixed"
    first, second = found.iter_parts()
    assert octets_of(first) == b"see there\r\n"
    assert second.get_content_type() == media_type
    assert second.get_content_disposition() == "attachment"
    assert second.get_filename() == "a name"
    assert second["Content-Description"] == "Blåbær"
    assert second["Content-ID"] == "<1@example.org>"
    assert octets_of(second) == octets


async def test_names_are_written_for_all_readers() -> None:
    part = await attachment(Octets(b"x\r\n"), "application/pdf", "blåbær.pdf")
    assert part.fields == (
        b'Content-Type: application/pdf; name="=?utf-8?q?bl=C3=A5b=C3=A6r=2Epdf?="\r\n'
        b"Content-Disposition: attachment; filename*=utf-8''bl%C3%A5b%C3%A6r.pdf\r\n"
    )
    part = await attachment(Octets(b"x\r\n"), "application/pdf", "a.pdf", disposition="inline")
    assert part.fields == (
        b"Content-Type: application/pdf; name=a.pdf\r\n"
        b"Content-Disposition: inline; filename=a.pdf\r\n"
    )


@pytest.mark.parametrize("bad", ["a\r\nBcc: b", "a\nb", "a\0b", "ä\r\nBcc: b"])
async def test_no_name_adds_a_line(bad: str) -> None:
    with pytest.raises(ValueError, match="control"):
        await attachment(Octets(b""), "text/plain", bad)
    with pytest.raises(ValueError, match="control"):
        await attachment(Octets(b""), "text/plain", description=bad)
    with pytest.raises(ValueError, match="control"):
        await attachment(Octets(b""), bad)


# Messages in messages.


@pytest.mark.parametrize(
    ("inner", "subtype", "needs"),
    [
        (INNER, "rfc822", Body.SEVEN_BIT),
        (INNER + "ä\r\n".encode(), "rfc822", Body.EIGHT_BIT),
        ("Subject: ä\r\n\r\nx\r\n".encode(), "global", Body.EIGHT_BIT),
        (INNER + b"\0", "rfc822", Body.BINARY),
        (INNER + b"x" * 2000, "rfc822", Body.BINARY),
    ],
)
async def test_a_message_in_a_message(inner: bytes, subtype: str, needs: Body) -> None:
    part = await message_part(FakeContent(inner))
    assert part.needs is needs
    mixed = await multipart("mixed", [text_part("x"), part], UNIQUE)
    assert mixed.needs is needs
    octets = await whole(message(HEAD, mixed))
    assert octets.count(inner) == 1
    found = await parsed(mixed)
    assert list(found.iter_parts())[1].get_content_type() == f"message/{subtype}"
    encoding = {Body.SEVEN_BIT: None, Body.EIGHT_BIT: "8bit", Body.BINARY: "binary"}[needs]
    assert found["Content-Transfer-Encoding"] == encoding
    assert list(found.iter_parts())[1]["Content-Transfer-Encoding"] == encoding


# Multiparts.


@pytest.mark.parametrize("subtype", ["mixed", "parallel", "alternative", "digest"])
async def test_multiparts(subtype: str) -> None:
    if subtype == "digest":
        parts = [await message_part(Octets(INNER)), await message_part(Octets(INNER))]
    else:
        parts = [text_part("plain"), text_part("<p>rich</p>", "html")]
    found = await parsed(await multipart(subtype, parts, UNIQUE))
    assert found.get_content_type() == f"multipart/{subtype}"
    assert len(list(found.iter_parts())) == 2


async def test_multiparts_in_multiparts() -> None:
    alternative = await multipart(
        "alternative", [text_part("plain"), text_part("<p>", "html")], UNIQUE
    )
    inner = await multipart("mixed", [alternative, text_part("c")], UNIQUE)
    outer = await multipart("mixed", [inner, text_part("d")], UNIQUE, {"x": "y"})
    found = await parsed(outer)
    assert found.get_param("x") == "y"
    names = [one.get_content_type() for one in found.walk()]
    assert names == [
        "multipart/mixed", "multipart/mixed", "multipart/alternative", "text/plain",
        "text/html", "text/plain", "text/plain",
    ]  # fmt: skip


async def test_boundaries_occur_nowhere_else() -> None:
    hostile = b"".join(b"--=_%d_r4nd0mn3ss\r\n" % number for number in range(5))
    content = FakeContent(b"x\r\n" * 21_843 + hostile)  # the first of them is cut in two
    part = await attachment(content, "text/plain")
    assert part.bare == (content,)
    mixed = await multipart(
        "mixed", [part, await message_part(Octets(INNER + hostile))], UNIQUE
    )
    assert b'boundary="=_5_r4nd0mn3ss"' in mixed.fields
    first, _ = (await parsed(mixed)).iter_parts()
    assert octets_of(first) == content.octets


@pytest.mark.parametrize(
    "unique", ["", "short", "a b c d e f g", 'x"; y=zzzzz', "é" * 9, "a" * 51]
)
async def test_what_no_boundary_is_made_of(unique: str) -> None:
    with pytest.raises(ValueError, match="boundary"):
        await multipart("mixed", [text_part("x")], unique)


async def test_a_multipart_has_parts() -> None:
    with pytest.raises(ValueError, match="without parts"):
        await multipart("mixed", [], UNIQUE)


async def test_large_contents_are_not_copied() -> None:
    large: Content = FakeContent(b"line\r\n" * 50_000)
    binary = FakeContent(bytes(300_000))
    inner = await multipart("mixed", [await message_part(large)], UNIQUE)
    outer = await multipart(
        "mixed",
        [text_part("x"), inner, await attachment(binary, "application/octet-stream")],
        UNIQUE,
    )
    whole_message = message(HEAD, outer)
    assert isinstance(whole_message, Joined)
    octets, first, between, second, end = whole_message.pieces
    assert first is large
    assert second == Base64(binary)
    assert isinstance(octets, Octets)
    assert isinstance(between, Octets)
    assert isinstance(end, Octets)


async def test_a_message_of_one_part() -> None:
    assert await whole(message([text_field(b"Subject", "x")], text_part("hello"))) == (
        b"Subject: x\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=us-ascii\r\n\r\nhello\r\n"
    )


lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)
bodies = st.binary(max_size=200) | lines.map(lambda text: text.encode() + b"\r\n")


@given(
    st.lists(
        st.tuples(bodies, st.sampled_from(["text/plain", "image/gif"]), lines), min_size=1
    ),
    st.booleans(),
)
async def test_all_octets_come_back(
    contents: list[tuple[bytes, str, str]], eight_bit: bool
) -> None:
    parts = [
        await attachment(Octets(octets), media_type, name, eight_bit=eight_bit)
        for octets, media_type, name in contents
    ]
    mixed = await multipart("mixed", parts, UNIQUE)
    found = BytesParser(policy=email.policy.compat32).parsebytes(
        await whole(message(HEAD, mixed))
    )
    payload = found.get_payload()
    assert isinstance(payload, list)
    for (octets, media_type, _), part in zip(contents, payload, strict=True):
        assert part.get_payload(decode=True) == octets
        assert part.get_content_type() == media_type
