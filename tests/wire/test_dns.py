"""Messages of the DNS as octets, compared with dnspython, and broken in every way."""

from __future__ import annotations

import struct

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.dns import KINDS, A, Mx, Txt
from mailplat.testing.growth import in_linear_time
from mailplat.wire.dns import BadMessage, Question, Response, read

QUESTION = Question(0x1234, "example.org", Mx.number)


def response_of(*lines: str, question: Question = QUESTION, soa: str = "") -> bytes:
    query = dns.message.from_wire(question.octets())
    response = dns.message.make_response(query)
    for line in lines:
        name, ttl, kind, data = line.split(" ", 3)
        response.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    if soa:
        response.authority.append(dns.rrset.from_text("example.org.", 900, "IN", "SOA", soa))
    return response.to_wire(max_size=65535)


@pytest.mark.parametrize("name", ["", "org", "example.org", "_25._tcp.mx.example.org"])
@pytest.mark.parametrize("edns", [True, False])
def test_questions(name: str, edns: bool) -> None:
    question = Question(7, name, Txt.number)
    query = dns.message.from_wire(question.octets(edns=edns))
    assert query.id == 7
    assert query.question[0].name == dns.name.from_text(name or ".")
    assert query.question[0].rdtype == dns.rdatatype.TXT
    assert query.edns == (0 if edns else -1)
    assert query.flags == 0x0120


def test_records() -> None:
    octets = response_of(
        "example.org. 60 MX 10 mx.example.org.", "x.example.org. 5 TXT \"a\" 'b'"
    )
    response = read(octets, QUESTION)
    assert response
    assert [(found.name, found.ttl) for found in response.records] == [
        ("example.org", 60),
        ("x.example.org", 5),
    ]
    assert response.records[0].record == Mx(10, "mx.example.org")


def test_how_long_nothing_is_nothing() -> None:
    octets = response_of(soa="ns. host. 1 2 3 4 77")
    assert read(octets, QUESTION) == Response(0, False, False, (), 77)


def test_odd_labels_can_not_be_taken_for_others() -> None:
    octets = response_of("example.org. 60 MX 10 a\\.b\\032\\000.\\255.")
    response = read(octets, QUESTION)
    assert response
    assert response.records[0].record == Mx(10, "a\\046b\\032\\000.\\255")


def test_the_letters_case_may_be_another() -> None:
    octets = response_of("example.org. 60 MX 10 MX.example.org.")
    octets = octets.replace(b"\7example", b"\7eXaMpLe", 1)
    response = read(octets, QUESTION)
    assert response
    assert [found.name for found in response.records] == ["example.org"]
    assert response.records[0].record == Mx(10, "mx.example.org")


HEAD = struct.pack(">HHHHHH", 0x1234, 0x8000, 1, 1, 0, 0)
ASKED = b"\7example\3org\0" + struct.pack(">HH", Mx.number, 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"\xc0\x1d" + bytes(10),  # points to itself
        b"\xc0\xff" + bytes(10),  # points ahead
        b"\x80" + bytes(10),
        b"\3abc" * 70 + b"\0" + bytes(10),
        b"\xc0\x0c" + struct.pack(">HHIH", A.number, 1, 60, 5) + b"12345",
        b"\xc0\x0c" + struct.pack(">HHIH", A.number, 1, 60, 3) + b"123",
        b"\xc0\x0c" + struct.pack(">HHIH", A.number, 1, 60, 4) + b"123",
        b"\xc0\x0c" + struct.pack(">HHIH", Txt.number, 1, 60, 2) + b"\3abc",
        b"\xc0\x0c" + struct.pack(">HHIH", 257, 1, 60, 2) + b"\0\3abc",
        b"\xc0",
        b"",
    ],
)
def test_broken_answers(answer: bytes) -> None:
    with pytest.raises(BadMessage):
        read(HEAD + ASKED + answer, QUESTION)


def test_pointers_to_pointers_cost_nothing() -> None:
    """Chains of them once stalled resolvers (CVE-2026-42304)."""

    def message(pointers: int) -> bytes:
        chain = b"".join(struct.pack(">H", 0xC000 | 29 + 2 * n) for n in range(pointers))
        last = struct.pack(">H", 0xC000 | 29 + 2 * (pointers - 1))
        record = last + struct.pack(">HHIH", A.number, 1, 60, 4) + b"1234"
        head = struct.pack(">HHHHHH", 0x1234, 0x8000, 1, pointers // 16, 0, 0)
        return head + ASKED + chain + record * (pointers // 16)

    def refused(octets: bytes) -> None:
        with pytest.raises(BadMessage):
            read(octets, QUESTION)

    in_linear_time(refused, message, 8000)


def test_the_worst_that_is_read_is_read_in_linear_time() -> None:
    name = b"\1a" * 126 + b"\0"
    first = name + struct.pack(">HHIH", A.number, 1, 60, 4) + b"1234"
    record = b"\xc0\x1d" + struct.pack(">HHIH", 15, 1, 60, 4) + b"\0\1\xc0\x1d"

    def message(count: int) -> bytes:
        head = struct.pack(">HHHHHH", 0x1234, 0x8000, 1, count, 0, 0)
        return head + ASKED + first + record * (count - 1)

    response = read(message(512), QUESTION)
    assert response
    assert len(response.records) == 512
    in_linear_time(lambda octets: read(octets, QUESTION), message, 512)


@given(st.binary(max_size=300))
def test_whatever_comes(octets: bytes) -> None:
    for message in (octets, HEAD + octets, HEAD + ASKED + octets):
        try:
            read(message, QUESTION)
        except BadMessage:
            pass


@given(st.data())
def test_whatever_is_broken_of_an_answer(data: st.DataObject) -> None:
    octets = bytearray(
        response_of(
            "example.org. 60 MX 10 mx.example.org.",
            "example.org. 60 CAA 0 issue ca.example",
            "example.org. 60 SRV 1 2 3 mx.example.org.",
            'example.org. 60 TXT "abc"',
            "example.org. 60 TLSA 3 1 0 abcd",
            soa="ns. host. 1 2 3 4 77",
        )
    )
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(4, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(octets[: data.draw(st.integers(12, len(octets)))]), QUESTION)
    except BadMessage:
        pass


def test_all_kinds_are_known_to_the_dns() -> None:
    for number, kind in KINDS.items():
        assert dns.rdatatype.to_text(number) == kind.__name__.upper()
