"""What can be found in a message, however it was written."""

from __future__ import annotations

import base64
import sys
import unicodedata

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.collation import casemapped
from mailplat.mail.search import SearchText, case_folded, search_text, text_sources
from mailplat.mail.structure import scan
from mailplat.testing.growth import in_linear_time, repeated

# Folding -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Hello  World\r\n", "hello world"),
        ("STRASSE", "straße"),
        ("MÜLLER", "müller"),
        ("Mu\u0308ller", "müller"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("ﬁnd", "FIND"),
        ("①２", "12"),
        ("pass\u00adword", "password"),
        ("zero\u200b\u200dwidth\ufeff", "zerowidth"),
        ("a\u00a0b\u2003c", "a b c"),
        ("İ", "i\u0307"),
        ("㎒", "mhz"),
        ("한국어", unicodedata.normalize("NFD", "한국어")),
    ],
)
def test_what_is_the_same_to_a_reader_is_found(text: str, same: str) -> None:
    assert case_folded(text) == case_folded(same)


letters = st.text("abcABCäÄßéÉйЙ\u03c3Σς\ufb01İ\u0131iI한 ")


@given(letters, letters, letters)
def test_what_imaps_substrings_find_is_found(before: str, words: str, behind: str) -> None:
    """Whatever is the same by i;unicode-casemap is the same here (RFC 5051)."""
    text = before + words.title() + behind
    assert casemapped(words.lower()) not in casemapped(text) or case_folded(
        words
    ) in case_folded(text)


@pytest.mark.long
def test_characters_that_imap_takes_for_equal_are_equal() -> None:
    same: dict[bytes, set[str]] = {}
    for code in range(sys.maxunicode + 1):
        if not 0xD800 <= code < 0xE000:
            same.setdefault(casemapped(chr(code)), set()).add(case_folded(f"|{chr(code)}|"))
    assert [several for several in same.values() if len(several) > 1] == []


def test_a_letter_is_found_in_its_accented_form() -> None:
    """As in i;unicode-casemap, which compares what has been decomposed (RFC 5051)."""
    assert case_folded("Mu") in case_folded("Müller")


@given(st.text() | st.text("aÀ\u0301\u0323ßΣς \u00a0\u00ad한ﬁİ"))
@example("\u1fb3\u0301")
@example("\u034f")
@example("a\u0323\u00e9\u0323")
def test_folding(text: str) -> None:
    once = case_folded(text)
    assert case_folded(once) == once
    assert once == " ".join(once.split())
    assert case_folded(unicodedata.normalize("NFD", text)) == once
    assert case_folded(unicodedata.normalize("NFKC", text)) == once
    if not any(
        unicodedata.category(one) == "Cf" or one == "\u034f" or "\ufe00" <= one <= "\ufe0f"
        for one in text
    ):
        plain = unicodedata.normalize("NFKD", text).casefold()
        assert once == " ".join(unicodedata.normalize("NFKD", plain).split())


# Messages ------------------------------------------------------------------------


def of(octets: bytes | str, **options: object) -> SearchText:
    if isinstance(octets, str):
        octets = octets.replace("\n", "\r\n").encode()
    return search_text(octets, scan(octets), **options)  # type: ignore[arg-type]


def body_of(type_: str, octets: bytes, encoding: str = "8bit") -> str:
    header = f"Content-Type: {type_}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return of(header.encode() + octets).body


def test_header_and_body_are_apart() -> None:
    found = of(
        "From: =?utf-8?q?J=C3=BCrgen?= <Juergen@Example.ORG>\n"
        'To: "Doe, Jane" <jane@example.net>,\n bob@example.net (Robert)\n'
        "cc: carol@example.net\n"
        "Subject: =?utf-8?b?R3LDvMOfZQ==?= from\n far away\n"
        "X-Other: nothing\nCcc: nothing\n"
        "To: dave@example.net\n"
        "\nThe Body\n"
    )
    assert found.subject == case_folded("Grüße from far away")
    assert case_folded("Jürgen <juergen@example.org>") in found.people
    for words in (
        '"doe, jane" <jane@example.net>',
        "bob@example.net (robert)",
        "carol@",
        "dave@",
    ):
        assert words in found.people
    assert found.body == "the body"
    assert "nothing" not in f"{found.people} {found.subject} {found.body}"
    assert found.is_whole


@pytest.mark.parametrize(
    ("type_", "octets", "encoding", "text"),
    [
        ("text/plain", b"a=C3=A4=\r\nb", "quoted-printable", "aäb"),
        ("text/plain; charset=utf-8", base64.b64encode("Größe".encode()), "base64", "größe"),
        ("text/plain; charset=iso-8859-1", b"Gr\xfc\xdfe", "8bit", "grüße"),
        ("text/plain; charset=us-ascii", "Grüße".encode(), "8bit", "grüße"),
        ("text/plain", b"Gr\xfc\xdfe", "8bit", "grüße"),
        ("text/plain; charset=x-unheard-of", "Grüße".encode(), "8bit", "grüße"),
        ("text/plain; charset=utf-16", "Hi".encode("utf-16"), "binary", "hi"),
        ("text/html", b"<p>Hello&nbsp;<b>W</b>orld<br>!</p>", "8bit", "hello world !"),
        ("text/html", b"<meta charset=koi8-r><p>\xd0", "8bit", "п"),
        (
            "text/html",
            b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">\xd0',
            "8bit",
            "п",
        ),
        ("text/html; charset=iso-8859-1", b"<meta charset=koi8-r>\xe4", "8bit", "ä"),
        ("text/enriched", b"<bold>Now</bold> is", "8bit", "now is"),
        ("message/delivery-status", b"Final-Recipient: x@y.example", "7bit", "x@y.example"),
        ("image/png", b"pixels", "8bit", ""),
        ("application/octet-stream", b"words", "8bit", ""),
    ],
)
def test_texts_of_all_kinds(type_: str, octets: bytes, encoding: str, text: str) -> None:
    assert case_folded(text) in body_of(type_, octets, encoding)
    if not text:
        assert body_of(type_, octets, encoding) == ""


FORWARDED = """\
Subject: outer
Content-Type: multipart/mixed; boundary=b

--b

see below
--b
Content-Type: message/rfc822

Subject: Inner Subject
From: inner@example.org
Content-Type: multipart/alternative; boundary=c

--c

inner text
--c
Content-Type: text/html

<p>inner <i>HTML</i>
--c--
--b
Content-Type: application/pdf; name="=?utf-8?q?Re=C3=A7u?=.pdf"
Content-Disposition: attachment; filename*=utf-8''Facture%20%C3%A0%20payer.PDF

%PDF
--b--
"""


def test_messages_inside_and_names_of_files() -> None:
    found = of(FORWARDED)
    for words in (
        "see below",
        "inner subject",
        "inner@example.org",
        "inner text",
        "inner html",
    ):
        assert words in found.body
    assert found.subject == "outer"
    assert "%pdf" not in found.body
    assert case_folded("Facture à payer.pdf") in found.files
    assert case_folded("Reçu.pdf") in found.files


def test_what_somebody_else_reads_is_left_to_him() -> None:
    found = of(FORWARDED, handled={"text/html"}, more=["Read Elsewhere"])
    assert "inner html" not in found.body
    assert found.body.endswith("inner text read elsewhere")


# Limits --------------------------------------------------------------------------


@pytest.mark.parametrize(("longest", "is_whole"), [(1000, True), (999, False), (1, False)])
def test_at_the_limit_and_above(longest: int, is_whole: bool) -> None:
    found = of(b"\r\n" + b"x" * 1000, longest=longest)
    assert found.is_whole is is_whole
    assert len(found.body) == min(longest, 1000)


def test_far_above_the_limit() -> None:
    octets = b"\r\n" + b"word " * 1_000_000
    assert (
        sum(one.octets.stop - one.octets.start for one in text_sources(scan(octets), 1000))
        == 4000
    )
    found = of(octets, longest=1000)
    assert len(found.body) <= 1000
    assert not found.is_whole


def test_a_character_is_not_cut_in_two() -> None:
    assert of("\n" + "я" * 10, longest=5).body == "яя"


def test_a_long_header_is_cut() -> None:
    found = of(b"To: " + b"alice@example.org, " * 10000 + b"\r\n\r\nbody")
    assert len(found.people) == 65536
    assert not found.is_whole
    assert found.body == "body"


# Keeping -------------------------------------------------------------------------

texts = st.text().map(case_folded)


@given(st.builds(SearchText, texts, texts, texts, texts, st.booleans()))
def test_what_is_packed_is_read(text: SearchText) -> None:
    as_kept = attrs.evolve(
        text,
        **{
            name: getattr(text, name).encode("utf-8", "replace").decode()
            for name in ("subject", "people", "files", "body")
        },
    )
    assert SearchText.unpack(text.pack()) == as_kept


@pytest.mark.parametrize("octets", [b"", b"\x01", b"\x00" * 20, b"\x02" * 20, b"\x01" * 14])
def test_another_version_is_refused(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"no text of version 1|damaged"):
        SearchText.unpack(octets)


# Whatever comes ------------------------------------------------------------------

LINES = [
    *(
        b"Content-Type: text/html",
        b"Content-Type: text/plain; charset=utf-16",
        b"--b",
        b"--b--",
    ),
    *(b"Content-Type: multipart/mixed; boundary=b", b"Content-Transfer-Encoding: base64", b""),
    *(
        b"Content-Transfer-Encoding: quoted-printable",
        b"=",
        b"=\xff",
        b"<p>",
        b"\xff\xfe",
        b"To:",
    ),
    *(b"Subject: =?utf-7?q?+2AA-?=", b" folded", b"Content-Type: message/rfc822", b"&#xd800;"),
    *(
        b'Content-Type: text/plain; charset="',
        b"Content-Type: text/html; charset=utf-7",
        b"+2AA-",
    ),
]


@given(st.lists(st.sampled_from(LINES)).map(b"\r\n".join) | st.binary())
def test_nothing_is_raised(octets: bytes) -> None:
    found = of(octets)
    assert SearchText.unpack(found.pack()) == found


@pytest.mark.parametrize("line", LINES)
def test_hostile_messages_cost_no_more(line: bytes) -> None:
    messages = repeated(line + b"\r\n", b"Content-Type: text/html\r\n\r\n")
    in_linear_time(of, messages, 400_000)
