"""Builds bodies: texts, attachments, messages in messages, multiparts (RFC 2045, 2046, 2183).

Contents are put together and never copied, however large they are; what must
be encoded is encoded when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

import attrs

from mailplat.mail.content import CHUNK, Content, Joined, Octets, chunks
from mailplat.mail.envelope import Body
from mailplat.mail.fields import identifier_field, parameter_field, words_parameter
from mailplat.mail.header import body_begins
from mailplat.mail.structure import HEADER
from mailplat.mail.transfer import (
    Encoded,
    as_it_is,
    encoded,
    survey_of,
    text_encoded,
)
from mailplat.mail.words import text_field

_NONE: Mapping[str, str] = {}
_UNIQUE = re.compile(r"[A-Za-z0-9]{8,50}")
_LEVELS = (Body.SEVEN_BIT, Body.EIGHT_BIT, Body.BINARY)


@attrs.frozen
class MimePart:
    """A body and what its fields say of it, ready to be sent or put into a multipart.

    ``needs`` is what must be declared to send it.  ``bare`` are those contents
    in it that are not encoded, so that they might have a boundary in them.
    """

    fields: bytes  # Content-* only, each with its CRLF
    body: Content
    needs: Body = Body.SEVEN_BIT
    bare: tuple[Content, ...] = ()

    def with_fields(self, *fields: bytes) -> MimePart:
        """Return the same with more fields behind its own."""
        return attrs.evolve(self, fields=self.fields + b"".join(fields))

    @property
    def whole(self) -> Content:
        """The part with its header."""
        return _joined([Octets(self.fields + b"\r\n"), self.body])


def _part(fields: bytes, travels: Encoded) -> MimePart:
    if travels.encoding != "7bit":
        fields += b"Content-Transfer-Encoding: %b\r\n" % travels.encoding.encode()
    return MimePart(
        fields, travels.body, travels.needs, (travels.body,) if travels.bare else ()
    )


# Leaves ----------------------------------------------------------------------


def text_part(
    text: str, subtype: str = "plain", *, language: str = "", eight_bit: bool = False
) -> MimePart:
    """Return a text that the house has written, in UTF-8 or, where that is enough, in ASCII.

    Lines end in CRLF whatever they ended in before, the last one too.  Raises
    `ValueError` for a subtype or language that would break its field.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    octets = "\r\n".join([*lines, ""]).encode("utf-8", "replace")
    charset = "us-ascii" if octets.isascii() else "utf-8"
    fields = parameter_field(b"Content-Type", f"text/{subtype}", {"charset": charset})
    if language:
        fields += text_field(b"Content-Language", language)
    return _part(fields, text_encoded(octets, eight_bit=eight_bit))


async def attachment(
    content: Content,
    media_type: str,
    name: str = "",
    *,
    parameters: Mapping[str, str] = _NONE,
    disposition: str = "attachment",
    description: str = "",
    content_id: bytes = b"",
    eight_bit: bool = False,
) -> MimePart:
    """Return a content as an attachment, or inline where ``disposition`` says so (RFC 2183).

    Its octets come out again as they were.  A name outside ASCII is written as
    RFC 2231 has it in Content-Disposition, which every program of today reads;
    in Content-Type it is there a second time, in encoded words, for those that
    are older (as Thunderbird and Apple Mail write it).  It isn't there twice
    in one field, since some take the first they see.  Raises `ValueError` for
    controls in any of these.
    """
    is_text = media_type.lower().startswith("text/")
    travels = await encoded(content, is_text=is_text, eight_bit=eight_bit)
    more = [words_parameter(b"name", name)] if name and not name.isascii() else []
    plain = {"name": name} if name.isascii() and name else {}
    fields = parameter_field(b"Content-Type", media_type, {**parameters, **plain}, *more)
    if disposition:
        named = {"filename": name} if name else {}
        fields += parameter_field(b"Content-Disposition", disposition, named)
    if content_id:
        fields += identifier_field(b"Content-ID", [content_id])
    if description:
        fields += text_field(b"Content-Description", description)
    return _part(fields, travels)


async def message_part(content: Content, *, utf8: bool = True) -> MimePart:
    """Return a message as message/rfc822, or message/global if its header is UTF-8 (RFC 6532).

    Without ``utf8``, for a reader who doesn't know the latter, it is the former
    in any case.  It is never encoded, which RFC 2046 section 5.2.1 forbids and
    many couldn't look into; so the message around it needs what this one does.
    """
    start = await content.read(0, min(content.size, HEADER)) if utf8 else b""
    subtype = "rfc822" if start[: body_begins(start)].isascii() else "global"
    survey = await survey_of(content)
    fields = parameter_field(b"Content-Type", f"message/{subtype}", {})
    return _part(fields, as_it_is(content, survey.needs()))


def octets_part(media_type: str, octets: bytes, *, eight_bit: bool = False) -> MimePart:
    """Return octets that are at hand, and are lines of text, as a part of some media type."""
    fields = parameter_field(b"Content-Type", media_type, {})
    return _part(fields, text_encoded(octets, eight_bit=eight_bit))


# Multiparts ------------------------------------------------------------------


async def multipart(
    subtype: str,
    parts: Sequence[MimePart],
    unique: str,
    parameters: Mapping[str, str] = _NONE,
) -> MimePart:
    """Return parts as one, such as mixed, alternative, parallel, digest or report.

    ``unique`` are letters and digits that nobody could have guessed, of which
    the boundary is made; wherever that occurs in the parts another is taken.
    Raises `ValueError` for parts that are none (RFC 2046 section 5.1.1).
    """
    if not parts:
        raise ValueError("a multipart without parts")
    bare = tuple(content for part in parts for content in part.bare)
    boundary = await _boundary(unique, bare)
    needs = max((part.needs for part in parts), key=_LEVELS.index)
    fields = parameter_field(
        b"Content-Type", f"multipart/{subtype}", {**parameters, "boundary": boundary.decode()}
    )
    body = _joined(_delimited(parts, boundary))
    part = _part(fields, as_it_is(body, needs))
    return attrs.evolve(part, bare=(*bare, Octets(boundary)))


def _delimited(parts: Sequence[MimePart], boundary: bytes) -> Iterator[Content]:
    before = b"--"
    for part in parts:
        yield Octets(b"%b%b\r\n%b\r\n" % (before, boundary, part.fields))
        yield part.body
        before = b"\r\n--"
    yield Octets(b"\r\n--%b--\r\n" % boundary)


async def _boundary(unique: str, bare: Iterable[Content]) -> bytes:
    """Return a boundary that occurs in none of the contents.

    None of Base64 or quoted-printable has "=_" in it (RFC 2045 section 6.7), and
    none of these boundaries begins with another.
    """
    if not _UNIQUE.fullmatch(unique):
        raise ValueError(f"no boundary can be made of {unique[:100]!r}")
    for number in count():
        boundary = b"=_%d_%b" % (number, unique.encode())
        for content in bare:
            if await _occurs(boundary, content):
                break
        else:
            return boundary
    raise AssertionError("numbers have no end")


async def _occurs(octets: bytes, content: Content) -> bool:
    before = b""
    async for chunk in chunks(content):
        if octets in before + chunk:
            return True
        before = chunk[1 - len(octets) :]
    return False


def _joined(pieces: Iterable[Content]) -> Content:
    """Put pieces behind each other, small ones in one buffer, those in ``Joined`` singly."""
    flat: list[Content] = []
    small: list[bytes] = []
    for piece in pieces:
        for one in piece.pieces if isinstance(piece, Joined) else (piece,):
            if isinstance(one, Octets) and one.size <= CHUNK:
                small.append(one.octets)
                continue
            flat += (Octets(b"".join(small)), one) if small else (one,)
            small = []
    if small:
        flat.append(Octets(b"".join(small)))
    return flat[0] if len(flat) == 1 else Joined(tuple(flat))


# Messages --------------------------------------------------------------------


def message(fields: Iterable[bytes], part: MimePart) -> Content:
    """Return a message of these fields, each with its CRLF, and a body; adds MIME-Version."""
    head = b"%bMIME-Version: 1.0\r\n%b\r\n" % (b"".join(fields), part.fields)
    return _joined([Octets(head), part.body])
