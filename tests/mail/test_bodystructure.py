"""BODY and BODYSTRUCTURE are what RFC 9051 section 7.5.2 has, whatever the message."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.bodystructure import Bodies, describe
from mailplat.mail.bodywords import nstring
from mailplat.mail.header import Header
from mailplat.mail.structure import DEPTH, scan
from mailplat.testing.growth import in_linear_time, repeated


def described(message: bytes) -> Bodies:
    return describe(scan(message))


NOTHING = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0'
NO_ENVELOPE = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

EVERYTHING = b"""\
Content-Type: a/b\r
Content-ID: <x@y>\r
Content-Description: some\r
 thing\r
Content-MD5: Q2h=\r
Content-Disposition: attachment; filename=z\r
Content-Language: de, en\r
Content-Location: http://x/\r
\r
"""

ROWS = [
    (b"", NOTHING, b" NIL NIL NIL NIL)"),
    (b"A: b\r\n\r\none\r\ntwo\r\n", b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 2', b" NIL NIL NIL NIL)"),
    (b"A: b\r\n\r\none\r\ntwo", b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 8 1', b" NIL NIL NIL NIL)"),
    (b"A: b\n\none\ntwo\n", b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 8 2', b" NIL NIL NIL NIL)"),
    (b"Content-Type: TEXT/Html; Charset=UTF-8\r\nContent-Transfer-Encoding: BASE64\r\n\r\nx",
     b'("TEXT" "Html" ("Charset" "UTF-8") NIL NIL "BASE64" 1 0', b" NIL NIL NIL NIL)"),
    (b"Content-Type: text/x; format=flowed\r\n\r\n",
     b'("text" "x" ("format" "flowed" "charset" "us-ascii") NIL NIL "7bit" 0 0', b" NIL NIL NIL NIL)"),
    (b"Content-Type: text/x; charset*=utf-8''utf-8\r\n\r\n",
     b"(\"text\" \"x\" (\"charset*\" \"utf-8''utf-8\" \"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0", b" NIL NIL NIL NIL)"),
    (b'Content-Type: image/png; name="a b.png"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA',
     b'("image" "png" ("name" "a b.png") NIL NIL "base64" 4', b" NIL NIL NIL NIL)"),
    (b"Content-Type: a/b; n*0*=utf-8''x; n*1=y\r\n\r\n",
     b"(\"a\" \"b\" (\"n*\" \"utf-8''xy\") NIL NIL \"7bit\" 0", b" NIL NIL NIL NIL)"),
    (EVERYTHING, b'("a" "b" NIL "<x@y>" "some thing" "7bit" 0',
     b' "Q2h=" ("attachment" ("filename" "z")) ("de" "en") "http://x/")'),
    (b"Content-Type: a/b\r\nContent-Disposition: inline\r\n\r\n", b'("a" "b" NIL NIL NIL "7bit" 0',
     b' NIL ("inline" NIL) NIL NIL)'),
    (b"Content-Type: a/b\r\nContent-Disposition:\r\nContent-Language:\r\nContent-ID:\r\nContent-Transfer-Encoding:\r\n\r\n",
     b'("a" "b" NIL "" NIL "7bit" 0', b" NIL NIL NIL NIL)"),
    # strings that can't be quoted, or need an escape (RFC 9051 section 4.3)
    (b'Content-Type: a/b; n="q\\"\\\\"\r\n\r\n', b'("a" "b" ("n" "q\\"\\\\") NIL NIL "7bit" 0', b" NIL NIL NIL NIL)"),
    (b"Content-Type: a/b; n=\xc3\xa4\r\n\r\n", b'("a" "b" ("n" {2}\r\n\xc3\xa4) NIL NIL "7bit" 0', b" NIL NIL NIL NIL)"),
    (b'Content-Type: a/b; n="x\0y"\r\n\r\n', b'("a" "b" ("n" {5}\r\nx\xef\xbf\xbdy) NIL NIL "7bit" 0', b" NIL NIL NIL NIL)"),
    (b"Content-Type: a/b\r\nContent-ID: x\ry\r\n\r\n", b'("a" "b" NIL {3}\r\nx\ry NIL "7bit" 0', b" NIL NIL NIL NIL)"),
    (b"Content-Type: a/\xe4; \xe4=\xe4\r\nContent-Transfer-Encoding: \xe4\r\n\r\n",
     b'("a" {1}\r\n\xe4 ({1}\r\n\xe4 {1}\r\n\xe4) NIL NIL {1}\r\n\xe4 0', b" NIL NIL NIL NIL)"),
    # what can't be looked into doesn't say what is in it (RFC 2045 section 6.4)
    (b"Content-Type: message/rfc822; name=x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA",
     b'("application" "octet-stream" ("name" "x") NIL NIL "base64" 4', b" NIL NIL NIL NIL)"),
    (b"Content-Type: message/partial; id=x\r\n\r\nA: b", b'("message" "partial" ("id" "x") NIL NIL "7bit" 4', b" NIL NIL NIL NIL)"),
    # encodings by their usual names
    (b"Content-Transfer-Encoding: base64; x\r\n\r\n", b'("text" "plain" ("charset" "us-ascii") NIL NIL "base64" 0 0', b" NIL NIL NIL NIL)"),
    (b"Content-Transfer-Encoding: 8-Bit\r\n\r\n", b'("text" "plain" ("charset" "us-ascii") NIL NIL "8bit" 0 0', b" NIL NIL NIL NIL)"),
    (b"Content-Transfer-Encoding: x-new\r\n\r\n", b'("text" "plain" ("charset" "us-ascii") NIL NIL "x-new" 0 0', b" NIL NIL NIL NIL)"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "basic", "extension"), ROWS)
def test_single_parts(message: bytes, basic: bytes, extension: bytes) -> None:
    assert described(message) == (basic + b")", basic + extension)


def test_multiparts_nest() -> None:
    message = (
        b"Content-Type: multipart/mixed; boundary=x\r\nContent-ID: <no@where>\r\n"
        b"Content-Disposition: inline\r\nContent-Language: de\r\nContent-Location: here\r\n\r\n"
        b"--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n--y\r\n\r\none\r\n--y--\r\n"
        b"--x\r\nContent-Type: a/b\r\n\r\ntwo\r\n--x--"
    )
    text = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0'
    other = b'("a" "b" NIL NIL NIL "7bit" 3'
    assert described(message) == (
        b"((" + text + b') "alternative")' + other + b') "mixed")',
        b"((" + text + b' NIL NIL NIL NIL) "alternative" ("boundary" "y") NIL NIL NIL)' + other
        + b' NIL NIL NIL NIL) "mixed" ("boundary" "x") ("inline" NIL) ("de") "here")',
    )  # fmt: skip


def test_a_multipart_without_a_part_is_given_one() -> None:
    """The grammar has no multipart without parts (RFC 9051 section 9, body-type-mpart)."""
    for rest in (b"", b"nothing\r\n", b"--x--\r\n"):
        found = described(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + rest)
        assert found == (
            b"(" + NOTHING + b') "mixed")',
            b"(" + NOTHING + b' NIL NIL NIL NIL) "mixed" ("boundary" "x") NIL NIL NIL)',
        )


def test_a_message_in_a_part_has_envelope_body_and_lines() -> None:
    message = b"Content-Type: Message/RFC822; x=y\r\n\r\nSubject: inner\r\n\r\none\r\ntwo\r\n"
    inner = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 2'
    outer = b'("message" "rfc822" ("x" "y") NIL NIL "7bit" 28 '
    assert described(message) == (
        outer + NO_ENVELOPE + b" " + inner + b") 4)",
        outer + NO_ENVELOPE + b" " + inner + b" NIL NIL NIL NIL) 4 NIL NIL NIL NIL)",
    )
    with_envelope = describe(
        scan(message, lambda telling: b"<%b>" % b"".join(telling.get(b"subject", [])))
    )
    assert with_envelope.body == outer + b"<inner> " + inner + b") 4)"


def test_a_message_in_utf8_is_one_too() -> None:
    """RFC 6532 section 3.7; RFC 9051 names it beside message/rfc822."""
    found = described(b"Content-Type: message/global\r\n\r\nSubject: \xc3\xa4\r\n\r\n")
    assert found.body.startswith(b'("message" "global" NIL NIL NIL "7bit" 15 (NIL ')


def test_what_lies_too_deep_is_octets() -> None:
    header = b"Content-Type: multipart/mixed; boundary=%03d; x=y\r\n\r\n--%03d\r\n"
    deep = described(b"".join(header % (level, level) for level in range(DEPTH + 2)))
    assert (
        b'"application" "octet-stream" ("boundary" "%03d" "x" "y")' % DEPTH
        in deep.bodystructure
    )
    assert b'"%03d"' % (DEPTH + 1) not in deep.bodystructure


@pytest.mark.parametrize(
    ("octets", "written"),
    [
        (None, b"NIL"),
        (b"", b'""'),
        (b"abc", b'"abc"'),
        (b"a b\t{}", b'"a b\t{}"'),
        (b'"\\', b'"\\"\\\\"'),
        (b"\x7f\x01", b'"\x7f\x01"'),
        (b"\xff", b"{1}\r\n\xff"),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\0\0", b"{6}\r\n\xef\xbf\xbd\xef\xbf\xbd"),
    ],
)
def test_strings(octets: bytes | None, written: bytes) -> None:
    assert nstring(octets) == written


_WORD = re.compile(rb'"(?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*+"|NIL|\d+|\{(\d+)\}\r\n|[()]| ')


def parsed(words: bytes) -> list[object]:
    """Return a parenthesised list of IMAP as lists, without recursion; raise if it is none."""
    stack: list[list[object]] = [[]]
    at = 0
    while at < len(words):
        word = _WORD.match(words, at)
        assert word, words[at : at + 50]
        at = word.end()
        if word[1]:
            stack[-1].append(words[at : at + int(word[1])])
            at += int(word[1])
        elif word[0] == b"(":
            stack.append([])
        elif word[0] == b")":
            inner = stack.pop()
            stack[-1].append(inner)
        elif word[0] != b" ":
            stack[-1].append(word[0])
    [[whole]] = stack
    return whole


TOKENS = [
    *(
        b"\r\n",
        b"\n",
        b"--x\r\n",
        b"--x--\r\n",
        b"\r\n\r\n",
        b"\0",
        b"\xff",
        b'"',
        b"\\",
        b"(",
        b";",
    ),
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n",
    b"Content-Type: multipart/digest; boundary=x\r\n\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: text/plain; name=",
    b"Content-Disposition: attachment; filename*=",
    b"Content-Description: ",
    b"Content-Language: ",
    b"Subject: x\r\n",
]
messages = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=4), max_size=25).map(b"".join)


@given(messages)
@example(b"Content-Type: text/plain; name=\xff\r\n\r\n")
def test_every_message_has_a_description_that_can_be_read(message: bytes) -> None:
    structure = scan(message, lambda header: NO_ENVELOPE if header != Header(b"") else b"")
    short, long = map(parsed, describe(structure))

    def check(short: list[object], long: list[object]) -> None:
        if isinstance(short[0], list):
            parts = [one for one in short if isinstance(one, list)]
            assert len(short) == len(parts) + 1
            assert len(long) == len(parts) + 5
            for ours, other in zip(parts, long, strict=False):
                check(ours, other)
        else:
            ends = {b'"text"': 8, b'"message"': 10}.get(short[0].lower(), 7)
            if ends == 10 and short[1].lower() not in (b'"rfc822"', b'"global"'):
                ends = 7
            assert len(short) == ends
            assert len(long) == ends + 4
            if ends == 10:
                assert short[:8] == long[:8]
                check(short[8], long[8])
            else:
                assert long[:ends] == short

    check(short, long)


@pytest.mark.parametrize(
    ("start", "unit"),
    [
        (b"Content-Type: multipart/mixed; boundary=x\n\n", b"--x\n\n"),
        (b"Content-Type: multipart/digest; boundary=x\n\n", b"--x\n\n"),
        (b"", b"Content-Type: message/rfc822\n\n"),
        (
            b"".join(
                b"Content-Type: multipart/x; boundary=%d\n\n--%d\n" % (n, n) for n in range(99)
            ),
            b"\n--98\n",
        ),
    ],
)
def test_time_is_linear(start: bytes, unit: bytes) -> None:
    messages = repeated(unit, start)
    in_linear_time(describe, lambda size: scan(messages(size)), 100_000)
