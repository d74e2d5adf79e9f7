"""Header blocks are read without losing an octet, in linear time."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.header import Field, Header, body_begins, name_of, telling_fields
from mailplat.mail.limits import MIB
from mailplat.testing.growth import in_linear_time, repeated

NASTY = [
    b"\r",
    b"\n",
    b"\r\n",
    b":",
    b" ",
    b"\t",
    b"a",
    b"Subject",
    b"\0",
    b"\xff",
    b"=?",
    b"?=",
]
octets_of_headers = st.lists(st.sampled_from(NASTY)).map(b"".join)


@given(octets_of_headers)
@example(b"\r\n")
@example(b" leading: continuation\r\nA: b")
@example(b"A: b\r\n \r\n c\r\n\r\nbody")
def test_no_octet_is_lost(octets: bytes) -> None:
    header = Header.parse(octets)
    assert b"".join(header.lines) == header.octets
    rest = octets[len(header.octets) :]
    assert rest == b"" or rest.startswith((b"\r\n", b"\n"))
    assert octets[: body_begins(octets)] in {
        header.octets,
        header.octets + b"\r\n",
        header.octets + b"\n",
    }


@given(octets_of_headers)
def test_the_index_knows_the_fields(octets: bytes) -> None:
    header = Header.parse(octets)
    for field in header.fields:
        assert field in header.all(field.name)
        assert header.first(field.name) == header.all(field.name)[0]
        assert header.count(field.name.swapcase()) == len(header.all(field.name))
        assert b"\n" not in field.name


@pytest.mark.parametrize(
    ("octets", "begins"),
    [
        (b"", 0),
        (b"A: b", 4),
        (b"A: b\r\n", 6),
        (b"A: b\r\n\r\nbody", 8),
        (b"\r\nbody", 2),
        (b"\nbody\r\n\r\n", 1),
        (b"A: b\n\nbody\r\n\r\n", 6),
        (b"A: b\n\r\nbody\n\n", 7),
        (b"A: b\r\n \r\nB: c\r\n\r\n", 17),
    ],
)
def test_the_body_begins_behind_the_first_empty_line(octets: bytes, begins: int) -> None:
    assert body_begins(octets) == begins


def test_fields_are_found_by_name_whatever_its_case() -> None:
    header = Header.parse(
        b"Received: one\r\nreceived: two\r\nnot a field: x\r\n"
        b"SUBJECT : hello\r\n\tthere  \r\nTo:\r\n\r\nReceived: in the body\r\n"
    )
    assert header.count(b"Received") == 2
    assert [field.body for field in header.all(b"RECEIVED")] == [b"one", b"two"]
    subject = header.first(b"subject")
    assert subject == Field(b"SUBJECT", b"SUBJECT : hello\r\n\tthere  \r\n")
    assert subject.body == b"hello\tthere"
    assert header.first(b"To") == Field(b"To", b"To:\r\n")
    assert header.first(b"Cc") is None
    assert [field.name for field in header.fields] == [
        b"Received",
        b"received",
        b"SUBJECT",
        b"To",
    ]


@pytest.mark.parametrize(
    "line",
    [b"", b"no colon\r\n", b": nameless\r\n", b"From me: x\r\n", b" A: b\r\n", b"\xe4: b"],
)
def test_what_is_no_field_has_no_name(line: bytes) -> None:
    assert name_of(line) == b""


@pytest.mark.parametrize(
    "unit", [b"A: b\r\n", b"\n ", b" ", b":", b"a", b"\r", b"\r\n\t", b"A:\n", b"x:x\r\n  "]
)
def test_time_is_linear(unit: bytes) -> None:
    in_linear_time(lambda octets: Header.parse(octets).count(b"Subject"), repeated(unit), MIB)


def test_all_bodies_of_a_name_are_found() -> None:
    header = Header(b"To: a\r\nX: y\r\nTO :\r\n b\r\n\tc \r\nto:\r\nno field: x\r\n")
    assert header.bodies(b"to") == [b"a", b"b\tc", b""]
    assert header.bodies(b"Cc") == []
    assert header.names == (b"to", b"x")


def test_what_is_odd_is_read_as_it_stands() -> None:
    header = Header(b" first: line\r\nA\0: b\r\nSubject: a\rb\0\xff\r\n\r c\nTo: \n\t\n x\n")
    assert header.names == (b"subject", b"to")
    assert header.body(b"Subject") == b"a\rb\0\xff"
    assert header.body(b"To") == b"x"
    assert b"".join(header.lines) == header.octets


@given(octets_of_headers)
def test_bodies_are_those_of_the_fields(octets: bytes) -> None:
    header = Header.parse(octets)
    for name in header.names:
        assert header.bodies(name) == [field.body for field in header.all(name)]
        assert header.body(name) == header.bodies(name)[0]
    assert set(header.names) == {field.name.lower() for field in header.fields}


TELLING = (
    *(b"From", b"Sender", b"Reply-To", b"To", b"Cc", b"Bcc", b"Date", b"Subject"),
    *(b"Message-ID", b"In-Reply-To", b"References"),
    *(b"Content-Type", b"Content-ID"),
)


@given(
    st.lists(
        st.sampled_from(
            [
                *TELLING,
                *(name.upper() for name in TELLING),
                *(b"\r\n", b"\n", b"\r", b":", b": x", b" ", b"\t", b"X-", b"Resent-", b"a"),
            ]
        )
    ).map(b"".join)
)
def test_telling_fields_are_found_as_all_others(octets: bytes) -> None:
    for header in (Header(octets), Header.parse(octets)):
        telling = {name.lower() for name in TELLING}
        found = {
            name: [body.rstrip(b" \t\r\n") for body in bodies]
            for name, bodies in telling_fields(header.octets).items()
        }
        assert found == {
            name: header.bodies(name)
            for name in header.names
            if name in telling or name.startswith(b"content-")
        }


def test_white_space_behind_what_a_field_tells_is_kept() -> None:
    telling = telling_fields(b"Content-ID: \r\n\t a \t\r\nContent-ID:b \r\n")
    assert telling == {b"content-id": [b"a \t", b"b "]}


def test_fields_without_number_are_read_in_linear_time() -> None:
    def read(octets: bytes) -> None:
        header = Header(octets)
        assert len(header.names) == 1000
        assert header.count(b"x-7") == octets.count(b"X-7:")

    fields = b"".join(b"X-%d: x\r\n" % number for number in range(1000))
    in_linear_time(read, repeated(fields), MIB)
