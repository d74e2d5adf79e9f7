"""Sections are found by IMAP's numbers, and the table of parts can be kept."""

from __future__ import annotations

import pytest

from mailplat.mail.layout import Kind, Layout, Range, Span, SpanKind
from mailplat.mail.structure import scan

# The example of RFC 9051 section 6.4.5.1, with bodies by which the parts are known.
EXAMPLE = b"""\
Subject: outer\r
Content-Type: multipart/mixed; boundary=a\r
\r
preamble\r
--a\r
\r
text of 1\r
--a\r
Content-Type: application/octet-stream\r
\r
octets of 2\r
--a\r
Content-Type: message/rfc822\r
\r
Subject: of 3\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
\r
text of 3.1\r
--b\r
Content-Type: application/octet-stream\r
\r
octets of 3.2\r
--b--\r
--a\r
Content-Type: multipart/mixed; boundary=c\r
\r
--c\r
Content-Type: image/gif\r
\r
image of 4.1\r
--c\r
Content-Type: message/rfc822\r
\r
Subject: of 4.2\r
Content-Type: multipart/mixed; boundary=d\r
\r
--d\r
\r
text of 4.2.1\r
--d\r
Content-Type: multipart/alternative; boundary=e\r
\r
--e\r
\r
text of 4.2.2.1\r
--e\r
Content-Type: text/richtext\r
\r
text of 4.2.2.2\r
--e--\r
--d--\r
--c--\r
--a--\r
epilogue\r
"""


def section(message: bytes, name: str) -> bytes | None:
    found = scan(message).layout.section(name)
    return None if found is None else message[found.start : found.stop]


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("1", b"text of 1"),
        ("2", b"octets of 2"),
        ("3.1", b"text of 3.1"),
        ("3.2", b"octets of 3.2"),
        ("4.1", b"image of 4.1"),
        ("4.2.1", b"text of 4.2.1"),
        ("4.2.2.1", b"text of 4.2.2.1"),
        ("4.2.2.2", b"text of 4.2.2.2"),
        ("1.MIME", b"\r\n"),
        ("4.1.MIME", b"Content-Type: image/gif\r\n\r\n"),
        ("4.2.2.MIME", b"Content-Type: multipart/alternative; boundary=e\r\n\r\n"),
        ("3.MIME", b"Content-Type: message/rfc822\r\n\r\n"),
        ("3.HEADER", b"Subject: of 3\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"),
        ("4.2.header", b"Subject: of 4.2\r\nContent-Type: multipart/mixed; boundary=d\r\n\r\n"),
        ("HEADER", EXAMPLE[: EXAMPLE.index(b"preamble")]),
        ("TEXT", EXAMPLE[EXAMPLE.index(b"preamble") :]),
        ("", EXAMPLE),
        ("0", None),
        ("5", None),
        ("1.1", None),
        ("1.HEADER", None),
        ("1.TEXT", None),
        ("4.TEXT", None),
        ("3.3", None),
        ("4.2.2.3", None),
        ("MIME", None),
        ("1.", None),
        ("1..2", None),
        (".1", None),
        ("1HEADER", None),
        ("999999999999", None),
        ("\u0661", None),
        ("nonsense", None),
    ],
)
def test_sections_are_found(name: str, octets: bytes | None) -> None:
    assert section(EXAMPLE, name) == octets


def test_the_text_of_a_message_in_a_part_is_its_body() -> None:
    whole = section(EXAMPLE, "3")
    header = section(EXAMPLE, "3.HEADER")
    assert whole == header + section(EXAMPLE, "3.TEXT")
    assert section(EXAMPLE, "4.2.TEXT").startswith(b"--d\r\n")


@pytest.mark.parametrize(
    ("message", "name", "octets"),
    [
        (b"A: b\r\n\r\nbody", "1", b"body"),
        (b"A: b\r\n\r\nbody", "1.MIME", b"A: b\r\n\r\n"),
        (b"A: b\r\n\r\nbody", "2", None),
        (b"A: b\r\n\r\nbody", "1.1", None),
        (b"A: b\r\n\r\nbody", "1.TEXT", None),
        (b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nbody", "1", b"A: b\r\n\r\nbody"),
        (b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nbody", "1.1", b"body"),
        (b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nbody", "1.TEXT", b"body"),
        (b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nbody", "1.1.MIME", b"A: b\r\n\r\n"),
        (b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nbody", "1.2", None),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\nnothing", "1", b""),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\nnothing", "1.MIME", b""),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\nnothing", "2", None),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\nnothing", "1.1", None),
    ],
)
def test_sections_of_single_parts(message: bytes, name: str, octets: bytes | None) -> None:
    assert section(message, name) == octets


def test_a_part_knows_its_number() -> None:
    layout = scan(EXAMPLE).layout
    numbers = [".".join(map(str, layout.number(part))) for part in range(len(layout.parts))]
    assert numbers == [
        *("", "1", "2", "3", "3", "3.1", "3.2"),  # the second 3 is the message in the part
        *("4", "4.1", "4.2", "4.2", "4.2.1", "4.2.2", "4.2.2.1", "4.2.2.2"),
    ]


def test_a_part_has_a_header_and_a_content() -> None:
    part = scan(b"A: b\r\n\r\nbody").layout.parts[0]
    assert (part.header, part.content) == (Range(0, 8), Range(8, 12))


def test_the_pieces_say_what_they_are() -> None:
    message = (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\np\r\n--x\r\n\r\none\r\n--x--\r\ne"
    )
    pieces = list(scan(message).layout.spans())
    assert [
        (piece.what, piece.part, message[piece.start : piece.stop]) for piece in pieces
    ] == [
        (SpanKind.HEADER, 0, b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"),
        (SpanKind.PREAMBLE, 0, b"p"),
        (SpanKind.DELIMITER, 0, b"\r\n--x\r\n"),
        (SpanKind.HEADER, 1, b"\r\n"),
        (SpanKind.BODY, 1, b"one"),
        (SpanKind.DELIMITER, 0, b"\r\n--x--"),
        (SpanKind.EPILOGUE, 0, b"\r\ne"),
    ]
    assert list(scan(b"").layout.spans()) == []
    assert next(scan(b"x").layout.spans()) == Span(SpanKind.HEADER, 0, 0, 1)


def test_a_table_is_small_and_has_a_version() -> None:
    layout = scan(EXAMPLE).layout
    packed = layout.pack()
    assert packed[0] == 1
    assert len(packed) < 500
    assert Layout.unpack(packed) == layout


def test_a_huge_message_has_a_table_too() -> None:
    part = scan(b"").layout.parts[0]
    layout = Layout((part._replace(body=2**33, preamble=2**33, epilogue=2**33, end=2**40),))
    assert Layout.unpack(layout.pack()) == layout
    edge = Layout((part._replace(end=2**32 - 1, epilogue=2**32 - 1),))
    assert Layout.unpack(edge.pack()) == edge


PACKED = scan(EXAMPLE).layout.pack()


@pytest.mark.parametrize(
    "octets",
    [b"", b"\x02" + PACKED[1:], PACKED[:3], PACKED[:-1], PACKED + b"x", PACKED[:6] + b"\xff" + PACKED[7:],
     PACKED[:-4] + b"\x09\0\0\0"],
)  # fmt: skip
def test_what_is_no_table_is_refused(octets: bytes) -> None:
    with pytest.raises(ValueError):
        Layout.unpack(octets)


def test_kinds_keep_their_numbers() -> None:
    """They stand in tables that are kept."""
    assert [(kind.name, kind.value) for kind in Kind] == [
        ("OTHER", 0),
        ("TEXT", 1),
        ("MULTIPART", 2),
        ("MESSAGE", 3),
    ]
