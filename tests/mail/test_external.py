"""What is elsewhere is described, and nothing fetches it."""

from __future__ import annotations

import email

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.content import whole
from mailplat.mail.external import external_body, external_part
from mailplat.mail.multipart import message
from mailplat.mail.parameters import media_type

INNER = (
    b"Content-type: application/postscript\r\nContent-ID: <id42@guppylake.bellcore.com>\r\n\r\n"
)


@pytest.mark.parametrize(
    ("parameters", "access", "place"),
    [
        # RFC 2046 section 5.2.3.7
        (
            (
                b'name="BodyFormats.ps"; site="thumper.bellcore.com"; mode="image";'
                b' access-type=ANON-FTP; directory="pub"; expiration="Fri, 14 Jun 1991 19:13:14 -0400"'
            ),
            "anon-ftp",
            "ftp://thumper.bellcore.com/pub/BodyFormats.ps",
        ),
        (
            (
                b'access-type=local-file; name="/u/nsb/writing/rfcs/RFC-MIME.ps";'
                b' site="thumper.bellcore.com"'
            ),
            "local-file",
            "/u/nsb/writing/rfcs/RFC-MIME.ps",
        ),
        (
            b'access-type=mail-server server="listserv@bogus.bitnet"',
            "mail-server",
            "mailto:listserv@bogus.bitnet",
        ),
        (b"access-type=tftp; site=a.example; name=/x/y", "tftp", "tftp://a.example/x/y"),
        # RFC 2017 section 3.1
        (
            b'access-type=URL; URL="http://www.foo.example/file/with/a/very\r\n long/name"',
            "url",
            "http://www.foo.example/file/with/a/verylong/name",
        ),
        (b"access-type=x-odd; name=n", "x-odd", "n"),
        (b"access-type=content-id", "content-id", ""),
    ],
)
def test_where_a_body_is(parameters: bytes, access: str, place: str) -> None:
    found = external_body(
        media_type(b"message/external-body; " + parameters), INNER + b"get\r\n"
    )
    assert found is not None
    assert found.access == access
    assert found.place == place
    assert found.content_type.name == "application/postscript"
    assert found.note == b"get\r\n"


@pytest.mark.parametrize("type_", [b"message/external-body", b"text/plain; access-type=url"])
def test_other_types_say_nothing(type_: bytes) -> None:
    assert external_body(media_type(type_), INNER) is None


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_whatever_a_stranger_says_is_one_line(parameters: bytes, body: bytes) -> None:
    for access in (b"url", b"ftp", b"mail-server", b"x"):
        type_ = media_type(b"message/external-body; access-type=" + access + b";" + parameters)
        found = external_body(type_, body)
        if found:
            assert not set(found.place + found.access) & set("\r\n\0\x1b")
            assert found.content_type


async def test_a_part_that_is_built() -> None:
    built = external_part(
        "URL", {"url": "https://www.example.org/a b"}, "image/gif", b"1@example.org"
    )
    octets = await whole(message([b"Subject: x\r\n"], built))
    parsed = email.message_from_bytes(octets)
    assert parsed.get_content_type() == "message/external-body"
    (inner,) = parsed.get_payload()
    assert inner.get_content_type() == "image/gif"  # type: ignore[union-attr]
    assert inner["Content-ID"] == "<1@example.org>"  # type: ignore[call-overload,index]
    found = external_body(media_type(parsed["Content-Type"].encode()), await whole(built.body))
    assert found is not None
    assert found.place == "https://www.example.org/ab"


def test_a_part_is_refused_that_says_more_than_one_line() -> None:
    for bad in ("a\r\nb", "\0"):
        with pytest.raises(ValueError, match="control"):
            external_part(bad, {}, "image/gif", b"1@x")
        with pytest.raises(ValueError, match="control"):
            external_part("url", {"url": bad}, "image/gif", b"1@x")
        with pytest.raises(ValueError, match="control"):
            external_part("url", {}, bad, b"1@x")
    with pytest.raises(ValueError, match="identifier"):
        external_part("url", {}, "image/gif", b"a\r\nb")
