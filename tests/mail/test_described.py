"""What is remembered of headers is what would be read of them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail import described as module
from mailplat.mail.described import OPAQUE_PART, describe_header
from mailplat.mail.entity import OPAQUE, content_fields, read_entity
from mailplat.mail.layout import Kind
from mailplat.testing.corpus import samples

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
@example(b'Content-Type: multipart/mixed; boundary="a%b"\r\n', False)
@example(b'Content-Description: \xc3\xbc name="a longer one"\r\n', False)
@example(b'Content-Transfer-Encoding: ="base64"\r\nX: name\r\n', False)
@example(
    b'Content-Type: a/b; x="1"; name="2"\r\nContent-Disposition: y; filename="%3"\r\n', False
)
def test_what_is_remembered_is_what_is_read(header: bytes, in_digest: bool) -> None:
    direct = module._described(header, in_digest)
    found = describe_header(header, in_digest)
    assert found == direct
    assert found.entity == read_entity(header, in_digest)
    assert found.kind is found.entity.kind


def test_it_is_so_for_a_corpus() -> None:
    for sample in samples(300):
        for block in sample.octets.split(b"\r\n\r\n"):
            found, direct = describe_header(block), module._described(block, False)
            assert found._replace(fields=b"") == direct._replace(fields=b"")
            assert found.entity == direct.entity


def test_two_headers_with_the_same_frame_have_their_own_strings() -> None:
    header = b'Content-Type: multipart/mixed; boundary="%b"; x="%b"\r\n'
    one, two = (describe_header(header % strings) for strings in ((b"a", b"b"), (b"c", b"d")))
    assert (one.boundary, two.boundary) == (b"a", b"c")
    assert one.words.long_end == b' "mixed" ("boundary" "a" "x" "b") NIL NIL NIL)'
    assert two.words.long_end == b' "mixed" ("boundary" "c" "x" "d") NIL NIL NIL)'
    assert module._template.cache_info().hits > 0


def test_of_a_long_header_only_what_counts_is_kept() -> None:
    padding = b"X-Padding: " + b"x" * 1000 + b"\r\n folded\r\n"
    content = b"Content-Type: text/html;\r\n name=x\r\nCONTENT-ID: y\r\n"
    header = padding + content + padding + b"\r\n"
    assert content_fields(header) == b"\n" + content.removesuffix(b"\n").replace(b"y\r", b"y\r")
    assert describe_header(header).entity == read_entity(header)
    assert len(describe_header(header).fields) < 100


@pytest.mark.parametrize("size", [100, 511, 512, 513, 2000])
def test_headers_of_all_sizes_are_read_alike(size: int) -> None:
    header = b'Content-Type: a/b; name="' + b"x" * size + b'"\r\n'
    assert describe_header(header).entity == read_entity(header)


def test_what_is_opaque_says_so() -> None:
    assert OPAQUE_PART.entity == OPAQUE
    assert OPAQUE_PART.kind is Kind.OTHER
