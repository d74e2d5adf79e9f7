"""Shows a message in UTF-8 to clients that know only ASCII headers (RFC 6858).

What a client is given instead is for reading: it can't be replied to where an
address is not ASCII, and its signatures no longer fit.  The message that is
kept stays as it is, and what of it needn't change is neither copied nor
changed: all bodies, and every field in ASCII.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from mailplat.mail.addresslist import NamedAddress, addresses_in, name_pieces
from mailplat.mail.content import CHUNK, FIRST_LOOK, Content, Octets, chunks, whole
from mailplat.mail.fields import structured
from mailplat.mail.header import Field, Header, body_begins, name_of
from mailplat.mail.layout import Kind, Part
from mailplat.mail.limits import KIB
from mailplat.mail.parameters import media_type
from mailplat.mail.splices import Splice, excerpt_of, spliced
from mailplat.mail.structure import Scanner, Structure
from mailplat.mail.words import decoded_words, encoded_words, shown, text_field

ADDED = 4 * KIB  # octets of trace fields that a header may have got here
MOST_FIELDS = 1000  # fields outside ASCII that are shown of one header
NOBODY = b" <invalid@internationalized-address.invalid>"  # RFC 6858 section 2.1

_WITH_PARTS = (b"multipart", b"message")
_GLOBAL = re.compile(rb"(\A[^:]*+:\s*+message\s*+/\s*+)global", re.IGNORECASE)


async def downgraded(content: Content, longest: int) -> Content:
    """Return a message as a client without UTF-8 may see it; most stay as they are.

    So does one whose header had more than ``longest`` octets (`Limits.header_size`),
    and so does the header of such a part.

    Changed are the headers of the message, of its parts, and of messages in it,
    and of those only fields which are UTF-8 outside ASCII: octets in any other
    character set were never allowed there, and a client may know better than we
    what was meant.  A message/global whose header was changed is a
    message/rfc822 from then on.
    """
    longest += ADDED
    start = await content.read(0, min(content.size, FIRST_LOOK))
    end = body_begins(start)
    if end == len(start) < content.size:
        start = await content.read(0, min(content.size, longest))
        end = body_begins(start)
        if end == len(start) < content.size:
            return content
    if len(start) == content.size and start.isascii():
        return content
    header = start[:end]
    if media_type(Header(header).body(b"Content-Type")).type.lower() in _WITH_PARTS:
        return spliced(content, await _changes(content, longest))
    if header.isascii():
        return content
    if len(start) == content.size:
        content = Octets(start)
    return spliced(content, [Splice(0, end, Octets(downgraded_header(header)))])


# Parts -----------------------------------------------------------------------


async def _changes(content: Content, longest: int) -> list[Splice]:
    """Return what is to be changed of a message with parts, in its order."""
    scanner = Scanner()
    others: list[int] = []  # the chunks that have something outside ASCII
    read = 0
    async for chunk in chunks(content):
        scanner.feed(chunk)
        if not chunk.isascii():
            others.append(read // CHUNK)
        read += CHUNK
    if not others:
        return []
    structure = scanner.finish()
    found: dict[int, Splice] = {}
    for number, part in enumerate(structure.layout.parts):
        if part.body - part.start <= longest and _is_touched(part, others):
            header = await content.read(part.start, part.body)
            changed = downgraded_header(header)
            if changed != header:
                found[number] = Splice(part.start, part.body, Octets(changed))
    return await _with_new_types(content, structure, found)


def _is_touched(part: Part, others: Sequence[int]) -> bool:
    """Whether a part's header lies in chunks of which one has something outside ASCII."""
    at = bisect_left(others, part.start // CHUNK)
    return at < len(others) and others[at] * CHUNK < part.body


async def _with_new_types(
    content: Content, structure: Structure, found: dict[int, Splice]
) -> list[Splice]:
    """Make message/global into message/rfc822 where something in it was changed.

    That is what it is then, and what a client without UTF-8 can show (RFC 6532
    section 3.7).
    """
    parts = structure.layout.parts
    starts = [parts[number].start for number in sorted(found)]
    for number, (part, entity) in enumerate(zip(parts, structure.entities, strict=True)):
        if part.kind is not Kind.MESSAGE or entity.media_type.subtype.lower() != b"global":
            continue
        at = bisect_left(starts, part.body)
        if at < len(starts) and starts[at] < part.end:
            change = found.get(number)
            old = change.new if change else excerpt_of(content, part.start, part.body)
            new = Octets(_as_rfc822(await whole(old)))
            found[number] = Splice(part.start, part.body, new)
    return [found[number] for number in sorted(found)]


def _as_rfc822(header: bytes) -> bytes:
    lines = list(Header(header).lines)
    for place, line in enumerate(lines):
        if name_of(line).lower() == b"content-type":
            lines[place] = _GLOBAL.sub(rb"\1rfc822", line)
            break
    return b"".join(lines)


# Headers ---------------------------------------------------------------------


def downgraded_header(octets: bytes) -> bytes:
    """Return a header block with every field that is outside ASCII made into one in it.

    Addresses become ones that belong to nobody, under a name that shows what
    they were; text becomes encoded words; parameters and all other fields that
    can't be shown are left out (RFC 6858 sections 2.1 to 2.4), and so are those
    behind the first `MOST_FIELDS`.  An empty line at the end stays.
    """
    lines = list(Header(octets).lines)
    others = [place for place, line in enumerate(lines) if not line.isascii()]
    for place in others[:MOST_FIELDS]:
        lines[place] = _downgraded_line(lines[place])
    for place in others[MOST_FIELDS:]:
        lines[place] = b""
    return b"".join(lines)


def _downgraded_line(line: bytes) -> bytes:
    field = Field(name_of(line), line)
    try:
        text = field.body.decode("utf-8")
    except UnicodeDecodeError:
        return line
    write = _WRITERS.get(field.name.lower())
    try:
        return write(field.name, text) if write else b""
    except ValueError:  # a control character, or a word as long as no line may be
        return b""


# Text and parameters.


def _text(name: bytes, text: str) -> bytes:
    return text_field(name, decoded_words(text.encode()))


_PARAMETER = re.compile(r'(?:"(?:[^"\\]|\\.?)*+"?|[^;"])++', re.DOTALL)


def _parameters(name: bytes, text: str) -> bytes:
    value, *parameters = _PARAMETER.findall(text) or [""]
    if not value.isascii() or text.startswith(";"):
        return b""
    kept = [value, *(one for one in parameters if one.isascii())]
    pieces = [b" " + part.strip().encode() + b";" for part in kept]
    return structured(name, [*pieces[:-1], pieces[-1][:-1]])


# Addresses.


def _addresses(name: bytes, text: str) -> bytes:
    found = addresses_in(text.encode())
    pieces: list[bytes] = []
    at = 0
    for group in found.groups:
        _add(pieces, found.addresses[at : group.start])
        _separate(pieces)
        pieces += name_pieces(shown(group.name)) or [b" "]
        pieces[-1] += b":"
        _add(pieces, found.addresses[group.start : group.stop])
        pieces[-1] += b";"
        at = group.stop
    _add(pieces, found.addresses[at:])
    return structured(name, pieces)


def _add(pieces: list[bytes], addresses: Iterable[NamedAddress]) -> None:
    for one in addresses:
        _separate(pieces)
        pieces += _address_pieces(one)


def _separate(pieces: list[bytes]) -> None:
    if pieces and not pieces[-1].endswith(b":"):
        pieces[-1] += b","


def _address_pieces(one: NamedAddress) -> list[bytes]:
    """Return an address with its name; one outside ASCII only as text, and nobody's."""
    route = one.route + b":" if one.route else b""
    text = _CONTROL.sub("\ufffd", (route + one.addr_spec).decode("utf-8", "replace"))
    name = one.shown_name
    if not text.isascii():
        return [*encoded_words(f"{name} <{text}>" if name else text), NOBODY]
    if name or route:
        return [*name_pieces(name), f" <{text}>".encode()]
    return [f" {text}".encode()] if text else []


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_WRITERS: dict[bytes, Callable[[bytes, str], bytes]] = {
    **dict.fromkeys((b"subject", b"comments", b"content-description"), _text),
    **dict.fromkeys((b"content-type", b"content-disposition"), _parameters),
    **dict.fromkeys(
        (
            b"bcc", b"cc", b"from", b"reply-to", b"resent-bcc", b"resent-cc", b"resent-from",
            b"resent-sender", b"resent-to", b"return-path", b"sender", b"to",
        ),
        _addresses,
    ),
}  # fmt: skip
