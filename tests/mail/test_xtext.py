"""Parameters of DSNs come back as they were, and none says what could begin a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.envelope import OriginalRecipient
from mailplat.mail.errors import BadParameter
from mailplat.mail.xtext import (
    envelope_id,
    from_xtext,
    orcpt,
    original_recipient,
    utf8_xtext,
    xtext,
)

printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=100)
seen = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=40
)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("Bob@Example.COM", "Bob@Example.COM"),  # RFC 3461 section 10
        ("a+b=c d", "a+2Bb+3Dc+20d"),
        ("", ""),
    ],
)
def test_xtext(text: str, encoded: str) -> None:
    assert xtext(text) == encoded
    assert from_xtext(encoded) == text


@given(printable)
def test_xtext_comes_back(text: str) -> None:
    assert from_xtext(xtext(text)) == text


@pytest.mark.parametrize(
    "bad",
    ["a b", "a=b", "+", "+4", "+4g", "+2b", "é", "+0D+0A", "+00", "+7F", "+E9", "x" * 501],
)
def test_what_is_no_xtext(bad: str) -> None:
    with pytest.raises(BadParameter):
        from_xtext(bad)
    with pytest.raises(BadParameter):
        original_recipient("rfc822;" + bad)


@pytest.mark.parametrize("bad", ["\r\nBcc: x", "é", "\0", "\x7f"])
def test_what_xtext_can_not_say(bad: str) -> None:
    with pytest.raises(BadParameter):
        xtext(bad)


@pytest.mark.parametrize(
    ("parameter", "kind", "address"),
    [
        ("rfc822;Bob@Example.COM", "rfc822", "Bob@Example.COM"),
        ("RFC822;a+2Bb@example.org", "RFC822", "a+b@example.org"),
        ("x400;/S=smith/", "x400", None),  # "=" must be written +3D
        ("x400;/S+3Dsmith/", "x400", "/S=smith/"),
        ("utf-8;zo\\x{EB}@example.org", "utf-8", "zoë@example.org"),
        ("utf-8;zoë@example.org", "utf-8", "zoë@example.org"),
        ("utf-8;\\x{1F600}\\x{5C}@example.org", "utf-8", "😀\\@example.org"),
        ("utf-8;\\x{110000}@example.org", "utf-8", "\\x{110000}@example.org"),
        ("utf-8;\\x{0D}\\x{0A}@example.org", "utf-8", None),
        ("utf-8;\\x{D800}@example.org", "utf-8", None),
        ("utf-8;a b@example.org", "utf-8", None),
        ("utf-8;", "utf-8", None),
        (";a@b", "", None),
        ("a@b", "", None),
        ("rfc 822;a@b", "", None),
        ("rfc822;" + "x" * 500, "", None),
    ],
)
def test_orcpt_is_read(parameter: str, kind: str, address: str | None) -> None:
    if address is None:
        with pytest.raises(BadParameter):
            original_recipient(parameter)
    else:
        assert original_recipient(parameter) == OriginalRecipient(kind, address)


@given(st.sampled_from(["rfc822", "x400"]), printable)
def test_orcpt_comes_back(kind: str, address: str) -> None:
    original = OriginalRecipient(kind, address)
    assert original_recipient(orcpt(original)) == original


@given(seen, st.booleans())
def test_orcpt_outside_ascii_comes_back(address: str, utf8: bool) -> None:
    original = OriginalRecipient("utf-8", address)
    written = orcpt(original, utf8=utf8)
    assert original_recipient(written) == original
    assert utf8 or written.isascii()
    assert not set(written) & set("+= \r\n")


@given(st.text(max_size=60))
def test_any_parameter_is_read_or_refused(parameter: str) -> None:
    for kind in ("", "rfc822;", "utf-8;"):
        try:
            found = original_recipient(kind + parameter)
        except BadParameter:
            continue
        assert not set(found.address) & set("\r\n\0")


def test_controls_are_refused() -> None:
    with pytest.raises(BadParameter):
        utf8_xtext("a\r\nb")
    with pytest.raises(BadParameter):
        orcpt(OriginalRecipient("utf-8", "a\nb"), utf8=True)
    with pytest.raises(BadParameter):
        orcpt(OriginalRecipient("rfc822", "a\nb"))


def test_an_envelope_id_has_a_limit() -> None:
    assert envelope_id("QQ314159") == "QQ314159"
    assert envelope_id("x" * 100) == "x" * 100
    for bad in ("x" * 101, "a b", "+0A"):
        with pytest.raises(BadParameter):
            envelope_id(bad)
