"""What is remembered of headers is what would be read of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.described import OPAQUE_PART, describe_fields, describe_header
from mailplat.mail.entity import OPAQUE, read_entity
from mailplat.mail.header import telling_fields
from mailplat.mail.layout import Kind

FIELDS = [
    *(b"Content-Type: ", b"Content-Disposition: ", b"Content-Transfer-Encoding: ", b"Content-ID: "),
    *(b"Content-Description: ", b"Content-Language: ", b"content-type:", b"Content-Type", b"Subject: "),
]  # fmt: skip
PIECES = [
    *(b"text/plain", b"multipart/mixed", b"multipart/digest", b"message/rfc822", b"a/b", b"base64"),
    *(b"; name=", b"; boundary=", b"; charset=", b"; x=", b" y=", b"; name*=", b"; name*0*=", b";"),
    *(b'"', b'"a b"', b'"a;b=c"', b'"a (b)"', b'="a"', b'="base64"', b'"a%b"', b'"\\""', b'""', b'"=?utf-8?q?a?="', b'"x', b'x"'),
    *(b"(", b")", b"%", b"=", b" ", b"\t", b"\r\n ", b"\xc3\xa4", b'"\xc3\xa4"', b"\0", b"Qx0xQ", b"attachment"),
]  # fmt: skip
fields = st.tuples(st.sampled_from(FIELDS), st.lists(st.sampled_from(PIECES), max_size=8)).map(
    lambda field: field[0] + b"".join(field[1]) + b"\r\n"
)
headers = st.lists(fields, max_size=4).map(b"".join)


@given(headers, st.booleans())
def test_what_is_remembered_is_what_is_read(header: bytes, in_digest: bool) -> None:
    found = describe_header(header, in_digest)
    assert found == describe_fields(telling_fields(header), in_digest)
    assert found.entity == read_entity(header, in_digest)
    assert found.kind is found.entity.kind


@pytest.mark.parametrize("size", [100, 511, 512, 513, 2000])
def test_headers_of_all_sizes_are_read_alike(size: int) -> None:
    header = b'Content-Type: a/b; name="' + b"x" * size + b'"\r\n'
    assert describe_header(header).entity == read_entity(header)


@pytest.mark.parametrize(
    ("header", "is_attachment"),
    [
        (b"Content-Type: application/pdf\r\n", False),
        (b"Content-Disposition: attachment\r\n", True),
        (b"Content-Disposition: x-unheard-of\r\n", True),  # RFC 2183 section 2.8
        (b"Content-Disposition: inline\r\n", False),
        (b"Content-Disposition: inline; filename*0=a\r\n", True),
        (b"Content-Type: text/plain; NAME=a\r\n", True),
        (b"Content-Type: message/rfc822\r\n", True),
        (b"Content-Type: message/delivery-status\r\n", False),
        (b"Content-Type: multipart/mixed; boundary=b; name=a\r\n", False),
    ],
)
def test_what_is_to_be_saved(header: bytes, is_attachment: bool) -> None:
    assert describe_header(header).is_attachment == is_attachment


def test_what_is_opaque_says_so() -> None:
    assert OPAQUE_PART.entity == OPAQUE
    assert OPAQUE_PART.kind is Kind.OTHER
