"""Encoded words become text and text becomes encoded words."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.header import Header
from mailplat.mail.words import decoded_words, shown, text_field
from mailplat.testing.growth import in_linear_time, repeated

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"])) | st.lists(
    st.sampled_from(["=?", "?=", " ", "  ", "é", "漢", "a", "word " * 20, "x" * 1100])
).map("".join)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?caf=C3=A9?=", "café"),
        (b"=?UTF-8?B?Y2Fmw6k=?=", "café"),
        (b"=?utf-8?b?Y2Fmw6k?=", "café"),  # padding left out
        (b"=?iso-8859-1?Q?a_b=E9?= c", "a bé c"),
        (b"=?iso-8859-1*en?q?=E9?=", "é"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=\r\n\t=?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        (b"=?utf-8?b?w6k=?= =?utf-8?q?=C3?= =?utf-8?q?=A9?=", "éé"),  # a character cut in two
        (b"=?iso-2022-jp?b?GyRCNEE7ehsoQg==?=", "漢字"),
        (b"=?windows-1252?q?=80?=", "€"),
        (b"=?nonsense?q?a?=", "=?nonsense?q?a?="),
        (b"=?zlib?b?eJwDAAAAAAE=?=", "=?zlib?b?eJwDAAAAAAE=?="),
        (b"=?punycode?q?a?=", "=?punycode?q?a?="),
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        (b"=?utf-8?q?a", "=?utf-8?q?a"),
        (b"=?utf-8?b?A?=", "=?utf-8?b?A?="),  # no base64
        (b"=?utf-8?q?with spaces?=", "with spaces"),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "café"),
        (b"=?utf-8?q?=FF?=", "\ufffd"),
        (b"=?utf-7?q?+2AA-?=", "?"),  # half a surrogate pair
        # RFC 2047 section 8
        (b"(=?ISO-8859-1?Q?a?=)", "(a)"),
        (b"(=?ISO-8859-1?Q?a?= b)", "(a b)"),
        (b"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"),
        (b"(=?ISO-8859-1?Q?a?=       \r\n   =?ISO-8859-1?Q?b?=)", "(ab)"),
        (b"(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
        (b"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
        (b"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
        (b"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"),
        (b"=?ISO-8859-1?Q?Andr=E9?= Pirard", "André Pirard"),
        (
            b"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
            "If you can read this you understand the example.",
        ),
        (b"=?iso-8859-8?b?7eXs+SDv4SDs6fTo8A==?=", "םולש ןב ליפטנ"),
        # In wrong places and forms.
        (b'"=?utf-8?q?a,_b?=" <c@d>', '"a, b" <c@d>'),
        (b"x=?utf-8?q?=C3=A9?=y", "xéy"),
        (b"=?utf-8?q?a?==?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=,=?utf-8?q?b?=", "a,b"),
        (b"=?utf-8?q?what?_?=", "what? "),
        (b"=?utf-8?q?a?b?c?= d", "a?b?c d"),
        (b"=?utf-8?q?a =?utf-8?q?b?=", "=?utf-8?q?a b"),
        (b"=?utf-8?q?a=?= b", "a b"),
        (b"=?utf-8?q?=ZZ=C?=", "=ZZ=C"),
        (b"=?utf-8?q??=", ""),
        (b"=?utf-8?b?YQ=?=", "a"),
        (b"=?utf-8?b?Y Q==?=", "a"),
        (b"=?utf-8?b?YQ==?=\t=?utf-8?b?Yg?=", "ab"),
        (b"=?unknown-8bit?q?caf=C3=A9?=", "café"),
        (b"=?UNKNOWN?q?caf=E9?=", "café"),
        (b"=?x-unknown?q?a?= =?nonsense?q?b?=", "a =?nonsense?q?b?="),
        (b"=?" + b"x" * 100_000 + b"?q?a?=", "=?" + "x" * 100_000 + "?q?a?="),
        (b"\x93caf\xe9\x94", "“café”"),
        # In charsets whose labels say less than was meant.
        (b"=?iso-8859-1?q?=93a=94?=", "“a”"),
        (b"=?gb2312?b?gTCBMA==?=", "\x80"),
        (b"=?ks_c_5601-1987?b?jGM=?=", "똠"),
        (b"=?shift_jis?b?h0A=?=", "①"),
        (b"=?iso-2022-jp?b?GyRCLSEbKEI=?=", "①"),
    ],
)
def test_encoded_words_are_read(octets: bytes, text: str) -> None:
    assert decoded_words(octets) == text


@given(st.binary() | st.lists(st.sampled_from([b"=?", b"?=", b"?q?", b"?b?", b"utf-8", b"=C3", b" ", b"utf-7?q?+A", b"hz?q?~{", b"iso-2022-kr?b?Gy"])).map(b"".join))  # fmt: skip
def test_nothing_is_raised(octets: bytes) -> None:
    assert (
        shown(octets).isprintable() or "\ufffd" in shown(octets) or not shown(octets).isascii()
    )


def test_what_is_shown_is_one_harmless_line() -> None:
    assert shown(b"=?utf-8?q?a=0D=0Ab=1B[0mc=00?=") == "a b\ufffd[0mc\ufffd"


@given(texts)
@example("é" * 200)
@example("x" * 2000 + " é")
@example("  lots   of    space  é   é  ")
@example("=?utf-8?q?not_a_word?=")
def test_text_comes_back(text: str) -> None:
    octets = text_field(b"Subject", text)
    field = Header.parse(octets + b"\r\n").first(b"Subject")
    assert field is not None
    assert field.octets == octets
    assert decoded_words(field.body) == text.replace("\t", " ").strip(" ")
    for line in octets.split(b"\r\n"):
        assert len(line) <= 998
        assert line.isascii()
        assert line.strip() or not line
        if "=?" not in text and (words := re.findall(rb"=\?utf-8\?[qb]\?[^? ]+\?=", line)):
            assert len(line) <= 76 or len(line) - len(words[0]) > 60
            assert all(len(word) <= 75 for word in words)
            assert all("\ufffd" not in decoded_words(word) for word in words)


@given(texts)
def test_lines_are_short_where_words_are(text: str) -> None:
    longest = max((len(word) for word in re.split(" ", text) if word.isascii()), default=0)
    for line in text_field(b"Subject", text).split(b"\r\n"):
        assert len(line) <= max(78, longest + text.count("  ") * 1000 + 9)


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nBcc: x", "a\0b", "\x1b", "é\n"])
def test_line_ends_and_controls_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        text_field(b"Subject", text)


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\n", b"\xe4", b"x" * 71])
def test_no_name_is_refused(name: bytes) -> None:
    with pytest.raises(ValueError, match="no field name"):
        text_field(name, "text")


@pytest.mark.parametrize(
    "unit",
    [b"=?", b"=?a?q?", b"=?utf-8?q?a?= ", b"=?utf-8?q?a?=", b"=", b"=?utf-8?b?", b"?", b" ", b"\xff",
     b"=?a?q?x", b"=?a?q?x?=", b"=?utf-8?q?a?= x ", b"?a?q?b", b"=?a?q??x?", b"?=", b"=?hz?q?~{?= ", b"=?euc-jp?q?=FF?= "],
)  # fmt: skip
def test_time_is_linear(unit: bytes) -> None:
    for start in (b"", b"=?utf-8?q?"):
        in_linear_time(shown, repeated(unit, start))


def test_words_are_written_so_that_they_can_be_read() -> None:
    assert text_field(b"Subject", "Grüße aus Köln") == (
        b"Subject: =?utf-8?b?R3LDvMOfZQ==?= aus =?utf-8?q?K=C3=B6ln?=\r\n"
    )
    assert text_field(b"Subject", "漢字") == b"Subject: =?utf-8?b?5ryi5a2X?=\r\n"


def test_a_word_begins_on_the_line_of_the_name() -> None:
    lines = text_field(b"Subject", "ü" * 100).split(b"\r\n")
    assert lines[0].startswith(b"Subject: =?utf-8?b?")
    assert max(map(len, lines)) <= 76
    assert text_field(b"X" * 70, "ü" * 100).startswith(b"X" * 70 + b":\r\n =?utf-8?b?")
