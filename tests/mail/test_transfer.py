"""Contents travel in the encoding that suits them, and come out as they were."""

from __future__ import annotations

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.content import CHUNK, Octets, whole
from mailplat.mail.encodings import decoded
from mailplat.mail.envelope import Body
from mailplat.mail.transfer import (
    MOST_QUOTED,
    Base64,
    Survey,
    encoded,
    survey_of,
    text_encoded,
)
from mailplat.testing.cuts import cuttings
from mailplat.testing.fakes import FakeContent

SEVEN, EIGHT, BINARY = Body.SEVEN_BIT, Body.EIGHT_BIT, Body.BINARY


@pytest.mark.parametrize(
    ("octets", "needs"),
    [
        (b"", SEVEN),
        (b"a\r\nb", SEVEN),
        (b"\r\n\r\n", SEVEN),
        (b"x" * 998, SEVEN),
        (b"x" * 998 + b"\r\n" + b"x" * 998 + b"\r\n", SEVEN),
        (b"x" * 999, BINARY),
        (b"x" * 999 + b"\r\n", BINARY),
        (b"\xe9\r\n", EIGHT),
        (b"a\0b\r\n", BINARY),
        (b"a\nb\r\n", BINARY),
        (b"a\rb\r\n", BINARY),
        (b"a\r\r\n", BINARY),
        (b"a\n\r\n", BINARY),
        (b"a\r", BINARY),
        (b"\xe9" + b"x" * 998, BINARY),
    ],
)
def test_what_octets_need(octets: bytes, needs: Body) -> None:
    for pieces in cuttings(octets) if len(octets) < 100 else [[octets]]:
        survey = Survey()
        for piece in pieces:
            survey.feed(piece)
        assert survey.needs() is needs
        assert survey.size == len(octets)


@given(st.lists(st.sampled_from([b"\r", b"\n", b"x", b"\xe9", b"x" * 500, b""])))
def test_it_does_not_matter_how_octets_come(pieces: list[bytes]) -> None:
    piecemeal, at_once = Survey(), Survey()
    for piece in pieces:
        piecemeal.feed(piece)
    at_once.feed(b"".join(pieces))
    assert piecemeal == at_once
    octets = b"".join(pieces)
    lines = octets.split(b"\r\n")
    tidy = not any(b"\r" in line or b"\n" in line or len(line) > 998 for line in lines)
    assert (at_once.needs() is not BINARY) is tidy


@pytest.mark.parametrize(
    ("octets", "is_text", "eight_bit", "encoding"),
    [
        (b"plain\r\n", True, False, "7bit"),
        (b"%!PS-Adobe\r\n", False, False, "7bit"),
        ("Grüße aus Köln\r\n".encode(), True, False, "quoted-printable"),
        ("Grüße aus Köln\r\n".encode(), True, True, "8bit"),
        ("Grüße aus Köln\r\n".encode(), False, True, "8bit"),
        ("Grüße aus Köln\r\n".encode(), False, False, "base64"),
        ("Привет, мир\r\n".encode(), True, False, "base64"),
        (b"a" * 2000 + b"\r\n", True, True, "quoted-printable"),
        (b"a" * 2000 + b"\r\n", False, True, "base64"),
        (b"unix\nlines\n", True, False, "base64"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", False, True, "base64"),
        (b"a\0b", True, True, "base64"),
        (("Grüße" + " " * 60 + "\r\n").encode() * 2000, True, False, "base64"),  # large
        (b"a line\r\n" * 20000, True, False, "7bit"),
    ],
)
async def test_the_encoding_suits_the_content(
    octets: bytes, is_text: bool, eight_bit: bool, encoding: str
) -> None:
    found = await encoded(FakeContent(octets), is_text=is_text, eight_bit=eight_bit)
    assert found.encoding == encoding
    assert decoded(await whole(found.body), encoding.encode()) == octets
    assert found.needs is (EIGHT if encoding == "8bit" else SEVEN)
    assert found.bare is (encoding in ("7bit", "8bit"))
    if is_text and len(octets) <= MOST_QUOTED and b"\0" not in octets and b"x\n" not in octets:
        assert text_encoded(octets, eight_bit=eight_bit).encoding == encoding


async def test_of_a_large_binary_only_the_beginning_is_read() -> None:
    content = FakeContent(b"\0" * (50 * CHUNK))
    found = await encoded(content, is_text=False)
    assert content.reads == [(0, CHUNK)]
    assert found.body == Base64(content)


async def test_a_cr_at_the_end_of_a_chunk_decides_nothing() -> None:
    octets = b"x" * 62 + b"\r\n"
    found = await encoded(FakeContent(b"y" + octets * (3 * CHUNK // 64)), is_text=True)
    assert found.encoding == "7bit"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 1000])
async def test_base64_is_the_same_however_it_is_read(size: int) -> None:
    octets = bytes(range(256)) * 4
    content = Base64(Octets(octets[:size]))
    expected = base64.encodebytes(octets[:size]).replace(b"\n", b"\r\n")
    assert content.size == len(expected)
    assert await whole(content) == expected
    for start in range(0, len(expected) + 3, 7):
        for stop in range(start, len(expected) + 3, 11):
            assert await content.read(start, stop) == expected[start:stop]


async def test_of_a_piece_of_base64_only_its_lines_are_read() -> None:
    raw = FakeContent(bytes(1_000_000))
    await Base64(raw).read(780_000, 780_100)
    assert raw.reads == [(570_000, 570_114)]


@given(st.binary() | st.text().map(str.encode), st.booleans())
async def test_octets_come_back(octets: bytes, is_text: bool) -> None:
    found = await encoded(Octets(octets), is_text=is_text)
    sent = await whole(found.body)
    assert decoded(sent, found.encoding.encode()) == octets
    assert (await survey_of(Octets(sent))).needs() is SEVEN
    if found.encoding == "quoted-printable":
        assert quopri.decodestring(sent) == octets
