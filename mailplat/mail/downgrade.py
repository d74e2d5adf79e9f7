"""Shows a message in UTF-8 to clients that know only ASCII headers (RFC 6858).

What a client is given instead is for reading: it can't be replied to where an
address is not ASCII, and its signatures no longer fit.  The message that is
kept stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from mailplat.mail.content import Content, Octets, Piece, join
from mailplat.mail.header import Field, Header, body_begins, name_of
from mailplat.mail.limits import KIB
from mailplat.mail.words import decoded, encoded, encoded_words, folded

USUAL_HEADER = 64 * KIB  # octets in which nearly every header has ended
ADDED = 4 * KIB  # octets of trace fields that a header may have got here
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
    can't be shown are left out (RFC 6858 sections 3.1 to 3.4).  An empty line
    at the end stays.
    """
    return b"".join(
        line if line.isascii() else _downgraded_line(line) for line in Header(octets).lines
    )


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

_TOKEN = re.compile(r'"(?:[^"\\]|\\.?)*+"?|\[[^\]]*+\]?|[()<>,:;]|[^"()<>,:;\[]++', re.DOTALL)
_COMMENTED = re.compile(r"[()]|(?:[^()\\]|\\.?)++", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.?)*+)"?', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def _addresses(name: bytes, text: str) -> bytes:
    return folded(name, list(_list_pieces(text)))


def _list_pieces(text: str) -> Iterator[bytes]:
    """Yield an address list as pieces that may stand on a line of their own."""
    phrase, address = "", None
    for part in _without_comments(text):
        if address is not None and not address.endswith(">"):
            address += part
        elif part == "<":
            address = part
        elif part in (",", ":", ";"):
            yield from _marked(_element_pieces(phrase, address, part), part)
            phrase, address = "", None
        else:
            phrase += part
    yield from _element_pieces(phrase, address, "")


def _without_comments(text: str) -> Iterator[str]:
    at, depth = 0, 0
    while found := (_COMMENTED if depth else _TOKEN).match(text, at):
        at, part = found.end(), found[0]
        if part == "(":
            depth += 1
        elif depth:
            depth -= part == ")"
        elif part != ")":
            yield part


def _marked(pieces: Iterator[bytes], mark: str) -> Iterator[bytes]:
    """Put a comma, colon or semicolon behind the last piece; a lone comma goes."""
    *before, last = [*pieces] or [b""]
    yield from before
    if last or mark != ",":
        yield last + mark.encode()


def _element_pieces(phrase: str, address: str | None, mark: str) -> Iterator[bytes]:
    """Yield the pieces of a mailbox, or of a group's name."""
    phrase = phrase.strip()
    if address is None and mark != ":":
        phrase, address = "", phrase
    if address is not None and not address.isascii():
        shown = f"{_unquoted(phrase)} {address}".strip()
        yield from encoded_words(shown)
        yield NOBODY
        return
    if phrase.isascii():
        yield from (b" " + word.encode() for word in phrase.split())
    else:
        yield from encoded_words(_unquoted(phrase))
    if address:
        yield b" " + address.encode()


def _unquoted(phrase: str) -> str:
    plain = _QUOTED.sub(lambda quoted: _ESCAPED.sub(r"\1", quoted[1]), phrase)
    return decoded(plain.encode())


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
