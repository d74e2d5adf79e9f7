"""The charset that HTML names itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.edit import Edits
from mailplat.mail.message import Message
from mailplat.mail.metacharset import LOOKED_AT, charset_in
from mailplat.mail.search import search_text
from mailplat.mail.structure import scan

PRAGMA = b'<meta http-equiv="Content-Type" content="text/html; charset=%b">'


@pytest.mark.parametrize(
    ("html", "label"),
    [
        (b"", ""),
        (b"<p>charset=koi8-r", ""),
        (b"<meta charset=koi8-r>", "koi8-r"),
        (b"<META CHARSET='KOI8-R'/>", "koi8-r"),
        (b'<meta/charset = " koi8-r "\n>', "koi8-r"),
        (b"<!doctype html>\n<html lang=en><head><meta charset=koi8-r>", "koi8-r"),
        (PRAGMA % b"koi8-r", "koi8-r"),
        (PRAGMA.replace(b'"', b"'") % b'"koi8-r"', "koi8-r"),
        (b'<meta content="text/html;charset=koi8-r" http-equiv=content-type>', "koi8-r"),
        (b'<meta content="text/html; charset=koi8-r">', ""),
        (b'<meta name="description" content="charset=koi8-r">', ""),
        (b'<meta charset=latin2 http-equiv="content-type" content="charset=koi8-r">', "latin2"),
        (b"<meta charset=koi8-r charset=latin2>", "koi8-r"),
        (b"<meta charset=unheard-of><meta charset=koi8-r>", "koi8-r"),
        (b"<meta name=x><meta charset=koi8-r><meta charset=latin2>", "koi8-r"),
        (b"<!-- <meta charset=latin2> --><meta charset=koi8-r>", "koi8-r"),
        (b"<!--><meta charset=koi8-r>", "koi8-r"),
        (b"<!-- <meta charset=koi8-r>", ""),
        (b'<p title="<meta charset=latin2>"><meta charset=koi8-r>', "koi8-r"),
        (b"<?xml <meta charset=latin2?><meta charset=koi8-r>", "koi8-r"),
        (b"<metal charset=latin2>", ""),
        (b"<meta charset=koi8-r", ""),
        (b"<meta charset='koi8-r>", ""),
        (b"<meta charset=us-ascii>", ""),
        (b"<meta charset=utf-16>", "utf-8"),
        (b"<meta charset=utf-7>", ""),
        (b"<meta charset=x-user-defined>", "windows-1252"),
    ],
)
def test_what_html_names_itself(html: bytes, label: str) -> None:
    assert charset_in(html) == label


def test_only_the_beginning_is_looked_at() -> None:
    meta = b"<meta charset=koi8-r>"
    assert charset_in(meta.rjust(LOOKED_AT)) == "koi8-r"
    assert charset_in(meta.rjust(LOOKED_AT + 1)) == ""


words = st.sampled_from(
    [
        b"<",
        b"<meta ",
        b"charset",
        b"=",
        b"koi8-r",
        b'"',
        b"'",
        b">",
        b"/",
        b"<!--",
        b"-->",
        b" ",
    ]
)


@given(st.lists(words | st.binary(max_size=5)).map(b"".join))
def test_whatever_it_is_it_names_one_or_none(html: bytes) -> None:
    assert isinstance(charset_in(html), str)


def message(html: bytes, type_: bytes = b"text/html") -> bytes:
    return b"MIME-Version: 1.0\r\nContent-Type: %b\r\n\r\n%b" % (type_, html)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (message(b"<meta charset=koi8-r><p>\xd0"), "п"),
        (message(b"<meta charset=koi8-r><p>\xd0", b"text/html; charset=us-ascii"), "п"),
        (message(b"<meta charset=koi8-r><p>\xe4", b"text/html; charset=iso-8859-1"), "ä"),
        (message(b"<!--<meta charset=koi8-r>--><p>\xe4"), "ä"),
    ],
)
def test_what_is_shown_is_what_is_found(octets: bytes, text: str) -> None:
    assert Message.of(octets).text.strip() == text
    assert search_text(octets, scan(octets)).body == text.strip().replace("ä", "a\u0308")


def test_a_text_that_is_written_anew_is_read_as_it_was_meant() -> None:
    was = Message.of(message(b"<meta charset=koi8-r><p>\xd0</p>"))
    now = was.after(Edits().rewrite_texts(lambda html: html.replace("</p>", "ä</p>")))
    assert now.text.strip() == "пä"
    assert now.parts[0].entity.media_type.parameters.text(b"charset") == "utf-8"
