"""What a glance leaves out doesn't have the word."""

from __future__ import annotations

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.search import search_text
from mailplat.mail.searching import Column
from mailplat.mail.seeking import Held, Seeker
from mailplat.mail.structure import scan, scan_bodies
from mailplat.testing.growth import in_linear_time, repeated

PARTS = (
    b"Content-Type: text/plain; charset=utf-8\r\n",
    b"Content-Type: text/html; charset=utf-8\r\n",
    b"Content-Type: text/html\r\n",
    b"Content-Type: text/plain; charset=windows-1252\r\n",
    b"Content-Type: text/html; charset=iso-8859-1\r\n",
    b"Content-Type: text/plain; charset=big5\r\n",
    b"content-type : Text/Plain;\r\n charset=UTF-8\r\n",
    b"Content-Type: text/plain\r\nContent-Type: text/html\r\n",
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
        b"<span style='display:none'>", b"</span>", b"<i hidden>x", b"</i>", b"&", b"#101", b";", b"&#1", b"01;",
        b"&eacute;", b"&fflig;", b"&Tab;", b"&x0", b"\xcc\x81", b"\xc2\xa0", b"\xef\xac\x81", b"\xc2\xaa", b"\xe2\x84\xa2",
        b"\xd0\xb5", b"e\xcc\x81", b"\t", b"\x1c", b"<o:p></o:p>", b"</td>", b"needle needle", b"le nee", b"dle d",
    ]
)  # fmt: skip
WORDS = (
    ["needle"], ["needle", "n"], ["d"], ["eedl", "dle"], ["needle needle"], ["dle n"], ["n e d l"],
    ["needle\u0301"], ["needle-needle"], ["<needle>"], ["é needle"], ["needle" * 9],
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
    for words in WORDS:
        for columns in (tuple(Column), (Column.BODY,), (Column.SUBJECT, Column.FILES)):
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
    text = search_text(octets, scan(octets))
    for words in WORDS:
        seeker = Seeker(words)
        assert seeker.holds(octets) == seeker.in_text(text)


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


def test_most_are_told_at_a_glance() -> None:
    """Or else it would be correct, and of no use."""
    marked = '<html><body><p class="a">It&nbsp;is<br>caf&eacute; &amp; <b>more</b></p></body>'
    messages = [
        b"\r\nplainly",
        "Content-Type: text/plain; charset=utf-8\r\n\r\ncafé, Россия, 漢字".encode(),
        b"Content-Type: text/html; charset=utf-8\r\n\r\n" + marked.encode(),
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(b"hidden"),
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nin the header",
    ]
    for octets in messages:
        for word in ("needle", "needle and thread"):
            glance = Seeker([word])._glance(octets, scan_bodies(octets))
            assert glance is (Held.MAYBE if b"Gr=" in octets else Held.NO)
    assert Seeker(["plainly"])._glance(messages[0], scan_bodies(messages[0])) is Held.YES


@given(st.lists(st.sampled_from([
    b"Content-Type: text/html\r\n", b"content-TYPE:a/b\n", b"X: Content-Type: c/d\r\n", b" Content-Type: e/f\r\n",
    b"Content-Disposition: attachment;\r\n\tfilename=x\r\n", b"Content-Type\r\n", b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Type:\r\n multipart/mixed; boundary=x\r\n", b"Subject: x\r\n", b"\rContent-Type: g/h\r\n", b"\n",
])).map(b"".join), st.sampled_from([b"", b"\r\n", b"\n--x\r\nContent-Type: text/html\r\n\r\nx\r\n--x--\r\n"]))  # fmt: skip
def test_parts_are_the_same_without_the_header(header: bytes, rest: bytes) -> None:
    octets = header + b"\r\n" + rest
    assert scan_bodies(octets)[:2] == scan(octets)[:2]


@pytest.mark.parametrize(
    "piece",
    [
        *(b"z<!--", b"z<style>", b"z<", b"z<b", b'="<', b"='=\"", b"&z", b"charset", b"zq"),
        *(b"zq ", b"zq<b>", b"q>z", b"<z>", b"zq&nbsp;", b"\nContent-", "é\u0301".encode()),
    ],
)
def test_time_is_linear(piece: bytes) -> None:
    seeker = Seeker(["zqneedle", "zq zq zq zq zq zq zq needle", "needle" * 1000])
    messages = repeated(piece, b"Content-Type: text/html\r\n\r\n")
    in_linear_time(
        lambda octets: seeker._glance(octets, scan_bodies(octets)), messages, 1_600_000
    )
