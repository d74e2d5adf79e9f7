"""Octets in any character set become text, whatever they are and however they come."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.characters import GUESSED, codec_of, text_decoder, text_of
from mailplat.testing.cuts import same_however_cut


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("utf-8", "utf-8"),
        ("UTF8", "utf-8"),
        (" x-unicode20utf8 ", "utf-8"),
        ("iso-8859-1", "cp1252"),
        ("latin1", "cp1252"),
        ("ISO_8859-1:1987", "cp1252"),
        ("windows-1252", "cp1252"),
        ("iso-8859-9", "cp1254"),
        ("iso-8859-11", "cp874"),
        ("gb2312", "gb18030"),
        ("gbk", "gb18030"),
        ("ks_c_5601-1987", "cp949"),
        ("euc-kr", "cp949"),
        ("shift_jis", "cp932"),
        ("x-sjis", "cp932"),
        ("big5", "big5hkscs"),
        ("iso-2022-jp", "iso2022_jp_ext"),
        ("unicode-1-1-utf-7", "utf-7"),
        ("x-mac-roman", "mac-roman"),
        (b"KOI8-R", "koi8-r"),
        ('"utf-8"', "utf-8"),
        ("us-ascii", GUESSED),
        ("ANSI_X3.4-1968", GUESSED),
        ("unknown-8bit", GUESSED),
        ("", GUESSED),
        ("rot13", GUESSED),
        ("zlib", GUESSED),
        ("idna", GUESSED),
        ("os.path", GUESSED),
        ("x" * 100_000, GUESSED),
        (b"\xff\xfe", GUESSED),
    ],
)
def test_labels_are_read_as_everybody_reads_them(label: str | bytes, codec: str) -> None:
    assert codec_of(label) == codec


@pytest.mark.parametrize(
    ("octets", "label", "text"),
    [
        (b"\x93quoted\x94 \x80", "iso-8859-1", "“quoted” €"),
        (b"\x81", "windows-1252", "\ufffd"),
        ("grün".encode(), "us-ascii", "grün"),
        (b"gr\xfcn", "us-ascii", "grün"),
        ("ü and ".encode() + b"\xfc", "", "ü and ü"),
        (b"\xef\xbb\xbfx", "utf-8", "x"),
        (b"\xef\xbb\xbfx", "", "x"),
        (b"a\xffb", "utf-8", "a\ufffdb"),
        (b"\xc3", "utf-8", "\ufffd"),
        ("中文".encode("gb18030"), "gb2312", "中文"),
        ("日本".encode("iso2022_jp"), "iso-2022-jp", "日本"),
        ("한국".encode("cp949"), "ks_c_5601-1987", "한국"),
        (b"\xfe\xff\x00a", "utf-16", "a"),
        (b"\xff\xfea\x00", "utf-16", "a"),
        (b"a\x00", "utf-16", "a"),
        (b"\x00a", "utf-16be", "a"),
        (b"\xff\xfe\x00\x00a\x00\x00\x00", "utf-32", "a"),
        (b"\xd8\x00", "utf-16be", "\ufffd"),
    ],
)
def test_octets_become_text(octets: bytes, label: str, text: str) -> None:
    assert text_of(octets, label) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        # RFC 2152, the examples of "Example" in section 2
        (b"A+ImIDkQ.", "A\u2262\u0391."),
        (b"Hi Mom -+Jjo--!", "Hi Mom -\u263a-!"),
        (b"+ZeVnLIqe-", "\u65e5\u672c\u8a9e"),
        (b"Item 3 is +AKM-1.", "Item 3 is \u00a31."),
        (b"1 +- 1", "1 + 1"),
        (b"+AOQAZA x", "äd x"),
        (b"+", ""),
        (b"+2AA-x", "\ufffdx"),
        (b"\xe4", "\ufffd"),
    ],
)
def test_utf_7_is_read(octets: bytes, text: str) -> None:
    assert text_of(octets, "utf-7") == text


LABELS = st.sampled_from(
    [
        *("", "utf-8", "iso-8859-1", "utf-7", "utf-16", "utf-16le", "utf-32", "gb2312", "hz-gb-2312"),
        *("big5", "iso-2022-jp", "iso-2022-kr", "shift_jis", "euc-jp", "ks_c_5601-1987", "johab"),
    ]
)  # fmt: skip
SHIFTS = [
    b"\x1b$B",
    b"\x1b(B",
    b"\x1b$)C",
    b"\x0e",
    b"\x0f",
    b"~{",
    b"~}",
    b"+",
    b"-",
    b"+AOQ-",
]
PIECES = st.sampled_from(
    [*SHIFTS, b"\xef\xbb\xbf", b"\xfe\xff", b"\xd8\x00", b"abc", b"\xa1\xa1"]
)
OCTETS = st.lists(PIECES | st.binary(max_size=3), max_size=8).map(b"".join)


@given(OCTETS, LABELS)
@example(b"+", "utf-7")
@example(b"\xff", "utf-16")
def test_no_octets_make_it_fail_and_no_cut_matters(octets: bytes, label: str) -> None:
    def decoded(pieces: object) -> str:
        decoder = text_decoder(label)
        return "".join([*map(decoder.decode, pieces), decoder.decode(b"", final=True)])

    text = same_however_cut(octets, decoded)
    assert text == text_of(octets, label)
    text.encode()


def test_a_shift_that_never_ends_is_not_held() -> None:
    decoder = text_decoder("utf-7")
    decoder.decode(b"+")
    assert len(decoder.decode(b"AOQA" * 10_000)) > 14_000
    assert "ä" in decoder.decode(b"AOQA" * 100)
