"""Messages that were cut apart can be put together again, in whatever order they come."""

from __future__ import annotations

import email
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.content import Excerpt, Joined, Octets, whole
from mailplat.mail.errors import BadContent, MessageTooLarge
from mailplat.mail.header import Header
from mailplat.mail.partial import Fragment, fragment_of, fragments, reassembled
from mailplat.testing.fakes import FakeContent

UNIQUE, HOST = "r4nd0mn3ss", "mx.example.org"
OUTER = (
    b"Received: from a\r\n\tby b; now\r\nFrom: Bill@host.example\r\nTo: joe@otherhost.example\r\n"
    b"Date: Fri, 26 Mar 1993 12:59:38 -0500 (EST)\r\nX-Other: x\r\n"
)
INNER = (
    b"Subject: Audio mail\r\nMessage-ID: <anotherid@foo.example>\r\nMIME-Version: 1.0\r\n"
    b"Content-type: audio/basic\r\nContent-transfer-encoding: base64\r\n"
)
BODY = (b"x" * 76 + b"\r\n") * 500
MIB = 1 << 20


async def test_the_example_of_the_standard() -> None:
    """RFC 2046 section 5.2.2.1, with the fields in its order."""
    first = (
        b"X-Weird-Header-1: Foo\r\nFrom: Bill@host.com\r\nTo: joe@otherhost.com\r\n"
        b"Date: Fri, 26 Mar 1993 12:59:38 -0500 (EST)\r\nSubject: Audio mail (part 1 of 2)\r\n"
        b"Message-ID: <id1@host.com>\r\nMIME-Version: 1.0\r\n"
        b'Content-type: message/partial; id="ABC@host.com";\r\n number=1; total=2\r\n\r\n'
        b"X-Weird-Header-1: Bar\r\nX-Weird-Header-2: Hello\r\nMessage-ID: <anotherid@foo.com>\r\n"
        b"Subject: Audio mail\r\nMIME-Version: 1.0\r\nContent-type: audio/basic\r\n"
        b"Content-transfer-encoding: base64\r\n\r\n  first half\r\n"
    )
    second = (
        b"From: Bill@host.com\r\nTo: joe@otherhost.com\r\n"
        b"Date: Fri, 26 Mar 1993 12:59:38 -0500 (EST)\r\nSubject: Audio mail (part 2 of 2)\r\n"
        b"MIME-Version: 1.0\r\nMessage-ID: <id2@host.com>\r\n"
        b'Content-type: message/partial; id="ABC@host.com"; number=2; total=2\r\n\r\n'
        b"  second half\r\n"
    )
    for parts in ([first, second], [second, first]):
        found = await reassembled(map(FakeContent, parts), MIB)
        assert found is not None
        assert await whole(found) == (
            b"X-Weird-Header-1: Foo\r\nFrom: Bill@host.com\r\nTo: joe@otherhost.com\r\n"
            b"Date: Fri, 26 Mar 1993 12:59:38 -0500 (EST)\r\n"
            b"Message-ID: <anotherid@foo.com>\r\nSubject: Audio mail\r\nMIME-Version: 1.0\r\n"
            b"Content-type: audio/basic\r\nContent-transfer-encoding: base64\r\n\r\n"
            b"  first half\r\n  second half\r\n"
        )


async def test_a_message_apart_and_together() -> None:
    message = OUTER + INNER + b"\r\n" + BODY
    content = FakeContent(message)
    parts = await fragments(content, 10_000, UNIQUE, HOST)
    assert len(parts) == 5
    assert all(part.size <= 10_000 for part in parts)
    for number, part in enumerate(parts, 1):
        octets = await whole(part)
        found = email.message_from_bytes(octets)
        assert found.get_content_type() == "message/partial"
        assert found.get_param("number") == str(number)
        assert found.get_param("total") == "5"
        assert found["Subject"] == f"Audio mail ({number}/5)"
        assert found["From"] == "Bill@host.example"
        before = f"<r4nd0mn3ss.{number - 1}@mx.example.org>" if number > 1 else None
        assert found["References"] == before
        assert found["Message-ID"] == f"<r4nd0mn3ss.{number}@mx.example.org>"
        assert ("X-Other" in found) is ("Received" in found) is (number == 1)
        assert octets.endswith(b"\r\n")
    random.Random(1).shuffle(parts)
    together = await reassembled(parts, MIB)
    assert together is not None
    assert await whole(together) == message


async def test_fields_in_another_order_come_back_too() -> None:
    message = INNER + OUTER + b"\r\n" + BODY
    together = await reassembled(await fragments(Octets(message), 10_000, UNIQUE, HOST), MIB)
    assert together is not None
    assert await whole(together) == OUTER + INNER + b"\r\n" + BODY


async def test_a_small_message_is_its_only_part() -> None:
    content = Octets(OUTER + b"\r\nx\xff\r\n")
    assert await fragments(content, content.size, UNIQUE, HOST) == [content]


async def test_parts_are_not_copied() -> None:
    content = FakeContent(OUTER + INNER + b"\r\n" + BODY)
    first, *_ = await fragments(content, 10_000, UNIQUE, HOST)
    assert isinstance(first, Joined)
    assert isinstance(first.pieces[1], Excerpt)


@pytest.mark.parametrize("body", [b"\xff\r\n", b"\0\r\n", b"a\nb", b"x" * 999 + b"\r\n"])
async def test_only_7bit_is_cut(body: bytes) -> None:
    with pytest.raises(BadContent):
        await fragments(Octets(OUTER + INNER + b"\r\n" + BODY + body), 10_000, UNIQUE, HOST)


@pytest.mark.parametrize("size", [0, 100, 4300])
async def test_parts_have_room_for_lines(size: int) -> None:
    with pytest.raises(ValueError, match="parts of"):
        await fragments(Octets(OUTER + INNER + b"\r\n" + BODY), size, UNIQUE, HOST)


async def test_there_is_an_end_to_parts() -> None:
    with pytest.raises(ValueError, match="parts of"):
        await fragments(Octets(OUTER + INNER + b"\r\n" + BODY * 200), 5000, UNIQUE, HOST)


lines = st.lists(st.integers(0, 998), max_size=60)


@given(lines, st.integers(5000, 9000), st.randoms(use_true_random=False), st.booleans())
async def test_any_lines_come_back(
    lengths: list[int], size: int, chance: random.Random, ended: bool
) -> None:
    body = b"\r\n".join(b"%d" % length + b"-" * max(length - 3, 0) for length in lengths)
    message = OUTER + INNER + b"\r\n" + body + (b"\r\n" if ended else b"")
    parts = await fragments(Octets(message), size, UNIQUE, HOST)
    assert all(part.size <= size for part in parts)
    if len(parts) == 1:
        return
    assert all([(await whole(part)).endswith(b"\r\n") for part in parts[:-1]])
    chance.shuffle(parts)
    together = await reassembled([*parts, parts[0]], MIB)
    assert together is not None
    assert await whole(together) == message


# What is no whole.


def part(type_: bytes, body: bytes = b"x\r\n") -> Octets:
    return Octets(b"Subject: x\r\nContent-Type: message/partial; " + type_ + b"\r\n\r\n" + body)


ONE = b"id=a; number=1; total=2"
TWO = b"id=a; number=2; total=2"


@pytest.mark.parametrize(
    ("types", "whole_"),
    [
        ([ONE, TWO], True),
        ([b"id=a; number=1", TWO], True),
        ([b"NUMBER=01; ID=a", TWO], True),
        ([b'number="1"; id="a"', TWO], True),
        ([ONE, TWO, TWO, ONE], True),
        ([b"id=a; number=1; total=1"], True),
        ([], False),
        ([ONE], False),
        ([TWO], False),
        ([b"id=a; number=1", b"id=a; number=2"], False),
        ([ONE, b"id=b; number=2; total=2"], False),
        ([ONE, b"id=a; number=2; total=3"], False),
        ([ONE, TWO, b"id=a; number=3"], False),
        ([ONE, b"id=a; number=3; total=2"], False),
        ([b"id=a; number=0; total=1"], False),
        ([b"id=a; total=1"], False),
        ([b"id=; number=1; total=1"], False),
        ([b"id=a; number=x; total=1"], False),
        ([b"id=a; number=1; total=99999999999999"], False),
        ([b"id=a; number=1; total=1\r\nContent-Transfer-Encoding: base64"], False),
        ([b"id=a; number=1; total=1\r\nContent-Transfer-Encoding: 8BIT"], True),
    ],
)
async def test_what_is_a_whole(types: list[bytes], whole_: bool) -> None:
    found = await reassembled(map(part, types), MIB)
    assert (found is not None) is whole_


async def test_other_messages_are_no_parts() -> None:
    assert await reassembled([Octets(b"Subject: x\r\n\r\n")], MIB) is None
    assert await reassembled([Octets(b"")], MIB) is None
    assert fragment_of(Header(b"Content-Type: message/partial")) is None
    header = Header(b"Content-Type: Message/Partial; number=2; id*=utf-8''%61")
    assert fragment_of(header) == Fragment(b"a", 2)


async def test_a_whole_has_a_limit() -> None:
    parts = [part(ONE, b"x" * 100), part(TWO, b"x" * 100)]
    assert await reassembled(parts, 200) is not None
    with pytest.raises(MessageTooLarge):
        await reassembled(parts, 199)


async def test_a_message_inside_without_header() -> None:
    found = await reassembled([part(ONE, b"no field\r\n"), part(TWO, b"")], MIB)
    assert found is not None
    assert await whole(found) == b"\r\n"
    found = await reassembled([part(ONE, b"\r\nbody\r\n"), part(TWO, b"more")], MIB)
    assert found is not None
    assert await whole(found) == b"\r\nbody\r\nmore"


@given(st.binary(max_size=200), st.binary(max_size=200))
async def test_any_octets_are_no_mishap(first: bytes, second: bytes) -> None:
    found = await reassembled([part(ONE, first), part(TWO, second)], MIB)
    assert found is not None
    assert len(await whole(found)) == found.size
    fragment_of(Header(b"Content-Type: message/partial;" + first))
