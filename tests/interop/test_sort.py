"""The order of messages by our keys, beside Dovecot's SORT (RFC 5256, 5957)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from mailplat.mail.dates import date_in
from mailplat.mail.header import Header
from mailplat.mail.sortkeys import display_key, mailbox_key, moment_key, subject_key

pytestmark = pytest.mark.interop

MESSAGES = 1200
NAMES = [b"", b"Foo ", b"foo bar ", b'"Bar, Baz" ', b"=?utf-8?q?J=C3=BCrgen?= ", b"\xc3\x84h ", b"\xe6\xbc\xa2 ",
         b'"=?utf-8?q?x?=" ', b"=?iso-8859-1?q?=E9t=E9?= ", b"z "]  # fmt: skip
LOCALS = [b"a", b"A", b"b.c", b'"a b"', b"zz", b"\xc3\xa9"]
DOMAINS = [b"example.org", b"EXAMPLE.net", b"b"]
SUBJECTS = [b"re", b"Re: ", b"Fwd: ", b"fw", b":", b" ", b"[", b"]", b"[a]", b"[list] ", b"(fwd)", b"[fwd: ", b"x",
            b"hello", b"(", b"=?utf-8?q?Re=3A?=", b"=?utf-8?q?=C3=A4?=", b"\xc3\x84", b"b", b"A", b"Zz", b"\t",
            b"[re:] ", b"\xc3\x9f"]  # fmt: skip
DATES = [
    b"%d Nov %d %02d:%02d:%02d %b",
    b"Mon, %d Feb %d %d:%02d:%02d (x) %b",
    b"%d  mar %d %02d:%02d:%02d %b (y)",
]
ZONES = [b"+0000", b"-0800", b"+0530", b"EST", b"GMT", b"PDT", b"Z"]

KEYS: dict[bytes, Callable[[Header], bytes]] = {
    b"SUBJECT": lambda header: subject_key(header.body(b"Subject")),
    b"FROM": lambda header: mailbox_key(header.body(b"From")),
    b"TO": lambda header: mailbox_key(header.body(b"To")),
    b"CC": lambda header: mailbox_key(header.body(b"Cc")),
    b"DISPLAYFROM": lambda header: display_key(header.body(b"From")),
    b"DISPLAYTO": lambda header: display_key(header.body(b"To")),
    b"DATE": lambda header: date_key(header.body(b"Date")),
}


def date_key(body: bytes) -> bytes:
    found = date_in(body)
    assert found
    return moment_key(found.seconds)


def message(chance: random.Random) -> bytes:
    pick = chance.choice
    fields = [b"Subject: " + b"".join(chance.choices(SUBJECTS, k=chance.randrange(6)))]
    for name in (b"From", b"To", b"Cc"):
        if chance.random() < 0.9:
            address = pick(LOCALS) + b"@" + pick(DOMAINS)
            listed = [
                pick(NAMES) + b"<" + address + b">",
                address,
                address + b" (c)",
                b"G:" + address + b";",
                b"H:;",
            ]
            fields.append(name + b": " + pick(listed) + pick([b"", b", x@y"]))
    day, time = chance.randrange(1, 29), [chance.randrange(24), *chance.choices(range(60), k=2)]
    fields.append(
        b"Date: " + pick(DATES) % (day, chance.randrange(1971, 2036), *time, pick(ZONES))
    )
    return b"".join(field + b"\r\n" for field in fields)


def test_the_order_is_the_same(ask_dovecot: Callable[..., bytes]) -> None:
    headers = [message(random.Random(seed)) for seed in range(MESSAGES)]
    answer = ask_dovecot(
        [one + b"\r\nbody\r\n" for one in headers],
        *(b"SORT (%b) UTF-8 ALL" % criterion for criterion in KEYS),
    )
    orders = [
        list(map(int, found.split())) for found in re.findall(rb"\* SORT([ \d]+)", answer)
    ]
    parsed = [Header.parse(one) for one in headers]
    for (criterion, key), theirs in zip(KEYS.items(), orders, strict=True):
        keys = [key(header) for header in parsed]
        ours = sorted(range(1, MESSAGES + 1), key=lambda number: keys[number - 1])
        assert ours == theirs, criterion
