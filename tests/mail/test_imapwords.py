"""What IMAP says of a message can be read back, whatever the octets."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.imapwords import LONGEST_QUOTED, astring, quoted

LOST = b"\xef\xbf\xbd"


def read(octets: bytes) -> bytes | None:
    """Return the value of one ``nstring``, by the grammar of RFC 3501 section 9."""
    if octets == b"NIL":
        return None
    if found := re.fullmatch(rb'"((?:[\x01-\x09\x0b\x0c\x0e-!#-\[\]-\x7f]|\\["\\])*)"', octets):
        return re.sub(rb"\\(.)", rb"\1", found[1], flags=re.DOTALL)
    found = re.fullmatch(rb"\{(\d+)\}\r\n([\x01-\xff]*)", octets, re.DOTALL)
    assert found, octets
    assert int(found[1]) == len(found[2])
    return found[2]


@pytest.mark.parametrize(
    ("octets", "written"),
    [
        (None, b"NIL"),
        (b"", b'""'),
        (b"NIL", b'"NIL"'),
        (b"a b", b'"a b"'),
        (rb'a"b\c', rb'"a\"b\\c"'),
        (b"\x1b\x7f\t", b'"\x1b\x7f\t"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"a\rb", b"{3}\r\na\rb"),
        (b"a\nb", b"{3}\r\na\nb"),
        (b"caf\xc3\xa9", b"{5}\r\ncaf\xc3\xa9"),
        (b"caf\xe9", b"{4}\r\ncaf\xe9"),
        (b"a\0b", b"{5}\r\na" + LOST + b"b"),
        (b"x" * LONGEST_QUOTED, b'"' + b"x" * LONGEST_QUOTED + b'"'),
        (b"x" * 1001, b"{1001}\r\n" + b"x" * 1001),
    ],
)
def test_strings(octets: bytes | None, written: bytes) -> None:
    assert quoted(octets) == written


@given(st.binary() | st.text().map(str.encode))
def test_strings_are_read_again(octets: bytes) -> None:
    assert read(quoted(octets)) == octets.replace(b"\0", LOST)


@pytest.mark.parametrize(
    ("octets", "written"),
    [
        (b"", b'""'),
        (b"INBOX", b"INBOX"),
        (b"a]b", b"a]b"),
        (b"nil", b'"nil"'),
        (b"a b", b'"a b"'),
        (b"a%", b'"a%"'),
        (b"a*", b'"a*"'),
        (b"(", b'"("'),
        (b"{3}", b'"{3}"'),
        (b"\\Seen", rb'"\\Seen"'),
        (b"\x7f", b'"\x7f"'),
        (b"\xc3\xa9", b"{2}\r\n\xc3\xa9"),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
    ],
)
def test_astrings(octets: bytes, written: bytes) -> None:
    assert astring(octets) == written


@pytest.mark.parametrize("unit", [b"a", b'"', b"\\", b"\0", b"\xff", b"\r\n"])
def test_time_is_linear(unit: bytes) -> None:
    octets = unit * (65536 // len(unit))
    began = time.thread_time()
    quoted(octets), astring(octets)
    assert time.thread_time() - began < 0.05
