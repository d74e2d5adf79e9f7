"""What a reader of HTML sees is what remains of it, whatever the HTML."""

from __future__ import annotations

from html import escape
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.htmltext import dereferenced, line_of, lines_of
from mailplat.testing.growth import in_linear_time, repeated


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a  b\n\tc", "a b c"),
        ("<p>one</p><p>two</p>", "one two"),
        ("one<br>two<BR/>three", "one two three"),
        ("<b>im</b>port<span class=x>ant</span>", "important"),
        ("<a href='x'><B>a</B></a><i>b</i>c", "abc"),
        ("a<!-- x > y -->b", "ab"),
        ("a<!-->b", "ab"),
        ("a<!--->b", "ab"),
        ("a<!-- no end <p>b", "a"),
        ("a<!DOCTYPE html>b", "a b"),
        ("a<![if mso]>b<![endif]>c", "a b c"),
        ("<head><title>t</title><style>p > b {}</style></head><body>x", "x"),
        ("<STYLE type='text/css'>b</STYLE>x<style>y</style >z", "x z"),
        ("<script>if (a < b) { '</p>' }</script>x", "x"),
        ("<script>no end", ""),
        ("<styled>x</styled>", "x"),
        ("<header>x</header><hr>y<thing>z", "x y z"),
        ('<img alt="a > b"> x', "x"),
        ("<img alt='a > b' src=x> x <p title=\"don't\">y", "x y"),
        ("<a title=don't>x</a> y", "x y"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("a <b", "a"),
        ("&lt;p&gt; &amp;amp; &copy; &#8364; &#x20AC;", "<p> &amp; \xa9 \u20ac \u20ac"),
        ("a&nbsp;b&nbsp;&nbsp;c", "a b c"),
        ("a&ampb &notit; &unheardof; & &; &# &#x", "a&ampb &notit; &unheardof; & &; &# &#x"),
        ("AT&amp;T &ampere", "AT&T &ampere"),
        ("&#0;&#xD800;&#x110000;&#128;", "\ufffd\ufffd\ufffd\u20ac"),
        ("a<o:p></o:p>b", "ab"),
    ],
)
def test_what_a_reader_sees(html: str, text: str) -> None:
    assert line_of(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<div style="display:none">x<div>y</div>z</div>seen', "seen"),
        ("<p STYLE='color:red; display : NONE'>x</p>seen", "seen"),
        ("<span hidden>x</span>seen<p hidden=''>y</p>", "seen"),
        ('<div class="a" hidden>x</div>seen', "seen"),
        ('<div style="display:block">x</div> hidden text', "x hidden text"),
        ('<div style="overflow:hidden">x</div>', "x"),
        ('<input type=hidden value="x">seen', "seen"),
        ("write display:none to hide", "write display:none to hide"),
        ('<p style="display:none">ends nowhere', "ends nowhere"),
        ('<img style="display:none">seen', "seen"),
        ('<!-- <div style="display:none"> -->seen</div>', "seen"),
        ('<style>.x { display:none }</style><div class="x">seen</div>', "seen"),
        ('a<div style="display:none">x</div>b<div style="display:none">y</div>c', "abc"),
    ],
)
def test_what_is_hidden_is_not_seen(html: str, text: str) -> None:
    assert line_of(html) == text


def test_lines() -> None:
    html = "<div>On <b>Monday</b>\nwe\n  met.<br>\n<br>Then</div><table><tr><td>left<td>right"
    assert lines_of(html) == ["On Monday we met.", "Then", "left", "right"]
    assert lines_of("<p></p>\n") == []


PIECES = [
    *("<", ">", "<p", "<p>", "</p>", "<!--", "-->", "--", "<b>", "</b ", "<style>", "</style>"),
    *(
        "<script",
        "</script",
        "<title>",
        '="',
        "='",
        '"',
        "'",
        "=",
        "/",
        "x",
        " ",
        "\n",
        "&",
        "#",
    ),
    *(
        "&amp;",
        "&#x41;",
        "<div style='display:none'>",
        "</div>",
        " hidden",
        "display:none",
        "\0",
    ),
    *("\ufffd", "\U0001f600", "<![", "]>", "<a href=", "<div", "<div hidden>"),
]
soup = st.lists(st.sampled_from(PIECES)).map("".join)


@given(soup | st.text())
@example("<p='\"")
def test_nothing_is_raised_and_no_tag_is_left(html: str) -> None:
    text = line_of(html)
    assert text == " ".join(text.split())
    assert "<script" not in text
    assert "\n" not in "".join(lines_of(html))
    text.encode("utf-8", "surrogatepass")


@given(st.lists(st.text("ab<>&;\"' \n"), max_size=5))
def test_escaped_text_comes_out_as_it_was(texts: list[str]) -> None:
    html = "".join(f'<p title="{escape(text)}">{escape(text)}</p>' for text in texts)
    assert line_of(html) == " ".join(" ".join(texts).split())


class Oracle(HTMLParser):
    """The text between tags, as the standard library's parser sees it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self._raw = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._raw += tag in ("script", "style", "title")
        self.text += " "

    def handle_endtag(self, tag: str) -> None:
        self._raw -= tag in ("script", "style", "title")
        self.text += " "

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.text += data


WELL_FORMED = st.recursive(
    st.text("abc ü").map(escape)
    | st.sampled_from(["<br>", "<!-- c -->", "<style>p>b{}</style>"]),
    lambda inner: (
        st.lists(inner)
        .map("".join)
        .flatmap(
            lambda html: st.sampled_from(
                [
                    f"<div class='x'>{html}</div>",
                    f'<p title=">">{html}</p>',
                    f"<td >{html}</td>",
                ]
            )
        )
    ),
    max_leaves=20,
)


@given(WELL_FORMED)
def test_it_sees_what_the_standard_librarys_parser_sees(html: str) -> None:
    oracle = Oracle()
    oracle.feed(html)
    oracle.close()
    assert line_of(html).split() == oracle.text.split()


@pytest.mark.parametrize(
    "piece", [*PIECES, "<p style='display:none'>", "<td hidden><tr hidden>"]
)
def test_hostile_html_costs_no_more(piece: str) -> None:
    for reduce in (line_of, lines_of):
        in_linear_time(reduce, repeated(piece))


@given(soup)
def test_hostile_soup_costs_no_more(html: str) -> None:
    if html:
        in_linear_time(line_of, repeated(html))


def test_references() -> None:
    assert dereferenced("nothing") == "nothing"
    assert dereferenced("&auml;&#228;&#xe4;") == "äää"
