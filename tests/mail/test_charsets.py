"""Labels of charsets lead to codecs that read what mail has under them."""

from __future__ import annotations

import codecs
from encodings.aliases import aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.charsets import (
    LONGEST_LABEL,
    charset_of,
    charset_to_write,
    errors_of,
    text_by_codec,
)
from mailplat.testing.growth import in_linear_time, repeated

# The labels of the WHATWG Encoding Standard, section 4.2, by the codec that reads each best.
WHATWG = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 iso_8859-7:1987 sun_eu_greek",
    "iso8859-8": "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical",
    "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 windows-1254 x-cp1254",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk gb18030",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022_jp_ext": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949",
    "utf-16": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16",
    "utf-16-le": "utf-16le",
    "utf-16-be": "unicodefffe utf-16be",
    # What browsers dare not read, and mail has.
    "hz": "hz-gb-2312",
    "iso2022_kr": "csiso2022kr iso-2022-kr",
}  # fmt: skip


@pytest.mark.parametrize("codec", WHATWG)
def test_the_web_s_labels_are_known(codec: str) -> None:
    for label in WHATWG[codec].split():
        assert charset_of(label) == charset_of(label.upper()) == codec, label


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("UTF-7", "utf-7"),
        ("unicode-1-1-utf-7", "utf-7"),
        ("UTF_8", "utf-8"),
        ('"utf-8"', "utf-8"),
        (" utf-8 ", "utf-8"),
        ("Windows-950", "cp950"),
        ("cp850", "cp850"),
        ("IBM037", "cp037"),
        ("iso-2022-jp-2", "iso2022_jp_2"),
        ("hp-roman8", "hp-roman8"),
        ("", ""),
        ("-", ""),
        ("x", ""),
        ("hex", ""),
        ("rot13", ""),
        ("zlib", ""),
        ("idna", ""),
        ("punycode", ""),
        ("unicode_escape", ""),
        ("undefined", ""),
        ("aliases", ""),
        ("../../etc", ""),
        ("unknown-8bit", ""),
        ("\uff55tf-8", ""),
        ("u" * LONGEST_LABEL, ""),
        ("-" * LONGEST_LABEL + "utf-8", ""),
    ],
)
def test_mail_s_labels_are_known_too(label: str, codec: str) -> None:
    assert charset_of(label) == codec


@pytest.mark.parametrize(
    ("label", "wide", "narrow"),
    [("us-ascii", "cp1252", "ascii"), ("ISO-8859-1", "cp1252", "iso8859-1"),
     ("gb2312", "gb18030", "gb2312"), ("utf-8", "utf-8", "utf-8"), ("nonsense", "", "")],
)  # fmt: skip
def test_a_label_promises_less_than_it_is_read_as(label: str, wide: str, narrow: str) -> None:
    assert charset_of(label) == wide
    assert charset_to_write(label) == narrow


def test_every_charset_of_python_is_reached() -> None:
    for alias, name in aliases.items():
        codec = charset_of(alias)
        if codec:
            b"".decode(codec)
        else:
            assert name.partition("_")[0] in {
                "base64", "bz2", "hex", "mbcs", "quopri", "rot", "uu", "zlib",
            }, alias  # fmt: skip


@pytest.mark.parametrize(
    ("octets", "label", "text"),
    [
        (b"\x93caf\xe9\x94 \x80", "iso-8859-1", "“café” €"),
        (b"\x93\x94", "us-ascii", "“”"),
        (b"\x81", "us-ascii", "\ufffd"),
        (b"\xff", "utf-8", "\ufffd"),
        (b"\xe3\xa1", "gb2312", "恪"),
        (b"\x81\x30\x81\x30", "gb2312", "\x80"),
        (b"\xc8\xb8\x8c\x63", "ks_c_5601-1987", "회똠"),
        (b"\x87\x40\x82\xa0", "shift_jis", "①あ"),
        (b"\x1b$B-!$\"\x1b(I1\x1b(B a", "iso-2022-jp", "①あｱ a"),
        (b"\x1b$B|b\x1b(B", "iso-2022-jp", "髙"),
        (b"\x1b$(D0!\x1b(B", "iso-2022-jp", "丂"),
        (b"\x1b$B\x7e\x7e\x1b(B", "iso-2022-jp", "\ufffd"),
        (b"\x1b$B-", "iso-2022-jp", "\ufffd"),
        (b"\xad\xa1\xfc\xe2\x8f\xb0\xa1\xff", "euc-jp", "①髙丂\ufffd"),
        (b"\xa4", "euc-jp", "\ufffd"),
        (b"\xa3\xe1\xc6\xe8\xf9\xfe\xff", "big5", "€あ￭\ufffd"),
        (b"\xa1\xdf\xa4", "tis-620", "ก฿ค"),
        (b"+2AA-", "utf-7", "?"),
        (b"~{VPND~}", "hz-gb-2312", "中文"),
        (b"\x1b$)C\x0e0!\x0f", "iso-2022-kr", "가"),
    ],
)  # fmt: skip
def test_octets_are_read_by_their_label(octets: bytes, label: str, text: str) -> None:
    assert text_by_codec(octets, charset_of(label)) == text


def test_the_vendors_rows_agree_in_all_three_charsets_of_japan() -> None:
    for row in (0x2D, *range(0x79, 0x7D)):
        for cell in range(0x21, 0x7F):
            pair = bytes((row, cell))
            jis = text_by_codec(b"\x1b$B" + pair, "iso2022_jp_ext")
            if "\ufffd" not in jis:
                assert text_by_codec(bytes((row | 0x80, cell | 0x80)), "euc_jp") == jis
                assert jis.encode("cp932").decode("cp932") == jis


@pytest.mark.parametrize("label", ["iso-2022-jp", "euc-jp", "big5"])
def test_it_reads_a_piece_at_a_time(label: str) -> None:
    codec = charset_of(label)
    octets = {
        "iso-2022-jp": b"a\x1b$B-!$\"\x7e\x7e-!\x1b(Bb",
        "euc-jp": b"a\xad\xa1\xa4\xa2\xfe\xfe\xad\xa1b\xff",
        "big5": b"a\xa3\xe1\xa4\xa4\xff\xa3\xe1",
    }[label]  # fmt: skip
    for cut in range(len(octets) + 1):
        decoder = codecs.getincrementaldecoder(codec)(errors_of(codec))
        pieces = decoder.decode(octets[:cut]) + decoder.decode(octets[cut:], final=True)
        assert pieces == text_by_codec(octets, codec)


@given(st.binary(), st.sampled_from(sorted(set(map(charset_of, aliases)) - {""})))
def test_nothing_is_raised(octets: bytes, codec: str) -> None:
    text_by_codec(octets, codec).encode()


@given(st.text(max_size=100))
def test_no_label_does_harm(label: str) -> None:
    assert charset_of(label) == "" or b"".decode(charset_of(label)) == ""


@pytest.mark.parametrize("codec", sorted(set(map(charset_of, aliases)) - {""}))
def test_time_is_linear(codec: str) -> None:
    for unit in (b"\xff", b"\xad\xa1", b"\x1b$B~~", b"+2AA-", b"~{", b"\x0e", b"\x80"):
        in_linear_time(lambda octets: text_by_codec(octets, codec), repeated(unit))
