"""Shows a message in UTF-8 to clients that know only ASCII headers (RFC 6858).

What a client is given instead is for reading: it can't be replied to where an
address is not ASCII, and its signatures no longer fit.  The message that is
kept stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from mailplat.mail.addresslist import NamedAddress, addresses_in, name_pieces
from mailplat.mail.content import Content, Octets, Piece, join
from mailplat.mail.header import Field, Header, body_begins, name_of
from mailplat.mail.limits import KIB
from mailplat.mail.words import decoded, encoded, encoded_words, folded, shown

USUAL_HEADER = 64 * KIB  # octets in which nearly every header has ended
ADDED = 4 * KIB  # octets of trace fields that a header may have got here
MOST_FIELDS = 1000  # fields outside ASCII that are shown
NOBODY = b" <invalid@internationalized-address.invalid>"  # RFC 6858 section 3.1


async def downgraded(content: Content, longest: int) -> Content:
    """Return a message as a client without UTF-8 may see it; most stay as they are.

    So does one whose header had more than ``longest`` octets (`Limits.header_size`).

    Only the header is changed so far, and of that only fields which are UTF-8
    outside ASCII: octets in any other character set were never allowed there,
    and a client may know better than we what was meant.
    """
    start = await content.read(0, min(content.size, USUAL_HEADER))
    end = body_begins(start)
    if end == len(start) < content.size:
        start = await content.read(0, min(content.size, longest + ADDED))
        end = body_begins(start)
    if start[:end].isascii() or (end == len(start) < content.size):
        return content
    body = (
        Octets(start[end:]) if len(start) == content.size else Piece(content, end, content.size)
    )
    return join(Octets(downgraded_header(start[:end])), body)


def downgraded_header(octets: bytes) -> bytes:
    """Return a header block with every field that is outside ASCII made into one in it.

    Addresses become ones that belong to nobody, under a name that shows what
    they were; text becomes encoded words; parameters and all other fields that
    can't be shown are left out (RFC 6858 sections 3.1 to 3.4), and so are those
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
    return write(field.name, text) if write else b""


# Text and parameters.


def _text(name: bytes, text: str) -> bytes:
    try:
        return encoded(name, decoded(text.encode()))
    except ValueError:  # a control character, which nobody misses
        return b""


_PARAMETER = re.compile(r'(?:"(?:[^"\\]|\\.?)*+"?|[^;"])++', re.DOTALL)


def _parameters(name: bytes, text: str) -> bytes:
    value, *parameters = _PARAMETER.findall(text) or [""]
    if not value.isascii() or text.startswith(";"):
        return b""
    kept = [value, *(one for one in parameters if one.isascii())]
    pieces = [b" " + part.strip().encode() + b";" for part in kept]
    return folded(name, [*pieces[:-1], pieces[-1][:-1]])


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
    return folded(name, pieces)


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
