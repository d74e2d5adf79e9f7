"""What a client without UTF-8 is shown of a message in it (RFC 6858)."""

from __future__ import annotations

import email.policy
from email.parser import BytesHeaderParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.content import Content, Joined, Octets, whole
from mailplat.mail.downgrade import changes, downgraded_header
from mailplat.mail.downgrade import downgraded as downgraded_by_layout
from mailplat.mail.limits import KIB, MIB
from mailplat.mail.splices import changed
from mailplat.mail.structure import scan
from mailplat.mail.words import decoded_words
from mailplat.testing.fakes import FakeContent

LONGEST = MIB
INVALID = "<invalid@internationalized-address.invalid>"


async def downgraded(content: Octets | FakeContent, longest: int) -> Content:
    return await downgraded_by_layout(content, scan(content.octets).layout, longest)


def shown(line: str) -> str:
    """Downgrade one field; return it unfolded, with its encoded words decoded."""
    octets = downgraded_header(line.encode() + b"\r\n")
    assert octets.isascii()
    assert all(len(one) <= 78 for one in octets.split(b"\r\n"))
    return decoded_words(octets.replace(b"\r\n ", b" ")).removesuffix("\r\n")


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        # Text becomes encoded words (section 2.3).
        ("Subject: Grüße", "Subject: Grüße"),
        ("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus Köln", "Subject: Grüße aus Köln"),
        ("Subject: " + "ä" * 400, "Subject: " + "ä" * 400),
        ("Comments: schön", "Comments: schön"),
        ("Content-Description: Blåbær", "Content-Description: Blåbær"),
        # Addresses that aren't ASCII belong to nobody (section 2.1).
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
        # Parameters go, and what they belong to stays (section 2.2).
        ('Content-Disposition: attachment; filename="blåbær.pdf"', "Content-Disposition: attachment"),
        (
            'Content-Type: text/plain; name="ø;x"; charset=utf-8',
            "Content-Type: text/plain; charset=utf-8",
        ),
        ("Content-Type: tëxt/plain; charset=utf-8", ""),
        ("Content-Type: ; name=ø", ""),
        # All else goes (section 2.4).
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
    for kind in (FakeContent, Octets):
        found = await downgraded(kind("Subject: é\r\n\r\n".encode() + body), MIB)
        assert await whole(found) == b"Subject: =?utf-8?b?w6k=?=\r\n\r\n" + body
        assert isinstance(found, Joined if kind is FakeContent else Octets)


async def test_of_a_large_message_only_the_header_is_read() -> None:
    content = FakeContent("Subject: é\r\n\r\n".encode() + b"x\r\n" * 1_000_000)
    await downgraded(content, MIB)
    assert content.reads == [(0, 16 * KIB)]


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


# Parts.

LETTERS = (b"a", "ä".encode(), b"b")
INNER = "From: é@example.org\r\nSubject: ü\r\n\r\nGrüße\r\n"


def parts(*sections: str, header: str = "Subject: x\r\n") -> str:
    bodies = "".join(f"--b\r\n{section}\r\n" for section in sections)
    return (
        f"{header}Content-Type: multipart/mixed; boundary=b\r\n\r\npre ä\r\n{bodies}--b--\r\n"
    )


@pytest.mark.parametrize(
    ("message", "seen"),
    [
        # The headers of parts, and nothing else.
        (
            parts('Content-Disposition: attachment; filename="ä.txt"\r\n\r\nbödy', "\r\nä"),
            parts("Content-Disposition: attachment\r\n\r\nbödy", "\r\nä"),
        ),
        (
            parts("Content-Description: ä\r\nX-Odd: ä\r\n\r\nä", header="Subject: ä\r\n"),
            parts(
                "Content-Description: =?utf-8?b?w6Q=?=\r\n\r\nä",
                header="Subject: =?utf-8?b?w6Q=?=\r\n",
            ),
        ),
        (parts("Subject: =?x?=\r\n\r\nä"), parts("Subject: =?x?=\r\n\r\nä")),
        # Messages in messages.
        (
            parts("Content-Type: message/global\r\n\r\n" + INNER),
            parts(
                "Content-Type: message/rfc822\r\n\r\n"
                "From: =?utf-8?q?=C3=A9=40example=2Eorg?=\r\n"
                " <invalid@internationalized-address.invalid>\r\n"
                "Subject: =?utf-8?b?w7w=?=\r\n\r\nGrüße\r\n"
            ),
        ),
        (
            parts("CONTENT-TYPE: Message/Rfc822\r\n\r\nSubject: ü\r\n\r\nä\r\n"),
            parts("CONTENT-TYPE: Message/Rfc822\r\n\r\nSubject: =?utf-8?b?w7w=?=\r\n\r\nä\r\n"),
        ),
        (
            "Content-Type: message/global\r\n\r\nSubject: ü\r\n\r\nä\r\n",
            "Content-Type: message/rfc822\r\n\r\nSubject: =?utf-8?b?w7w=?=\r\n\r\nä\r\n",
        ),
        (
            ("Content-Type:\r\n\tMESSAGE / Global; x=ä\r\n\r\nContent-Type: message/global\r\n\r\n"
            "X: ü\r\nSubject: s\r\n\r\nä\r\n"),
            ("Content-Type: MESSAGE / rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n"
            "Subject: s\r\n\r\nä\r\n"),
        ),
        # Only what was changed has another type.
        (
            parts("Content-Type: message/global\r\n\r\nSubject: s\r\n\r\nä"),
            parts("Content-Type: message/global\r\n\r\nSubject: s\r\n\r\nä"),
        ),
        (
            parts("Content-Type: message/global\r\n\r\nSubject: s\r\n\r\nä", "X: ä\r\n\r\n"),
            parts("Content-Type: message/global\r\n\r\nSubject: s\r\n\r\nä", "\r\n"),
        ),
        # What is encoded is not looked into.
        (
            parts("Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\nw6Q="),
            parts("Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\nw6Q="),
        ),
        # What is no multipart has no parts.
        ("Content-Type: text/plain\r\n\r\n--b\r\nX: ä\r\n\r\n", "Content-Type: text/plain\r\n\r\n--b\r\nX: ä\r\n\r\n"),
        ("\r\n--b\r\nX: ä\r\n\r\n", "\r\n--b\r\nX: ä\r\n\r\n"),
    ],
)  # fmt: skip
async def test_parts_are_downgraded(message: str, seen: str) -> None:
    octets = message.encode()
    for content in (Octets(octets), FakeContent(octets)):
        found = await downgraded(content, LONGEST)
        assert (await whole(found)).decode() == seen
        assert (found is content) is (message == seen)
    assert content.octets == octets


async def test_of_large_parts_only_what_begins_them_is_read() -> None:
    large = "x\r\n" * 200_000
    message = parts(
        "Content-Description: a\r\n\r\n" + large,
        "Content-Description: ä\r\n\r\n" + large,
        "Content-Description: b\r\n\r\n",
        header="Subject: s\r\n",
    ).replace("pre ä", "pre")
    content = FakeContent(message.encode())
    found = await downgraded(content, LONGEST)
    assert isinstance(found, Joined)
    starts = [message.encode().index(b"Content-Description: " + one) for one in LETTERS]
    end = content.size
    assert content.reads == [(at, min(at + 16 * KIB, end)) for at in (0, *starts[1:])]
    expected = message.replace("tion: ä", "tion: =?utf-8?b?w6Q=?=").encode()
    assert await whole(found) == expected


async def test_a_message_in_ascii_stays() -> None:
    message = parts("X: y\r\n\r\n" + "line\r\n" * 60_000).replace("ä", "a")
    content = FakeContent(message.encode())
    assert await downgraded(content, LONGEST) is content


async def test_a_part_with_too_long_a_header_stays() -> None:
    message = parts("X: ä\r\n" * 10_000 + "\r\nbody", "X: ä\r\n\r\nbody").encode()
    found = await whole(await downgraded(Octets(message), 50_000))
    assert found.count("X: ä\r\n".encode()) == 10_000


pieces_of_mail = st.sampled_from(
    ["--b\r\n", "--b--\r\n", "--c\r\n", "\r\n", "X: ä\r\n", "Subject: ä\r\n", "ä", "\xff",
     "Content-Type: multipart/mixed; boundary=c\r\n", "Content-Type: message/global\r\n",
     "Content-Type: message/rfc822; x=ä\r\n", "Content-Transfer-Encoding: base64\r\n"]
)  # fmt: skip


@given(st.lists(pieces_of_mail, max_size=30), st.integers(0, 3))
async def test_whatever_parts_there_are(sections: list[str], depth: int) -> None:
    message = parts("".join(sections), *["Content-Type: message/global\r\n\r\n"] * depth)
    octets = message.encode("latin-1", "replace").replace(b"\xe4", "ä".encode())
    content = FakeContent(octets)
    found = await downgraded(content, LONGEST)
    assert content.octets == octets
    shown_octets = await whole(found)
    assert shown_octets == await whole(await downgraded(Octets(octets), LONGEST))
    before, after = scan(octets), scan(shown_octets)
    for part in after.layout.parts:
        header = shown_octets[part.start : part.body]
        assert header.isascii() or b"\xff" in header
    kept = [octets[part.body : part.end] for part in before.layout.parts if not part.kind]
    assert [
        shown_octets[part.body : part.end] for part in after.layout.parts if not part.kind
    ] == kept


# What it may cost.


def test_what_does_not_fit_is_left_out_and_what_follows_is_shown() -> None:
    to = b"To: " + "é <a@example.org>, ".encode() * 1001 + b"\r\n"
    long = b"Subject: " + "é".encode() * 20_000 + b"\r\n"
    short = "Subject: é\r\n".encode()
    seen = b"Subject: =?utf-8?b?w6k=?=\r\n"
    assert downgraded_header(to + long + b"X: y\r\n" + short) == b"X: y\r\n" + seen
    assert downgraded_header(short * 1001) == seen * 1000
    many = (b"Cc: " + "é <a@example.org>, ".encode() * 300 + b"\r\n") * 4 + short
    assert downgraded_header(many).count(b"@") == 900
    assert downgraded_header(many).endswith(seen)
    subjects = b"Subject: " + "é".encode() * 7000 + b"\r\n"
    assert downgraded_header(subjects * 6).count(b"Subject") == 4
    left_out = "X: é\r\n".encode() * 100_000
    assert downgraded_header(left_out + short + left_out + b"\r\n") == seen + b"\r\n"


async def test_a_budget_is_for_a_whole_message() -> None:
    message = parts(*["Subject: é\r\n" * 60 + "\r\nx"] * 20).encode()
    found = await whole(await downgraded(Octets(message), LONGEST))
    assert found.count(b"Subject: =?utf-8?b?w6k=?=\r\n") == 1000
    assert found.count(b"\r\n\r\nx\r\n--b") == 20


async def test_behind_many_changes_headers_end_at_the_next() -> None:
    odd = "X: é\r\nY: y\r\n" * 500
    message = parts(*[odd + "\r\nx"] * 6, header="Subject: s\r\n").encode()
    found = await whole(await downgraded(Octets(message), LONGEST))
    assert found.count(b"Y: y\r\n") == 2000
    assert found.endswith(b"--b\r\n\r\nx\r\n" * 2 + b"--b--\r\n")
    for part in scan(found).layout.parts:
        assert found[part.start : part.body].isascii()


async def test_others_have_their_turn_meanwhile() -> None:
    field = b"Subject: " + "é a ".encode() * 1000 + b"\r\n"
    message = parts(*[field.decode() + "\r\nx"] * 10).encode()
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1

    layout = scan(message).layout
    await downgraded_by_layout(FakeContent(message), layout, LONGEST, turn)
    assert turns >= 10
    turns = 0
    small = parts("Subject: é\r\n\r\nx").encode()
    await downgraded_by_layout(FakeContent(small), scan(small).layout, LONGEST, turn)
    assert not turns


async def test_only_what_is_read_is_changed() -> None:
    large = "x\r\n" * 200_000
    message = parts(*["Subject: é\r\n\r\n" + large] * 5).encode()
    content = FakeContent(message)
    found = changed(content, changes(content, scan(message).layout, LONGEST), KIB)
    read = b""
    async for piece in found:
        read += piece
        if b"=?utf-8?b?w6k=?=" in read:
            break
    assert read.endswith(b"--b\r\nSubject: =?utf-8?b?w6k=?=\r\n")
    assert max(stop for _, stop in content.reads) < 20 * KIB
    rest = b"".join([piece async for piece in found])
    assert read + rest == await whole(await downgraded(content, LONGEST))
