"""The parts of a message are found where they lie, however broken it is or is cut."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail import structure as module
from mailplat.mail.described import describe_fields
from mailplat.mail.fewparts import few_parts
from mailplat.mail.header import Telling, body_begins, telling_fields
from mailplat.mail.layout import Kind, Layout
from mailplat.mail.structure import DEPTH, HEADER, PARTS, Scanner, Structure, scan
from mailplat.testing.corpus import samples
from mailplat.testing.cuts import same_however_cut
from mailplat.testing.growth import in_linear_time, repeated


def told(telling: Telling) -> bytes:
    return repr(sorted(telling.items())).encode()


def scanned(pieces: Sequence[bytes]) -> Structure:
    scanner = Scanner(told)
    for piece in pieces:
        scanner.feed(piece)
    return scanner.finish()


def outline(message: bytes) -> list[tuple[str, str, bytes]]:
    """Return number, type and body of each part that is not a multipart or holds no part."""
    structure = same_however_cut(message, scanned)
    layout = structure.layout
    return [
        (
            ".".join(map(str, layout.number(number))),
            entity.media_type.name,
            message[part.body : part.end],
        )
        for number, (part, entity) in enumerate(
            zip(layout.parts, structure.entities, strict=True)
        )
        if part.kind is not Kind.MULTIPART or not layout.children[number]
    ]


def multipart(rest: bytes, boundary: bytes = b"x", kind: bytes = b"mixed") -> bytes:
    header = b"Content-Type: multipart/%b; boundary=%b\r\n\r\n"
    return header % (kind, boundary) + rest


ONE = ("1", "text/plain", b"one")
TWO = ("2", "text/plain", b"two")

WHOLE = [
    (b"", [("1", "text/plain", b"")]),
    (b"\r\n", [("1", "text/plain", b"")]),
    (b"\r\nbody", [("1", "text/plain", b"body")]),
    (b"Subject: x\r\n", [("1", "text/plain", b"")]),
    (b"Subject: x", [("1", "text/plain", b"")]),
    (b"Subject: x\r\n\r\nbody\r\n", [("1", "text/plain", b"body\r\n")]),
    (b"Subject: x\n\nbody\n", [("1", "text/plain", b"body\n")]),
    (b"Subject: x\r\n\nbody", [("1", "text/plain", b"body")]),
    (b"no field\r\n\r\nbody", [("1", "text/plain", b"body")]),
    (b"From a@b Mon Jan  1 00:00:00 2001\r\nContent-Type: text/html\r\n\r\nb",
     [("1", "text/html", b"b")]),
    (b"CONTENT-TYPE : Text/HTML\r\n\r\nb", [("1", "text/html", b"b")]),
    (b"Content-Type:\r\n text/html\r\n\r\nb", [("1", "text/html", b"b")]),
    (b"Content-Type: text/html\r\nContent-Type: text/plain\r\n\r\nb", [("1", "text/html", b"b")]),
    (b"Content-Type: message/delivery-status\r\n\r\na: b\r\n\r\nc: d\r\n",
     [("1", "message/delivery-status", b"a: b\r\n\r\nc: d\r\n")]),
    (b"Content-Type: message/partial; id=x\r\n\r\nA: b\r\n\r\nc", [("1", "message/partial", b"A: b\r\n\r\nc")]),
    (b"Content-Type: message/external-body\r\n\r\nContent-Type: a/b\r\n\r\n",
     [("1", "message/external-body", b"Content-Type: a/b\r\n\r\n")]),
    (b"Content-Type: text/rfc822-headers\r\n\r\nA: b\r\n", [("1", "text/rfc822-headers", b"A: b\r\n")]),
]  # fmt: skip

MULTIPARTS = [
    (b"pre\r\n--x\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--\r\nepi", [ONE, TWO]),
    (b"--x\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--", [ONE, TWO]),
    (b"--x\n\none\n--x\n\ntwo\n--x--\n", [ONE, TWO]),
    # white space behind a boundary, and more (RFC 2046 section 5.1.1)
    (b"--x \t\r\n\r\none\r\n--x  \r\n\r\ntwo\r\n--x-- \r\n", [ONE, TWO]),
    (b"--x junk\r\n\r\none\r\n--xy\r\n\r\ntwo\r\n--x--z\r\n", [ONE, TWO]),
    (b" --x\r\n--x\r\n\r\none\r\n --x\r\n-x\r\n--\r\n--x--", [("1", "text/plain", b"one\r\n --x\r\n-x\r\n--")]),
    # empty parts and bodies
    (b"--x\r\n--x\r\n\r\n--x--", [("1", "text/plain", b""), ("2", "text/plain", b"")]),
    (b"--x\r\n\r\n\r\n--x\r\nA: b\r\n--x--", [("1", "text/plain", b""), ("2", "text/plain", b"")]),
    (b"--x\r\n\r\n\r\n\r\n--x--", [("1", "text/plain", b"\r\n")]),
    # no part, no end, nothing behind the end
    (b"", [("", "multipart/mixed", b"")]),
    (b"nothing", [("", "multipart/mixed", b"nothing")]),
    (b"--x--\r\n--x\r\n\r\nno", [("", "multipart/mixed", b"--x--\r\n--x\r\n\r\nno")]),
    (b"--x\r\n\r\none\r\n--x\r\n\r\ntwo", [ONE, TWO]),
    (b"--x\r\n\r\none\r\n--x--\r\n--x\r\n\r\ntwo\r\n--x--", [ONE]),
    (b"--x", [("", "multipart/mixed", b"--x")]),
    (b"--x\r\n\r\none\r\n--x", [ONE]),
    (b"--x\r\n\r\none\r\n--x \r", [ONE]),
    (b"--x\r\n", [("1", "text/plain", b"")]),
    (b"--x\r\nA: b", [("1", "text/plain", b"")]),
    (b"--x\r\nContent-Type: text/html\r\n\r\n", [("1", "text/html", b"")]),
    # a header that isn't one
    (b"--x\r\nhello\r\nContent-Type: text/html\r\n\r\none\r\n--x--", [("1", "text/html", b"one")]),
    (b"--x\r\nhello, no header\r\n\r\none\r\n--x--", [ONE]),
    # a CR alone ends no line
    (b"--x\r\n\r\none\r--x\r\n--x--", [("1", "text/plain", b"one\r--x")]),
    (b"--x\r\n\r\none\r\r\n--x--", [("1", "text/plain", b"one\r")]),
    (b"--x\0\r\n\r\no\0e\r\n--x--", [("1", "text/plain", b"o\0e")]),
    # a wrong encoding of a multipart counts for nothing
    (b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\nContent-Transfer-Encoding: base64\r\n\r\n--y\r\n\r\none\r\n--y--\r\n--x--",
     [("1.1", "text/plain", b"one")]),
    # the outer boundary ends what is inside
    (b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--",
     [("1.1", "text/plain", b"one"), TWO]),
    (b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--x\r\n\r\ntwo\r\n--y\r\n\r\nno\r\n--x--",
     [("1", "multipart/mixed", b""), ("2", "text/plain", b"two\r\n--y\r\n\r\nno")]),
    # the same boundary again, and such as begin another
    (b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x--\r\n--x\r\n\r\ntwo\r\n--x--",
     [("1.1", "text/plain", b"one"), TWO]),
    (b"--x\r\nContent-Type: multipart/mixed; boundary=xy\r\n\r\n--xy\r\n\r\none\r\n--xy--\r\n--x\r\n\r\ntwo\r\n--x--",
     [("1.1", "text/plain", b"one"), TWO]),
    (b"--x\r\nContent-Type: multipart/mixed; boundary=xy\r\n\r\n--xy\r\n\r\none\r\n--xz\r\n\r\ntwo\r\n--x--",
     [("1.1", "text/plain", b"one"), TWO]),
]  # fmt: skip

OTHERS = [
    (multipart(b"--xy\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x--\r\n"
               b"--xy\r\n\r\ntwo\r\n--xy--", b"xy"), [("1.1", "text/plain", b"one"), TWO]),
    (multipart(b"--x--\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x--\r\n"
               b"--x--\r\n\r\ntwo\r\n--x----", b"x--"), [("1.1", "text/plain", b"one"), TWO]),
    (b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\none", [("", "multipart/mixed", b"--x\r\n\r\none")]),
    (b"Content-Type: multipart; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x--", [ONE]),
    (b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--x\r\n\r\none\r\n--x--',
     [ONE]),
    (multipart(b"--x \r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x --", b'"x "'), [ONE, TWO]),
    (multipart(b"--a b\r\n\r\none\r\n--a b--", b'"a b"'), [ONE]),
    (multipart(b"--a/b:?\r\n\r\none\r\n--a/b:?--", b"a/b:?"), [ONE]),
    (multipart(b"--x\r\n\r\none\r\n--y\r\n--x--", b"x; boundary=y"), [("1", "text/plain", b"one\r\n--y")]),
    (b"Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n--ab\r\n\r\none\r\n--ab--", [ONE]),
    (multipart(b"--" + b"a" * 300 + b"\r\n\r\none\r\n--" + b"a" * 300 + b"--", b"a" * 300), [ONE]),
    # a header that a boundary ends
    (b"Content-Type: multipart/mixed; boundary=x\r\n--x\r\n\r\nno\r\n--x--", [("", "multipart/mixed", b"no\r\n--x--")]),
    # digests (RFC 2046 section 5.1.5)
    (multipart(b"--x\r\n\r\nA: b\r\n\r\none\r\n--x\r\nContent-Type: text/plain\r\n\r\ntwo\r\n--x\r\n--x--", kind=b"digest"),
     [("1", "message/rfc822", b"A: b\r\n\r\none"), ("1.1", "text/plain", b"one"), TWO,
      ("3", "message/rfc822", b""), ("3.1", "text/plain", b"")]),
    # messages
    (b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\none",
     [("1", "message/rfc822", b"A: b\r\n\r\none"), ("1.1", "text/plain", b"one")]),
    (b"Content-Type: message/global\r\n\r\nA: b\r\n\r\none",
     [("1", "message/global", b"A: b\r\n\r\none"), ("1.1", "text/plain", b"one")]),
    (b"Content-Type: message/rfc822\r\n\r\n", [("1", "message/rfc822", b""), ("1.1", "text/plain", b"")]),
    (b"Content-Type: message/rfc822\r\n\r\n\r\none",
     [("1", "message/rfc822", b"\r\none"), ("1.1", "text/plain", b"one")]),
    (b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQTogYg==",
     [("1", "message/rfc822", b"QTogYg==")]),
    (b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\none",
     [("1", "message/rfc822", b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\none"),
      ("1.1", "message/rfc822", b"A: b\r\n\r\none"), ("1.1.1", "text/plain", b"one")]),
    (multipart(b"--x\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n"
               b"--y\r\n\r\none\r\n--y\r\n\r\nmore\r\n--x\r\n\r\ntwo\r\n--x--"),
     [("1", "message/rfc822", b"Content-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\none\r\n--y\r\n\r\nmore"),
      ("1.1", "text/plain", b"one"), ("1.2", "text/plain", b"more"), TWO]),
    (multipart(b"--x\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n--x\r\n\r\ntwo\r\n--x--"),
     [("1", "message/rfc822", b"A: b"), ("1.1", "text/plain", b""), TWO]),
    (multipart(b"--x\r\nContent-Type: message/rfc822\r\n--x\r\n\r\ntwo\r\n--x--"),
     [("1", "message/rfc822", b""), ("1.1", "text/plain", b""), TWO]),
    (multipart(b"--x\r\nContent-Type: message/rfc822\r\n\r\n--x\r\n\r\ntwo\r\n--x--"),
     [("1", "message/rfc822", b""), ("1.1", "text/plain", b""), TWO]),
]  # fmt: skip


@pytest.mark.parametrize(("message", "parts"), WHOLE)
def test_single_parts(message: bytes, parts: list[tuple[str, str, bytes]]) -> None:
    assert outline(message) == parts


@pytest.mark.parametrize(("body", "parts"), MULTIPARTS)
def test_multiparts(body: bytes, parts: list[tuple[str, str, bytes]]) -> None:
    assert outline(multipart(body)) == parts


@pytest.mark.parametrize(("message", "parts"), OTHERS)
def test_others(message: bytes, parts: list[tuple[str, str, bytes]]) -> None:
    assert outline(message) == parts


@pytest.mark.parametrize(
    "kind", [b"mixed", b"alternative", b"parallel", b"related", b"signed", b"encrypted",
             b"report", b"form-data", b"x-unheard-of", b"MIXED"],
)  # fmt: skip
def test_all_multiparts_are_alike(kind: bytes) -> None:
    assert outline(multipart(b"--x\r\n\r\none\r\n--x--", kind=kind)) == [ONE]


FORWARD = multipart(
    b"pre\r\n--x\r\n\r\none\r\nmore\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: inner\r\n\r\ntwo\r\n\r\n--x--\r\nepi\r\n"
)


def test_lines_are_counted_of_texts_and_messages() -> None:
    structure = same_however_cut(FORWARD, scanned)
    lines = [(part.kind, part.lines) for part in structure.layout.parts]
    assert lines == [(Kind.MULTIPART, 0), (Kind.TEXT, 1), (Kind.MESSAGE, 3), (Kind.TEXT, 1)]
    html = b"Content-Type: text/html\r\n\r\na\r\nb\nc\rd"
    assert scan(html).layout.parts[0].lines == 2


def test_envelopes_are_made_of_the_headers_of_messages() -> None:
    structure = same_however_cut(FORWARD, scanned)
    assert structure.envelopes == {
        0: told({b"content-type": [b"multipart/mixed; boundary=x"]}),
        3: told({b"subject": [b"inner"]}),
    }
    assert scan(FORWARD).envelopes == {}


# Properties ------------------------------------------------------------------

TOKENS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"--x\r\n",
        b"--x--\r\n",
        b"--xy\r\n",
        b"--x--",
        b"--y\n",
        b"--y--\n",
    ),
    *(b"\r\n\r\n", b"-", b"--", b"x", b"\0", b"Subject: a\r\n", b"hello\r\n", b"a" * 1001),
    b"--" + b"a" * 300,
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n",
    b"Content-Type: multipart/digest; boundary=xy\r\n\r\n",
    b'Content-Type: multipart/x; boundary="x--"\n\n',
    b"Content-Type: multipart/x; boundary=y\n\n",
    b'Content-Type: multipart/mixed; boundary=""\r\n\r\n',
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n",
]
messages = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=4), max_size=25).map(b"".join)


LEVELS = st.lists(
    st.sampled_from([b"", b"a", b"ab", b"a--", b"b", b"x", b"xy", b"long" * 9]), min_size=9
)


@given(
    LEVELS, st.lists(st.sampled_from(TOKENS) | st.binary(max_size=4), max_size=9), st.randoms()
)
def test_many_boundaries_are_told_apart(
    levels: list[bytes], tokens: list[bytes], chance: random.Random
) -> None:
    opened = b"".join(
        b'Content-Type: multipart/mixed; boundary="%b"\r\n\r\n--%b\r\n' % (one, one)
        for one in levels
    )
    lines = [
        token + b"\r\n--" + chance.choice(levels) + chance.choice([b"", b"--", b"c"])
        for token in tokens
    ]
    message = opened + b"\r\n".join(lines)
    whole = scan(message)
    assert (
        scanned([message[at : at + 1] for at in range(len(message))])._replace(envelopes={})
        == whole
    )
    pieces = whole.layout.spans()
    assert b"".join(message[piece.start : piece.stop] for piece in pieces) == message


@given(messages, st.lists(st.integers(0, 5000), max_size=4))
def test_cuts_do_not_matter(message: bytes, cuts: list[int]) -> None:
    whole = scan(message, told)
    assert scanned([message[at : at + 1] for at in range(len(message))]) == whole
    edges = sorted({0, len(message), *(cut for cut in cuts if cut < len(message))})
    assert scanned([message[a:b] for a, b in pairwise(edges)]) == whole


def test_the_short_way_finds_the_same_in_a_corpus() -> None:
    short = 0
    for sample in samples(500):
        octets = sample.octets
        body = body_begins(octets)
        whole = describe_fields(telling_fields(octets[:body]))
        short += few_parts(octets, body, whole) is not None
        assert scan(octets, told) == scanned([octets])
    assert short > 250


def test_a_boundary_that_ends_the_message_begins_no_part() -> None:
    octets = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nb\r\n--a"
    for message in (octets, octets.replace(b"\r\n\r\nb\r\n--a", b"")):
        assert scan(message, told) == scanned([message[:1], message[1:]])


@given(messages)
@example(FORWARD)
def test_the_ranges_are_the_message(message: bytes) -> None:
    layout = scan(message).layout
    pieces = list(layout.spans())
    assert b"".join(message[piece.start : piece.stop] for piece in pieces) == message
    assert all(piece.start < piece.stop for piece in pieces)
    for part in layout.parts:
        assert part.start <= part.body <= part.preamble <= part.epilogue <= part.end
        if part.kind in (Kind.TEXT, Kind.MESSAGE):
            assert part.lines == message.count(b"\n", part.body, part.end)
    assert layout.parts[0].body == body_begins(message)


@given(messages)
def test_a_table_that_was_packed_comes_back(message: bytes) -> None:
    layout = scan(message).layout
    assert Layout.unpack(layout.pack()) == layout


@given(messages)
def test_every_part_has_a_number_by_which_it_is_found(message: bytes) -> None:
    layout = scan(message).layout
    for number, part in enumerate(layout.parts):
        path = layout.number(number)
        around = layout.parts[part.parent] if part.parent >= 0 else None
        if part.kind is Kind.MULTIPART and (not around or around.kind is Kind.MESSAGE):
            assert layout.find(path) == (part.parent if around else 0)
        else:
            assert layout.find(path) == number


# Limits ----------------------------------------------------------------------


def test_a_long_header_is_read_as_far_as_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEADER", 60)
    field = b"Content-Type: text/html\r\n"
    for padding in range(20, 60):
        header = b"A: " + b"b" * padding + b"\r\n" + field
        message = multipart(b"--x\r\n" + header + b"\r\none\r\n--x\r\n\r\ntwo\r\n--x--")
        message = message[: -len(b"\r\n--x--")] + b" \r\n--x--"
        [one, two] = outline(message)
        assert one[2:] == (b"one",)
        assert (one[1] == "text/html") == (len(header[:60]) >= len(header) - 2)
        assert two[2] == b"two "


def test_a_header_of_the_real_limit() -> None:
    for size, type_ in [
        (HEADER, "text/html"),
        (HEADER + 9, "text/plain"),
        (HEADER * 3, "text/plain"),
    ]:
        field = b"Content-Type: text/html\r\n\r\n"
        header = b"A: " + b"b" * (size - len(field) - 5) + b"\r\n" + field
        for structure in (
            scan(header + b"body"),
            scanned([header[:HEADER], header[HEADER:], b"body"]),
        ):
            assert structure.entities[0].media_type.name == type_
            assert structure.layout.parts[0].body == size


def nested(depth: int, kind: bytes = b"mixed") -> bytes:
    parts = [multipart(b"--%05d\r\n" % level, b"%05d" % level, kind) for level in range(depth)]
    return b"".join(parts) + b"\r\nbody"


@pytest.mark.parametrize(
    ("depth", "found"), [(DEPTH, DEPTH), (DEPTH + 1, DEPTH), (20_000, DEPTH)]
)
def test_multiparts_lie_only_so_deep(depth: int, found: int) -> None:
    structure = scan(nested(depth))
    assert max(part.depth for part in structure.layout.parts) == found
    assert structure.layout.parts[-1].kind is (Kind.TEXT if depth == found else Kind.OTHER)


@pytest.mark.parametrize(
    ("depth", "found"), [(DEPTH, DEPTH), (DEPTH + 1, DEPTH), (20_000, DEPTH)]
)
def test_messages_lie_only_so_deep(depth: int, found: int) -> None:
    structure = scan(b"Content-Type: message/rfc822\r\n\r\n" * depth)
    assert max(part.depth for part in structure.layout.parts) == found


@pytest.mark.parametrize(("many", "found"), [(PARTS - 2, PARTS - 1), (PARTS - 1, PARTS), (PARTS, PARTS), (50_000, PARTS)])  # fmt: skip
def test_there_are_only_so_many_parts(many: int, found: int) -> None:
    message = multipart(b"--x\r\n\r\none\r\n" * many + b"--x--\r\nepilogue")
    structure = scan(message)
    assert len(structure.layout.parts) == found
    last = structure.layout.parts[-1]
    name = structure.entities[-1].media_type.name
    if found < PARTS:
        assert (name, message[last.body : last.end]) == ("text/plain", b"one")
    else:
        assert (name, last.end, last.kind) == (
            "application/octet-stream",
            len(message),
            Kind.OTHER,
        )


@given(messages, st.integers(0, 4), st.integers(2, 7))
def test_limits_hold_wherever_they_strike(message: bytes, depth: int, parts: int) -> None:
    def limited(pieces: Sequence[bytes]) -> Structure:
        scanner = Scanner(depth=depth, parts=parts)
        for piece in pieces:
            scanner.feed(piece)
        return scanner.finish()

    structure = limited([message])
    assert len(structure.layout.parts) <= parts
    assert max(part.depth for part in structure.layout.parts) <= depth
    assert limited([message[at : at + 1] for at in range(len(message))]) == structure
    pieces = structure.layout.spans()
    assert b"".join(message[piece.start : piece.stop] for piece in pieces) == message


def test_little_is_held_of_a_long_body() -> None:
    scanner = Scanner()
    scanner.feed(multipart(b"--x\r\n\r\n"))
    for _ in range(200):
        scanner.feed(b"--y\r\n--" + b"a" * 5000)
        assert len(scanner._held) < 1100
    scanner.feed(b"\r\n--x--")
    assert len(scanner.finish().layout.parts) == 2


MUCH = 256 * 1024


@pytest.mark.parametrize(
    ("start", "unit"),
    [
        (b"", b"A: b\r\n"),
        (b"", b"\n"),
        (b"", b"Content-Type: a/b\n"),
        (multipart(b""), b"\n--"),
        (multipart(b""), b"\n--x"),
        (multipart(b"--x\r\n"), b"A: b\r\n"),
        (multipart(b""), b"--x\n\n"),
        (multipart(b"", kind=b"digest"), b"--x\n\n"),
        (multipart(b""), b"-"),
        (multipart(b""), b"- \n-"),
        (multipart(b""), b"--x\nContent-Type: multipart/mixed; boundary=y\n\n"),
        (multipart(b""), b"--x\nContent-Type: message/rfc822\n\n"),
        (nested(99), b"\n--a"),
        (b"", b"Content-Type: message/rfc822\n\n"),
    ],
)
def test_time_is_linear(start: bytes, unit: bytes) -> None:
    messages = repeated(unit, start)
    in_linear_time(scan, messages, MUCH)
    in_linear_time(scanned_in_pieces, messages, MUCH)


def test_time_is_linear_in_the_depth() -> None:
    in_linear_time(scan, nested, 20_000)
    in_linear_time(scanned_in_pieces, nested, 20_000)


def scanned_in_pieces(message: bytes, size: int = 4096) -> None:
    scanned([message[at : at + size] for at in range(0, len(message), size)])


def test_a_header_in_single_octets_is_read_in_linear_time() -> None:
    in_linear_time(partial(scanned_in_pieces, size=1), repeated(b"a"))


def test_the_house_reads_headers_the_same_way() -> None:
    for message in [b"A: b\n\r\nbody", b"\nA: b\r\n\r\n", b"A: b\r\n \r\nc\r\n\r\nd"]:
        found = scan(message)
        assert found.layout.parts[0].body == body_begins(message)
