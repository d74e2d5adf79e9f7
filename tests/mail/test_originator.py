"""Who a message says it is from, and what is odd about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.address import Address
from mailplat.mail.header import Header
from mailplat.mail.message import Message
from mailplat.mail.originator import Oddity, originator_of
from mailplat.testing.growth import in_linear_time, repeated


@pytest.mark.parametrize(
    ("octets", "author", "odd"),
    [
        (b"From: Alice <alice@Example.ORG>\r\n", "alice@example.org", Oddity.NONE),
        (b"FROM: alice@example.org\r\n", "alice@example.org", Oddity.NONE),
        (
            "From: =?utf-8?q?J=C3=BCrgen?= <j@bücher.example>\r\n".encode(),
            "j@xn--bcher-kva.example",
            Oddity.NONE,
        ),
        (b"To: a@b\r\n", "", Oddity.NO_FIELD | Oddity.NO_ADDRESS),
        (b"From:\r\n", "", Oddity.NO_ADDRESS),
        (b"From: a@b\r\nFrom: a@b\r\n", "", Oddity.SEVERAL_FIELDS | Oddity.SEVERAL_ADDRESSES),
        (b"From: a@b\r\nfrom:\r\n", "", Oddity.SEVERAL_FIELDS),
        (b"From: a@b, c@d\r\n", "", Oddity.SEVERAL_ADDRESSES),
        (b"From: G: a@b;\r\n", "a@b", Oddity.GROUP),
        (b"From: G:;\r\n", "", Oddity.GROUP | Oddity.NO_ADDRESS),
        (b"From : a@b\r\n", "a@b", Oddity.SPACE_BEFORE_COLON),
        (b" From: x@y\r\nFrom: a@b\r\n", "a@b", Oddity.DISGUISED_FIELD),
        (b"From\0: x@y\r\nFrom: a@b\r\n", "a@b", Oddity.DISGUISED_FIELD),
        (b"\xef\xbb\xbfFrom: x@y\r\nFrom: a@b\r\n", "a@b", Oddity.DISGUISED_FIELD),
        (b"From: a@b\r\nFr\xc2\xadom: x@y\r\n", "a@b", Oddity.DISGUISED_FIELD),
        (b"From x@y Mon Nov 23 12:00:00 2026\r\nFrom: a@b\r\n", "a@b", Oddity.NONE),
        (b"From: a@b\r\nX-From: x@y\r\nFrom-me: x@y\r\n", "a@b", Oddity.NONE),
        (b"From: Al\0ice <a@b>\r\n", "a@b", Oddity.NUL),
        (b"From: a@b\0c\r\n", "", Oddity.NUL | Oddity.NO_MAILBOX),
        (b"From: Al\x08ice <a@b>\r\n", "a@b", Oddity.CONTROL),
        (b"From: Al\rice <a@b>\r\n", "a@b", Oddity.CONTROL),
        (b"From: Al\ti\r\n\tce <a@b>\r\n", "a@b", Oddity.NONE),
        (b"From: J\xfcrgen <a@b>\r\n", "a@b", Oddity.NOT_UTF8),
        (b"From: =?utf-8?q?a=40b?=@c\r\n", "=?utf-8?q?a=40b?=@c", Oddity.ENCODED_ADDRESS),
        (b"From: =?utf-8?q?a=40b?=\r\n", "", Oddity.ENCODED_ADDRESS | Oddity.NO_MAILBOX | Oddity.BROKEN),
        (b"From: root\r\n", "", Oddity.NO_MAILBOX | Oddity.BROKEN),
        (b"From: a@x <b@y>\r\n", "b@y", Oddity.BROKEN),
        (b"From: a@b@c\r\n", '"a@b"@c', Oddity.BROKEN),
        (b"From: <a@b>, <c@d\r\n", "", Oddity.SEVERAL_ADDRESSES | Oddity.BROKEN),
    ],
)  # fmt: skip
def test_what_is_odd(octets: bytes, author: str, odd: Oddity) -> None:
    found = originator_of(Header.parse(octets))
    assert found.odd == odd
    address = found.author and found.author.address
    assert str(address or "") == author
    assert found.domain == (address.domain if address else "")


def test_all_see_the_same_author() -> None:
    message = Message(Header.parse("From: =?utf-8?q?J=C3=BC?= <J@bücher.example>\r\n".encode()))
    originator = message.originator
    assert originator is message.originator
    assert str(originator) == "Jü <J@bücher.example>"
    assert originator.author
    assert originator.author.is_same_as(Address.parse("j@xn--BCHER-kva.example"))
    assert not originator.author.is_same_as(Address.parse("j@bucher.example"))


def test_too_many_addresses_are_said_to_be() -> None:
    assert Oddity.CUT in originator_of(Header.parse(b"From: " + b"a@b," * 20_000)).odd


@given(st.lists(st.sampled_from([b"From", b":", b" ", b"\0", b"a@b", b"\r\n", b",", b"<", b">", b"\xff", b"f"])).map(b"".join))  # fmt: skip
def test_nothing_is_raised(octets: bytes) -> None:
    found = originator_of(Header.parse(octets))
    assert (found.author is None) or len(found.addresses) == 1
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    "unit", [b"From:a@b\r\n", b"\r\n", b"f\0", b"F r o ", b"From\0:\n", b"\0"]
)
def test_time_is_linear(unit: bytes) -> None:
    in_linear_time(lambda octets: originator_of(Header(octets)), repeated(unit))
