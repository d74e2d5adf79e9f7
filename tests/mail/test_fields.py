"""Structured fields say what they were given, and no stranger's words begin another line."""

from __future__ import annotations

import email.policy
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.address import Address
from mailplat.mail.compose import delivered_to, return_path
from mailplat.mail.fields import (
    date_field,
    identifier_field,
    laid_out,
    one_line,
    parameter_field,
    structured,
    words_parameter,
)
from mailplat.mail.header import Header
from mailplat.mail.identifiers import identifiers_in

harmless = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]))


def parsed(field: bytes) -> EmailMessage:
    """Return what the standard library makes of one field."""
    message = BytesParser(policy=email.policy.default).parsebytes(field + b"\r\n")
    assert isinstance(message, EmailMessage)
    return message


def check_lines(field: bytes) -> None:
    lines = field.split(b"\r\n")
    assert lines.pop() == b""
    assert all(line.startswith(b" ") for line in lines[1:])
    assert all(line.strip() and len(line) <= 998 for line in lines)
    assert not re.search(rb"[\x00-\x08\n-\x1f\x7f]", b"".join(lines))


# Any field.


@pytest.mark.parametrize("bad", ["\r\nBcc: x", "\n", "\r", "\0", "\x1b[31m", "\x7f"])
def test_controls_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="control"):
        structured(b"X", [b" " + bad.encode()])
    with pytest.raises(ValueError, match="control"):
        parameter_field(b"X", f"a{bad}", {})
    with pytest.raises(ValueError, match="control"):
        parameter_field(b"X", "a", {"b": f"c{bad}"})
    with pytest.raises(ValueError, match="control"):
        parameter_field(b"X", "a", {f"b{bad}": "c"})
    with pytest.raises(ValueError, match="control"):
        list(words_parameter(b"name", f"é{bad}"))


@pytest.mark.parametrize("name", [b"", b"a b", b"a:b", b"\xe9", b"a\r\nb", b"x" * 71])
def test_no_name_is_refused(name: bytes) -> None:
    with pytest.raises(ValueError, match="field name"):
        structured(name, [b" x"])


def test_what_fits_no_line_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        structured(b"X", [b" " + b"x" * 996])
    check_lines(structured(b"X", [b" " + b"x" * 995]))


@pytest.mark.parametrize("bad", ["\r", "\n", "\r\n", "\0"])
def test_trace_fields_refuse_line_ends_in_addresses(bad: str) -> None:
    address = Address(f"a{bad}b", "example.org")
    with pytest.raises(ValueError, match="control"):
        return_path(address)
    with pytest.raises(ValueError, match="control"):
        delivered_to(address)


def test_fields_by_hand_have_as_many_lines_as_they_say() -> None:
    assert laid_out(b"A: b\r\n\tc\r\n", 2) == b"A: b\r\n\tc\r\n"
    for field in (
        b"A: b\r\nB: c\r\n",
        b"A: b",
        b"A: b\r\r\n",
        b"A: b\n\r\n",
        b"A: b\n\r",
        b"A: \0\r\n",
        b"A: \x1b\r\n",
        b"A: \x7f\r\n",
    ):
        with pytest.raises(ValueError, match="control"):
            laid_out(field)


# Identifiers and dates.


def test_identifiers() -> None:
    identifiers = [b"a@b", b"c" * 55 + b"@d", b"e@f"]
    field = identifier_field(b"References", identifiers)
    assert field == b"References: <a@b> <" + b"c" * 55 + b"@d>\r\n <e@f>\r\n"
    assert identifiers_in(Header(field).body(b"references")) == identifiers


@pytest.mark.parametrize(
    "bad", [b"", b"a b@c", b"a>@b", b"<a@b", b"a\r\n@b", b"a\0@b", b"\xe9@b"]
)
def test_an_identifier_that_is_none_is_left_out(bad: bytes) -> None:
    assert identifier_field(b"In-Reply-To", [bad]) == b""
    assert identifier_field(b"In-Reply-To", [bad, b"a@b"]) == b"In-Reply-To: <a@b>\r\n"


def test_a_date() -> None:
    moment = datetime(2026, 11, 3, 9, 5, 7, tzinfo=UTC)
    assert date_field(b"Date", moment) == b"Date: Tue, 3 Nov 2026 09:05:07 +0000\r\n"


# Parameters.


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("x", b" filename=x"),
        ("", b' filename=""'),
        ("a b.pdf", b' filename="a b.pdf"'),
        ('a"b\\c', rb' filename="a\"b\\c"'),
        ("x" * 200, b" filename=" + b"x" * 200),
        ("é.pdf", b" filename*=utf-8''%C3%A9.pdf"),
        ("*'%é", b" filename*=utf-8''%2A%27%25%C3%A9"),
    ],
)
def test_a_parameter(text: str, octets: bytes) -> None:
    field = parameter_field(b"Content-Disposition", "attachment", {"filename": text})
    check_lines(field)
    assert field.replace(b"\r\n", b"") == b"Content-Disposition: attachment;" + octets


@pytest.mark.parametrize("bad", ["", "a b", "a;b=c", "a/b/c", "a/", "é", '"a"', "a=b"])
def test_what_is_no_token(bad: str) -> None:
    with pytest.raises(ValueError, match="no token"):
        parameter_field(b"Content-Type", bad, {})
    with pytest.raises(ValueError, match="no token"):
        parameter_field(b"Content-Type", "a/b", {bad: "x"})


def test_characters_stay_whole_in_sections() -> None:
    field = parameter_field(b"X", "a", {"b": "漢字" * 20})
    for section in re.findall(rb"=(?:utf-8'')?([%A-F0-9]+)", field):
        bytes.fromhex(section.replace(b"%", b" ").decode()).decode("utf-8")
    assert max(map(len, field.split(b"\r\n"))) <= 78


@given(harmless | st.text("aé\"\\; =*'%漢", max_size=300))
def test_parameters_come_back(text: str) -> None:
    field = parameter_field(b"Content-Disposition", "attachment", {"x": "1", "filename": text})
    check_lines(field)
    assert field.isascii()
    message = parsed(field)
    assert message.get_content_disposition() == "attachment"
    if text.strip() == text and "  " not in text:  # the library makes of several spaces one
        assert message["content-disposition"].params["filename"] == text


@given(harmless)
def test_words_in_quotes_can_be_read(text: str) -> None:
    field = parameter_field(b"Content-Type", "image/gif", {}, words_parameter(b"name", text))
    check_lines(field)
    assert field.isascii()
    assert max(map(len, field.split(b"\r\n"))) <= 78


# Strangers' words.


@given(st.text())
def test_any_words_become_one_line(text: str) -> None:
    line = one_line(text, 50)
    assert len(line) <= 51
    check_lines(structured(b"X", [b" " + line.encode()]))
    check_lines(parameter_field(b"X", "a", {"b": line}))


def test_what_words_become() -> None:
    assert one_line("plain wörds 漢") == "plain wörds 漢"
    assert one_line("a\r\nb\tc\u2028d") == "a b c d"
    assert one_line("a\0\x1b[2Jb\u202egnp.exe\ud800") == "a\ufffd\ufffd[2Jb\ufffdgnp.exe\ufffd"
    assert one_line("x" * 11, 10) == "x" * 10 + "…"
