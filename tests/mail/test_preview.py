"""The first words of a message are those of its sender (RFC 8970)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.preview import READ, own_lines, preview, preview_parts
from mailplat.mail.structure import scan
from mailplat.testing.growth import in_linear_time, repeated


def of(octets: bytes | str, type_: str = "text/plain") -> str:
    if isinstance(octets, str):
        text = octets.replace("\n", "\r\n")
        octets = f"Content-Type: {type_}; charset=utf-8\r\n\r\n{text}".encode()
    return preview(octets, scan(octets))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("Hello,\n\n  how   are\tyou?\n", "Hello, how are you?"),
        (
            "Hi\n\nOn Monday, Bob wrote:\n> quoted\n>> more\n\nI agree.\n-- \nsignature",
            "Hi I agree.",
        ),
        ("Am 5. Mai schrieb\nBob <bob@example.org>:\n\n> quoted\nJa.", "Ja."),
        ("Yes.\nBob wrote:\n> quoted", "Yes."),
        ("Note this:\n\nfirst", "Note this: first"),
        ("> only\n> quoted", "only quoted"),
        ("Thanks!\n\n-----Original Message-----\nFrom: x\n\nold", "Thanks!"),
        ("Thanks!\n________________________________\nFrom: x\n\nold", "Thanks!"),
        ("-----Forwarded message-----\nFrom: x\n\nold", "From: x old"),
        ("=====\nNews\n=====\ntext", "News text"),
        ("\u200bzero\u200c\ufeff width", "zero width"),
        ("-- \nonly a signature", "-- only a signature"),
        ("a < b & c", "a < b & c"),
    ],
)
def test_plain_text(text: str, words: str) -> None:
    assert of(text) == words


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<title>t</title><style>s</style><p>Hello</p><p>you</p>", "Hello you"),
        (
            "<div style='display:none'>In short&zwnj;&nbsp;&zwnj;&nbsp;</div><p>Hello",
            "In short Hello",
        ),
        (
            '<p>Yes.</p><div class="gmail_quote">On Monday:<blockquote>q</blockquote></div>',
            "Yes.",
        ),
        ("<p>Yes.</p><p>Bob wrote:</p><blockquote>q</blockquote>", "Yes."),
        ("<BLOCKQUOTE>only</BLOCKQUOTE>", "only"),
        ('<div>Yes.</div><hr><div id="divRplyFwdMsg">From: x</div>', "Yes."),
        ("a &lt; b &amp; c", "a < b & c"),
    ],
)
def test_html(html: str, words: str) -> None:
    assert of(html, "text/html") == words


def test_no_more_than_200_characters() -> None:
    assert of("ä" * 1000) == "ä" * 200
    assert of("word " * 1000) == ("word " * 40).strip()


def test_markup_alone_is_passed_over() -> None:
    style = "<style>" + "p { color: red }" * 4000 + "</style>"
    assert of(f"<html><head>{style}</head><body>Hello</body>", "text/html") == "Hello"


MIXED = """\
Content-Type: multipart/mixed; boundary=b

preamble
--b
Content-Type: text/plain
Content-Disposition: attachment

attached
--b
Content-Type: text/plain

{first}
--b
Content-Type: text/html

<p>second
--b--
"""


@pytest.mark.parametrize(
    ("first", "words"), [("first", "first"), ("", "second"), (" \n\n \u200b", "second")]
)
def test_the_first_text_that_says_anything(first: str, words: str) -> None:
    octets = MIXED.format(first=first).replace("\n", "\r\n").encode()
    assert preview(octets, scan(octets)) == words


def test_own_words_count_more_than_quoted_ones() -> None:
    octets = MIXED.format(first="> quoted").replace("\n", "\r\n").encode()
    assert preview(octets, scan(octets)) == "second"


def test_only_the_beginning_is_wanted() -> None:
    octets = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    octets += base64.encodebytes(b"word " * 1_000_000)
    [(_, lies)] = preview_parts(scan(octets))
    assert lies.stop - lies.start == READ[-1]
    assert of(octets).startswith("word word")


LINES = [
    "> a",
    "a:",
    "",
    "--",
    "-----x-----",
    "<blockquote",
    "<p>",
    "</p>",
    ">",
    "\x00",
    "=" * 9,
    "_" * 30,
]


@given(
    st.lists(st.sampled_from(LINES)).map("\n".join) | st.text(),
    st.sampled_from(["text/plain", "text/html"]),
)
def test_nothing_is_raised(text: str, type_: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    words = of(text, type_)
    assert len(words) <= 200
    assert words == " ".join(words.split())


@pytest.mark.parametrize("type_", ["text/plain", "text/html"])
@pytest.mark.parametrize("line", LINES)
def test_hostile_texts_cost_no_more(line: str, type_: str) -> None:
    header = f"Content-Type: {type_}\r\n\r\n".encode()
    in_linear_time(of, repeated(f"{line}\r\n".encode(), header))


@given(
    st.lists(st.sampled_from(["\n" * 3, "\r\n" * 8, "\r", " ", "a", "> b", "1:", "x\n", "\n"]))
)
def test_many_empty_lines_say_no_more_than_a_few(pieces: list[str]) -> None:
    text = "".join(pieces)
    all_lines = text.splitlines()
    octets = b"Content-Type: text/plain\r\n\r\n" + text.encode()
    words = " ".join(" ".join(own_lines(all_lines)).split())
    otherwise = " ".join(" ".join(line.lstrip("> ") for line in all_lines).split())
    assert preview(octets, scan(octets)) == (words or otherwise)[:200].rstrip()


def test_a_text_of_empty_lines_is_read_in_linear_time() -> None:
    assert of(b"\n" * 100_000) == ""
    in_linear_time(of, repeated(b"\n"), 100_000)


@pytest.mark.parametrize("octets", [b"\xad\x0c", b"\x0c", b"&shy;<p>", b"> \n", b"a:\n1\n"])
@pytest.mark.parametrize("media_type", ["text/plain", "text/html"])
def test_texts_of_nothing_cost_little(octets: bytes, media_type: str) -> None:
    head = f"--b\r\nContent-Type: {media_type}; charset=iso-8859-1\r\n\r\n".encode()
    part = repeated(octets, head, b"\r\n")

    def message(size: int) -> bytes:
        return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part(size) * 3

    in_linear_time(of, message, 100_000)
