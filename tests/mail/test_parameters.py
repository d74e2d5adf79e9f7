"""Content-Type and Content-Disposition are read, however they are written."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.parameters import (
    LONGEST_BODY,
    PARAMETERS,
    Disposition,
    MediaType,
    Parameters,
    disposition,
    media_type,
    token,
    tokens,
)
from mailplat.testing.growth import in_linear_time, repeated

TEXT = b"text", b"plain"


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        (b"text/plain", TEXT),
        (b"TEXT/Html", (b"TEXT", b"Html")),
        (b"image/svg+xml; x=y", (b"image", b"svg+xml")),
        (b" text/plain ;", TEXT),
        (b"text / plain", TEXT),
        (b"(a) text (b) / (c) plain (d)", TEXT),
        (b"text/plain (a comment; x=y)", TEXT),
        (b'"text/plain"; x=y', TEXT),
        (b"text/plain x=y", TEXT),
        (b"text/plain, x=y", TEXT),
        (b"text/plain/more; x=y", TEXT),
        (b"text/x\xc3\xa4", (b"text", b"x\xc3\xa4")),
        (b"text", TEXT),  # RFC 1049
        (b"multipart", (b"multipart", b"mixed")),
        (b"multipart/; boundary=x", (b"multipart", b"mixed")),
        (b"text/plain\0", TEXT),
        (b"", TEXT),  # RFC 2045 section 5.2
        (b"/html", TEXT),
        (b"no type", TEXT),
        (b"(never ends text/html", TEXT),
        (b"; x=y", TEXT),
    ],
)
def test_a_type_is_found(body: bytes, type_: tuple[bytes, bytes]) -> None:
    found = media_type(body)
    assert (found.type, found.subtype) == type_
    if b"x=y" in body and b"(a comment" not in body:
        assert found.parameters.raw(b"x") == b"y"


PARAMETER_ROWS = [
    (b"a=b", [(b"a", b"b")]),
    (b"A=b; c=D", [(b"A", b"b"), (b"c", b"D")]),
    (b'a="b c"', [(b"a", b"b c")]),
    (b'a=""', [(b"a", b"")]),
    (b'a="b;c=d"; e=f', [(b"a", b"b;c=d"), (b"e", b"f")]),
    (b'a="b\\"c\\\\d\\e"', [(b"a", b'b"c\\de')]),
    (b"a = b ; c = d", [(b"a", b"b"), (b"c", b"d")]),
    (b"a\t=\t b", [(b"a", b"b")]),
    (b";; a=b;;; c=d;", [(b"a", b"b"), (b"c", b"d")]),
    # missing semicolons
    (b"a=b c=d", [(b"a", b"b"), (b"c", b"d")]),
    (b'a="b" c="d"', [(b"a", b"b"), (b"c", b"d")]),
    (b"a=b, c=d", [(b"a", b"b"), (b"c", b"d")]),
    (b"a=b\tc = d", [(b"a", b"b"), (b"c", b"d")]),
    # values that should have been quoted
    (b"a=my file.txt; c=d", [(b"a", b"my file.txt"), (b"c", b"d")]),
    (b"a=[1]/x@y.txt?; c=d", [(b"a", b"[1]/x@y.txt?"), (b"c", b"d")]),
    (b"a=b=c; d=e", [(b"a", b"b=c"), (b"d", b"e")]),
    (b'a=b"c"; d=e', [(b"a", b'b"c"'), (b"d", b"e")]),
    (b"a='b c'; d=e", [(b"a", b"'b c'"), (b"d", b"e")]),
    (b"a==?utf-8?q?b?=; d=e", [(b"a", b"=?utf-8?q?b?="), (b"d", b"e")]),
    (b"a=C:\\b; d=e", [(b"a", b"C:\\b"), (b"d", b"e")]),
    # comments, and what only looks like one
    (b"a=b (comment)", [(b"a", b"b")]),
    (b"a=b (com(m)ent; c=d); e=f", [(b"a", b"b"), (b"e", b"f")]),
    (b"a=(comment)b; (c) d (e) = (f) g", [(b"a", b"b"), (b"d", b"g")]),
    (b'a="b (c)"', [(b"a", b"b (c)")]),
    (b"a=report (1).pdf; c=d", [(b"a", b"report (1).pdf"), (b"c", b"d")]),
    (b"a=b (never ends; c=d", [(b"a", b"b (never ends"), (b"c", b"d")]),
    (b"a=b (\\) ); c=d", [(b"a", b"b"), (b"c", b"d")]),
    # quotation marks that never end
    (b'a="b', [(b"a", b"b")]),
    (b'a="b; c=d', [(b"a", b"b"), (b"c", b"d")]),
    (b'a="', [(b"a", b"")]),
    (b'a="b\\', [(b"a", b"b\\")]),
    # what is no parameter
    (b"a", []),
    (b"a; c=d", [(b"c", b"d")]),
    (b"=b; c=d", [(b"c", b"d")]),
    (b"a b=c; d=e", [(b"b", b"c"), (b"d", b"e")]),
    (b'"a"=b; c=d', [(b"a", b"b"), (b"c", b"d")]),
    (b'a="b"c; d=e', [(b"a", b"b"), (b"d", b"e")]),
    (b'a="b""c"; d=e', [(b"a", b"b"), (b"d", b"e")]),
    # octets that nobody expects
    (b"a=\xc3\xa4; c=d", [(b"a", b"\xc3\xa4"), (b"c", b"d")]),
    (b'a="b\0c"; d=e\0f', [(b"a", b"b\0c"), (b"d", b"e\0f")]),
    (b"a=b\r\nc=d", [(b"a", b"b"), (b"c", b"d")]),
    (b"\xc3\xa4=b", [(b"\xc3\xa4", b"b")]),
    # the same name again: both are seen
    (b"a=b; A=c", [(b"a", b"b"), (b"A", b"c")]),
    (b"a*0=b; a*1*=%20", [(b"a*0", b"b"), (b"a*1*", b"%20")]),
]


@pytest.mark.parametrize(("written", "pairs"), PARAMETER_ROWS, ids=lambda row: repr(row)[:40])
def test_parameters_are_found(written: bytes, pairs: list[tuple[bytes, bytes]]) -> None:
    assert list(media_type(b"text/plain; " + written).parameters) == pairs
    found = disposition(b"attachment; " + written)
    assert found == Disposition(b"attachment", Parameters(pairs))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"inline", b"inline"),
        (b"ATTACHMENT; a=b", b"ATTACHMENT"),
        (b"attachment a=b", b"attachment"),
        (b'"attachment"; a=b', b"attachment"),
        (b"(c) attachment", b"attachment"),
        (b"; a=b", b"attachment"),
        (b"a=b", b"attachment"),
        (b"x\xc3\xa4; a=b", b"x\xc3\xa4"),
        (b"", None),
        (b" ; ", None),
        (b"(c)", None),
    ],
)
def test_a_disposition_is_found(body: bytes, kind: bytes | None) -> None:
    found = disposition(body)
    assert (found and found.kind) == kind
    if found and b"a=b" in body:
        assert found.parameters == ((b"a", b"b"),)


def test_what_is_not_inline_is_an_attachment() -> None:
    assert not disposition(b"INLINE; filename=x").is_attachment
    assert disposition(b"attachment").is_attachment
    assert disposition(b"x-unheard-of").is_attachment  # RFC 2183 section 2.8


def parameters(written: bytes) -> Parameters:
    return media_type(b"text/plain; " + written).parameters


@pytest.mark.parametrize(
    ("written", "joined"),
    [
        (b"name=a; x=y", [(b"name", b"a"), (b"x", b"y")]),
        (b"name*0=a; name*1=b; x=y", [(b"x", b"y"), (b"name", b"ab")]),
        (b"name*1=b; x=y; name*0=a", [(b"x", b"y"), (b"name", b"ab")]),
        (b"NAME*0=a; name*1=b", [(b"NAME", b"ab")]),
        (b"name*=utf-8''%41", [(b"name*", b"utf-8''%41")]),
        (b"name*0*=utf-8''%41; name*1=\"b c%\"", [(b"name*", b"utf-8''%41b c%25")]),
        (b"name*00=a; name*01=b", [(b"name", b"ab")]),
        (b"name*0=a; name*2=c", [(b"name*0", b"a"), (b"name*2", b"c")]),
        (b"name*0=a; name*0=b", [(b"name*0", b"a"), (b"name*0", b"b")]),
        (b"b*0=1; a*=2", [(b"a*", b"2"), (b"b", b"1")]),
        (b"name*x=a; name**=b; *=c", [(b"name*x", b"a"), (b"name**", b"b"), (b"*", b"c")]),
    ],
)
def test_continuations_are_joined_for_imap(
    written: bytes, joined: list[tuple[bytes, bytes]]
) -> None:
    """RFC 2231 section 6 wants it so; what is missing isn't guessed."""
    assert list(parameters(written).joined) == joined


RFC_2231 = b"""\
name*0*=us-ascii'en'This%20is%20even%20more%20;
 name*1*=%2A%2A%2Afun%2A%2A%2A%20;
 name*2="isn't it!"
"""  # section 4.1, another name


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        (b"name=a", ["a"]),
        (b"NAME=a; name=b", ["a", "b"]),
        (b"name*=utf-8''%e2%82%ac%20rates", ["€ rates"]),  # RFC 5987 section 3.2.2
        (b"name*=iso-8859-1'en'%A3%20rates", ["£ rates"]),
        (b"name*=''%41", ["A"]),
        (b"name*=%41%zz", ["A%zz"]),
        (b"name*=x-unheard-of''%e4", ["ä"]),
        (RFC_2231, ["This is even more ***fun*** isn't it!"]),
        (b"name*0*=utf-8''%c3; name*1*=%a4", ["ä"]),  # a character cut in two
        (b'name*0="=?utf-8?q?=C3=A4"; name*1="_b?="', ["ä b"]),
        (b'name="=?iso-8859-1?q?=E4?= =?iso-8859-1?q?b?="', ["äb"]),
        (b"name=\xc3\xa4", ["ä"]),
        (b"name=\xe4", ["ä"]),
        (b"name=plain.txt; name*=utf-8''f%C3%BCr.exe", ["für.exe", "plain.txt"]),
        (b"name*0=a; name*2=.exe", ["a", "a.exe"]),
        (b"name*1=a; name*2=b", ["ab"]),
        (b"name*0=a; name*0=b; name*1=c", ["ac"]),
        (b"x=y", []),
        (b"name*x=y", []),
    ],
)  # fmt: skip
def test_every_reading_is_there_and_the_usual_one_first(
    written: bytes, texts: list[str]
) -> None:
    found = parameters(written)
    assert list(found.texts(b"name")) == texts
    assert found.text(b"name") == (texts[0] if texts else None)


def test_the_octets_as_they_stand_are_there_too() -> None:
    found = parameters(b"name=a; name*0*=utf-8''%41; NAME*1=b; name*=c; other=d")
    assert found.raws(b"name") == (b"a", b"utf-8''%41", b"b", b"c")
    assert found.raw(b"name") == b"a"
    assert found.raw(b"none") is None


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        (b"boundary=x", b"x"),
        (b"boundary*0=x; boundary*1=y", b"xy"),
        (b"boundary*=us-ascii''x%79", b"xy"),
        (b"boundary=; x=y", b""),
        (b"x=y", None),
    ],
)
def test_a_boundary_is_octets(written: bytes, octets: bytes | None) -> None:
    assert parameters(written).octets(b"boundary") == octets


def test_only_so_many_parameters_are_read() -> None:
    for many in (PARAMETERS - 1, PARAMETERS, PARAMETERS + 1, 1000):
        usual = b"; ".join(b"p%d=v" % number for number in range(many))
        assert len(parameters(usual)) == min(many, PARAMETERS)
        assert len(parameters(b"x y; " + usual)) <= PARAMETERS
    hundred = parameters(b"; ".join(b"name*%d=x" % number for number in range(200)))
    assert hundred.text(b"name") == "x" * PARAMETERS


def test_only_so_much_of_a_field_is_read() -> None:
    long = media_type(b"text/plain; name=" + b"x" * 10 * LONGEST_BODY)
    assert 0 < len(long.parameters[0][1]) < LONGEST_BODY


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"de", [b"de"]),
        (b"de, en-GB (british), ,fr;q=1", [b"de", b"en-GB", b"fr"]),
        (b'"de", (c) en', [b"de", b"en"]),
        (b"", []),
        (b"=?utf-8?q?de?=", []),
    ],
)
def test_lists_of_tokens(body: bytes, found: list[bytes]) -> None:
    assert list(tokens(body)) == found
    assert token(body) == (found[0] if found else b"")


def test_a_type_has_a_name() -> None:
    assert MediaType(b"TEXT", b"Plain").name == "text/plain"
    assert MediaType(b"text", b"\xe4").name == "text/ä"


NASTY = [
    *(b";", b"=", b'"', b"\\", b"(", b")", b" ", b"a", b"a=b;", b"name*0*=", b"\t", b",", b"%"),
    *(b"'", b"\xff", b"\0", b"()", b"(a)", b'a="\\', b"a=(;", b"a a", b"\r\n", b"/", b"=?", b"?="),
]  # fmt: skip


@given(st.lists(st.sampled_from(NASTY)).map(b"".join))
@example(b'a="\\')
def test_nothing_is_raised(body: bytes) -> None:
    found = media_type(body)
    assert len(found.type) > 0 < len(found.subtype)
    assert len(found.parameters.joined) <= len(found.parameters)
    for name, _ in found.parameters:
        found.parameters.texts(name.lower()), found.parameters.raws(name.lower())
    disposition(body), tokens(body), token(body)


@given(
    st.lists(st.tuples(st.from_regex(rb"[a-z]{1,5}", fullmatch=True), st.binary(max_size=9)))
)
def test_what_is_well_written_is_read_as_it_was_meant(pairs: list[tuple[bytes, bytes]]) -> None:
    def quoted(value: bytes) -> bytes:
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'

    written = b"; ".join(name + b"=" + quoted(value) for name, value in pairs)
    assert list(parameters(written)) == pairs[:PARAMETERS]


@pytest.mark.parametrize("unit", NASTY)
def test_time_is_linear(unit: bytes) -> None:
    def read(body: bytes) -> None:
        found = media_type(body)
        found.parameters.joined, found.parameters.texts(b"name")

    for start in (b"", b"text/plain", b"text/plain; a=", b'text/plain; a="'):
        in_linear_time(read, repeated(unit, start))
