"""What a client without UTF-8 is shown of a message in it (RFC 6858)."""

from __future__ import annotations

import email.policy
from email.parser import BytesHeaderParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.content import Joined, Octets, whole
from mailplat.mail.downgrade import (
    USUAL_HEADER,
    downgraded,
    downgraded_header,
)
from mailplat.mail.limits import KIB, MIB
from mailplat.mail.words import decoded
from mailplat.testing.fakes import FakeContent

INVALID = "<invalid@internationalized-address.invalid>"


def shown(line: str) -> str:
    """Downgrade one field; return it unfolded, with its encoded words decoded."""
    octets = downgraded_header(line.encode() + b"\r\n")
    assert octets.isascii()
    assert all(len(one) <= 78 for one in octets.split(b"\r\n"))
    return decoded(octets.replace(b"\r\n ", b" ")).removesuffix("\r\n")


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        # Text becomes encoded words (section 3.3).
        ("Subject: Grüße", "Subject: Grüße"),
        ("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus Köln", "Subject: Grüße aus Köln"),
        ("Subject: " + "ä" * 400, "Subject: " + "ä" * 400),
        ("Comments: schön", "Comments: schön"),
        ("Content-Description: Blåbær", "Content-Description: Blåbær"),
        # Addresses that aren't ASCII belong to nobody (section 3.1).
        ("From: fréd@example.org", f"From: fréd@example.org {INVALID}"),
        ("From: Fred Foo <fred@exämple.org>", f"From: Fred Foo <fred@exämple.org> {INVALID}"),
        ("To: <fréd@example.org>", f"To: fréd@example.org {INVALID}"),
        ('To: "fréd foo"@example.org', f'To: "fréd foo"@example.org {INVALID}'),
        # Names keep their addresses.
        ("To: Frédéric <fred@example.org>", "To: Frédéric <fred@example.org>"),
        ('To: "Foo, Frédéric" <fred@example.org>', "To: Foo, Frédéric <fred@example.org>"),
        (r'To: "F \"é\" F" <fred@example.org>', 'To: F "é" F <fred@example.org>'),
        ("To: =?utf-8?q?=C3=A9?= é <a@example.org>", "To: é é <a@example.org>"),
        # What was ASCII stays as it was.
        (
            'To: "Doe, Jane" <jane@example.org>, é <b@example.org>, c@example.org',
            'To: "Doe, Jane" <jane@example.org>, é <b@example.org>, c@example.org',
        ),
        # Groups, comments, empty elements, routes and literals.
        ("To: Freunde é: a@example.org, é <b@example.org>;", "To: Freunde é: a@example.org, é <b@example.org>;"),
        ("To: é:;", "To: é:;"),
        ("Cc: undisclosed: fré@example.org;", f"Cc: undisclosed: fré@example.org {INVALID};"),
        ("Cc: a@example.org (é (nested) é), b@example.org", "Cc: é (nested) é <a@example.org>, b@example.org"),
        ('Cc: a@example.org (é "), b@example.org', 'Cc: é " <a@example.org>, b@example.org'),
        (r"Cc: a@example.org (é \) ), b@example.org", "Cc: é ) <a@example.org>, b@example.org"),
        ("Cc: a@example.org (é, b@example.org", "Cc: a@example.org, b@example.org"),
        ("Cc: , é <a@example.org>,, b@example.org,", "Cc: é <a@example.org>, b@example.org"),
        ("Cc: é <@x,@y:a@example.org>", "Cc: é <@x,@y:a@example.org>"),
        ("Cc: é <a@[IPv6:::1]>", "Cc: é <a@[IPv6:::1]>"),
        ('Cc: é <"a>,b"@example.org>', 'Cc: é <"a>,b"@example.org>'),
        # Parameters go, and what they belong to stays (section 3.2).
        ('Content-Disposition: attachment; filename="blåbær.pdf"', "Content-Disposition: attachment"),
        (
            'Content-Type: text/plain; name="ø;x"; charset=utf-8',
            "Content-Type: text/plain; charset=utf-8",
        ),
        ("Content-Type: tëxt/plain; charset=utf-8", ""),
        ("Content-Type: ; name=ø", ""),
        # All else goes (section 3.4).
        ("Received: from exämple.org by example.org; now", ""),
        ("Message-ID: <é@example.org>", ""),
        ("X-Anything: é", ""),
        ("Sübject: hello", ""),
        ("no field: é", ""),
    ],
)  # fmt: skip
def test_fields_are_downgraded(line: str, seen: str) -> None:
    assert shown(line) == seen


def test_other_fields_keep_every_octet() -> None:
    kept = b"Received: from x\r\n\tby y\r\nSUBJECT:odd  \r\n\tspacing\r\nX: \r\n"
    header = b"From: \xc3\xa9@example.org\r\n" + kept + b"X-Gone: \xc3\xa9\r\n\r\n"
    found = downgraded_header(header)
    assert found.endswith(b">\r\n" + kept + b"\r\n")


def test_what_is_not_utf8_stays() -> None:
    """Nobody said that it was UTF-8, so no client was promised to be spared it."""
    header = b"Subject: Gr\xfc\xdfe\r\n"
    assert downgraded_header(header) == header


def test_ascii_parsers_understand_the_result() -> None:
    header = "From: Frédéric <fred@example.org>, ö@example.org\r\nSubject: ü\r\n\r\n".encode()
    parsed = BytesHeaderParser(policy=email.policy.default).parsebytes(
        downgraded_header(header)
    )
    assert not parsed.defects
    assert not parsed["From"].defects
    assert [one.addr_spec for one in parsed["From"].addresses] == [
        "fred@example.org",
        "invalid@internationalized-address.invalid",
    ]
    assert parsed["From"].addresses[0].display_name == "Frédéric"


words = st.sampled_from(
    ["é", "a", " ", "<", ">", "(", ")", '"', "\\", ",", ":", ";", "[", "]", "@", "=?", "\t"]
)


@given(
    st.sampled_from(["To", "Subject", "Content-Type", "X"]),
    st.lists(words, max_size=12).map("".join),
)
@example("To", "é (")
def test_whatever_stands_there_becomes_one_ascii_field_or_none(name: str, body: str) -> None:
    found = downgraded_header(f"{name}:{body}\r\n".encode())
    assert found.isascii()
    lines = found.split(b"\r\n")
    assert lines.pop() == b""
    for number, line in enumerate(lines):
        assert line.startswith((b" ", b"\t") if number else name.encode() + b":")
    if "é" not in body:
        assert found == f"{name}:{body}\r\n".encode()


@pytest.mark.parametrize("size", [0, 1000, MIB, MIB + 1000])
async def test_the_body_stays_as_it_was(size: int) -> None:
    body = "é".encode() * size
    kept = b"Subject: x\r\n\r\n" + body
    content = Octets(kept)
    assert await downgraded(content, MIB) is content
    found = await downgraded(FakeContent("Subject: é\r\n\r\n".encode() + body), MIB)
    assert await whole(found) == b"Subject: =?utf-8?b?w6k=?=\r\n\r\n" + body
    assert isinstance(found, Joined if size > USUAL_HEADER / 2 else Octets)


async def test_of_a_large_message_only_the_header_is_read() -> None:
    content = FakeContent("Subject: é\r\n\r\n".encode() + b"x\r\n" * 1_000_000)
    await downgraded(content, MIB)
    assert content.reads == [(0, USUAL_HEADER)]


async def test_a_long_header_is_downgraded() -> None:
    header = b"X: x\r\n" * 20_000 + "Subject: é\r\n\r\n".encode()
    found = await whole(await downgraded(Octets(header + b"body\r\n"), MIB))
    assert found.endswith(b"X: x\r\nSubject: =?utf-8?b?w6k=?=\r\n\r\nbody\r\n")


async def test_how_long_a_header_may_be_is_the_operators_business() -> None:
    header = b"X: x\r\n" * 20_000 + "Subject: é\r\n\r\n".encode()
    content = Octets(header + b"body\r\n")
    assert await downgraded(content, len(header)) is not content
    assert await downgraded(content, len(header) - 4 * KIB - 1) is content


async def test_a_header_without_end_is_not_touched() -> None:
    content = Octets(b"S: \xc3\xa9\r\n" + b"X: x\r\n" * (MIB // 5))
    assert await downgraded(content, MIB) is content
