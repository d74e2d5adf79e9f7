"""What a glance leaves out doesn't have the word."""

from __future__ import annotations

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.search import search_text
from mailplat.mail.searching import Column
from mailplat.mail.seeking import Seeker
from mailplat.mail.structure import scan
from mailplat.testing.growth import in_linear_time, repeated

PARTS = (
    b"Content-Type: text/plain; charset=utf-8\r\n",
    b"Content-Type: text/html; charset=utf-8\r\n",
    b"Content-Type: text/html\r\n",
    b"Content-Type: text/plain; charset=windows-1252\r\n",
    b"Content-Type: text/plain; charset=utf-7\r\n",
    b"Content-Type: text/plain; charset=iso-2022-jp\r\n",
    b"Content-Type: text/plain; charset*=us-ascii''utf-16\r\n",
    b"Content-Type: text/enriched\r\n",
    b"Content-Type: text/plain; format=flowed; delsp=yes\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: application/pdf; name=needle.pdf\r\n",
    b"",
)
ENCODINGS = (
    b"7bit",
    b"8bit",
    b"quoted-printable",
    b"base64",
    b"(x) base64",
    b'"base64"',
    b"x-uuencode",
    b"",
)
PIECES = st.sampled_from(
    [
        b"nee", b"dle", b"needle", b"NEEDLE", b"n", b"e", b"d", b"l", b" ", b"\r\n", b" \r\n", b"=\r\n",
        b"=6E", b"=65", b"<b>", b"</b>", b"<p>", b"<!-- > -->", b"<a title='x>y'>", b'<a t="x<y">', b"<",
        b">", b"<style>", b"</style>", b"<script>e</script>", b"&shy;", b"&#110;", b"&nbsp;", b"&amp;",
        b"&", b"&x=", b"\xc3\xa9", b"\xc2\xad", b"\xe2\x80\x8b", b"\xe2\x80\x99", b"\xef\xbd\x8e",
        b"+AG4-", b"\x1b$B", b"\x1b(B", b"=?utf-8?q?n?=", b"bmVlZGxl", b"--x\r\n", b"\xe9", b"<title>",
        b"</title>", b"<img alt=needle>", b"<<", b"\0", b"'", b'"', b"=",
    ]
)  # fmt: skip
BODIES = st.lists(PIECES, max_size=14).map(b"".join)


def message(fields: bytes, encoding: bytes, body: bytes, subject: bytes) -> bytes:
    if encoding == b"base64":
        body = base64.encodebytes(body)
    if encoding:
        fields += b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    return b"Subject: " + subject + b"\r\n" + fields + b"\r\n" + body


@given(st.sampled_from(PARTS), st.sampled_from(ENCODINGS), BODIES, BODIES)
def test_a_glance_misses_nothing(
    fields: bytes, encoding: bytes, body: bytes, subject: bytes
) -> None:
    octets = message(fields, encoding, body, subject.replace(b"\r\n", b""))
    text = search_text(octets, scan(octets))
    for words in (["needle"], ["needle", "n"], ["d"], ["eedl", "dle"]):
        for columns in (tuple(Column), (Column.BODY,)):
            seeker = Seeker(words, columns)
            assert seeker.holds(octets) == seeker.in_text(text)


@given(st.lists(st.tuples(st.sampled_from(PARTS), BODIES), max_size=3))
def test_a_glance_misses_nothing_in_parts(parts: list[tuple[bytes, bytes]]) -> None:
    octets = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    for number, (fields, body) in enumerate(parts):
        if number % 2:
            body = quopri.encodestring(body)
            fields += b"Content-Transfer-Encoding: quoted-printable\r\n"
        octets += b"--x\r\n" + fields + b"\r\n" + body + b"\r\n"
    seeker = Seeker(["needle"])
    assert seeker.holds(octets) == seeker.in_text(search_text(octets, scan(octets)))


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (["needle"], True),
        (["NEEDLE", "subject 1"], True),
        (["needle", "haystack"], False),
        (["a needle in"], True),
        (["Grüße"], True),
        ([""], True),
        ([], True),
    ],
)
def test_words(words: list[str], holds: bool) -> None:
    octets = "Subject: subject 1\r\n\r\na needle\r\n in grüsse\r\n".encode()
    assert Seeker(words).holds(octets) == holds


@pytest.mark.parametrize(
    "piece", [b"z<!--", b"z<style>", b"z<", b"z<b", b'="<', b"&z", b"charset", b"zq"]
)
def test_time_is_linear(piece: bytes) -> None:
    seeker = Seeker(["zqneedle"])
    messages = repeated(piece, b"Content-Type: text/html\r\n\r\n")
    in_linear_time(seeker._can_not_hold, messages, 1_600_000)
