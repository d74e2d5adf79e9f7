"""Shows a message in UTF-8 to clients that know only ASCII headers (RFC 6858).

What a client is given instead is for reading: it can't be replied to where an
address is not ASCII, and its signatures no longer fit.  The message that is
kept stays as it is, and what of it needn't change is neither copied nor
changed: all bodies, and every field in ASCII.

A sender pays nothing for what a recipient has to read, so there is a `Budget`
for each message: what doesn't fit into it is left out.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import attrs

from mailplat.mail.addresslist import Effort, NamedAddress, addresses_in, name_pieces
from mailplat.mail.content import Content, Octets, ReadAhead, Turn, at_once
from mailplat.mail.fields import structured
from mailplat.mail.header import Field, Header, name_of
from mailplat.mail.layout import Kind, Layout
from mailplat.mail.limits import KIB
from mailplat.mail.splices import Splice, spliced
from mailplat.mail.words import decoded_words, encoded_words, shown, text_field

ADDED = 4 * KIB  # octets of trace fields that a header may have got here
LONGEST_TEXT = 16 * KIB  # characters of a field of text, or of parameters, that is shown
NOBODY = b" <invalid@internationalized-address.invalid>"  # RFC 6858 section 2.1

_AT_ONCE = 16 * KIB  # octets of headers that are looked at between two turns
_GLOBAL = re.compile(rb"(\A[^:]*+:\s*+message\s*+/\s*+)global", re.IGNORECASE)
_TYPE = re.compile(rb"(?:\A|\n)(?=[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[Tt][Yy][Pp][Ee][ \t]*+:)")
_OTHER = re.compile(rb"[\x80-\xff]")
_LINE_END = re.compile(rb"\n(?![ \t])")


@attrs.define
class Budget:
    """What may still be shown of one message, and changed in it at all.

    Neither is ever reached by mail that somebody means to be read.
    """

    octets: int = 64 * KIB  # of fields that are shown in another form,
    fields: int = 1000  # how many of these,
    changes: int = 2000  # and how many places may be changed
    effort: Effort = attrs.Factory(lambda: Effort(addresses=1000))

    def take(self, octets: int) -> bool:
        """Whether there is room for a field of so many octets, which is taken then."""
        if octets > self.octets or self.fields <= 0:
            return False
        self.octets -= octets
        self.fields -= 1
        return True


async def downgraded(
    content: Content, layout: Layout, longest: int, turn: Turn = at_once
) -> Content:
    """Return a message as a client without UTF-8 may see it; most stay as they are.

    ``layout`` says where its parts lie.  Changed is what `changes` tells.
    """
    return spliced(content, [one async for one in changes(content, layout, longest, turn)])


async def changes(
    content: Content, layout: Layout, longest: int, turn: Turn = at_once
) -> AsyncIterator[Splice]:
    """Yield what is to be changed of a message, in its order, each as it is found.

    These are the headers of the message, of its parts, and of messages in it, and
    of those only fields which are UTF-8 outside ASCII: octets in any other
    character set were never allowed there, and a client may know better than we
    what was meant.  A message/global whose header was changed is a
    message/rfc822 from then on.

    A message whose header has more than ``longest`` octets (`Limits.header_size`)
    stays as it is, and so does the header of such a part.  ``turn`` is awaited
    where looking at headers takes time.
    """
    headers = _Headers(content, layout, longest + ADDED, turn)
    budget = Budget()
    for number, part in enumerate(layout.parts):
        if part.body - part.start > headers.longest:
            if not number:
                return
            continue
        header = await headers.read(number)
        retyped = await _retyped(headers, number) if part.kind is Kind.MESSAGE else -1
        if retyped < 0 and header.isascii():
            continue
        at = 0
        for start, stop, new in _changes_in(header, budget, retyped):
            yield Splice(part.start + start, part.start + stop, Octets(new))
            await headers.work(stop - at + len(new))
            at = stop


async def _retyped(headers: _Headers, number: int) -> int:
    """Return where in a part's header it says that it is a message/global and isn't any more.

    It isn't where something in it is changed; a client without UTF-8 can show what
    it is then (RFC 6532 section 3.7).  Otherwise -1 is returned.
    """
    header = await headers.read(number)
    found = _TYPE.search(header)
    if not found or not _GLOBAL.match(header[found.end() : _line_end(header, found.end())]):
        return -1
    return found.end() if await headers.is_changed_in(number) else -1


class _Headers:
    """Reads the headers of parts one after the other, small ones together."""

    def __init__(self, content: Content, layout: Layout, longest: int, turn: Turn) -> None:
        self.longest = longest
        self._content = ReadAhead(content)
        self._parts = layout.parts
        self._turn = turn
        self._done = 0  # octets of work since the last turn
        self._next = 0  # no part from the last that was asked for up to this one is changed

    async def work(self, octets: int) -> None:
        """Count work, and let others go on if there was much."""
        self._done += octets
        if self._done >= _AT_ONCE:
            self._done = 0
            await self._turn()

    async def read(self, number: int) -> bytes:
        """Return a part's header."""
        part = self._parts[number]
        header = await self._content.read(part.start, part.body)
        await self.work(len(header))
        return header

    async def is_changed_in(self, number: int) -> bool:
        """Whether a header is to be changed of what lies in a part."""
        parts, end = self._parts, self._parts[number].end
        self._next = max(self._next, number + 1)
        while self._next < len(parts) and parts[self._next].start < end:
            part = parts[self._next]
            if part.body - part.start <= self.longest:
                header = await self.read(self._next)
                lines = _lines_outside_ascii(header)
                if any(_is_utf8(header[start:stop]) for start, stop in lines):
                    return True
            self._next += 1
        return False


# Headers ---------------------------------------------------------------------


def downgraded_header(octets: bytes) -> bytes:
    """Return a header block with every field that is outside ASCII made into one in it.

    Addresses become ones that belong to nobody, under a name that shows what
    they were; text becomes encoded words; parameters and all other fields that
    can't be shown are left out (RFC 6858 sections 2.1 to 2.4), and so are those
    for which there is no room in a `Budget`.  An empty line at the end stays.
    """
    kept: list[bytes] = []
    at = 0
    for start, stop, new in _changes_in(octets, Budget()):
        kept += (octets[at:start], new)
        at = stop
    return b"".join([*kept, octets[at:]])


_Change = tuple[int, int, bytes]  # from, up to, and what stands there now


def _changes_in(header: bytes, budget: Budget, retyped: int = -1) -> Iterator[_Change]:
    """Yield the changes to a header, those behind one another that leave out as one.

    At ``retyped`` begins a field that says message/global, which it no longer is.
    """
    gone = -1, -1  # what is left out and hasn't been yielded
    for start, stop in _lines_to_change(header, retyped):
        line = header[start:stop]
        new = line if line.isascii() else _downgraded_line(line, budget)
        if start == retyped:
            new = _GLOBAL.sub(rb"\1rfc822", new)
        if new == line:
            continue
        if start == gone[1] and not new:
            gone = gone[0], stop
            continue
        if gone[1] >= 0:
            yield *gone, b""
        gone = -1, -1
        budget.changes -= 1
        if budget.changes < 0:
            yield start, len(Header.of_block(header).octets), b""
            return
        if new:
            yield start, stop, new
        else:
            gone = start, stop
    if gone[1] >= 0:
        yield *gone, b""


def _lines_to_change(header: bytes, retyped: int) -> Iterator[tuple[int, int]]:
    """Yield where logical lines are outside ASCII, and one of which the type is changed."""
    for start, stop in _lines_outside_ascii(header):
        if 0 <= retyped < start:
            yield retyped, _line_end(header, retyped)
        if retyped <= start:
            retyped = -1
        yield start, stop
    if retyped >= 0:
        yield retyped, _line_end(header, retyped)


def _lines_outside_ascii(header: bytes) -> Iterator[tuple[int, int]]:
    """Yield from where up to where logical lines go that have something outside ASCII."""
    at = 0
    while found := _OTHER.search(header, at):
        newline = found.start()
        while (newline := header.rfind(b"\n", at, newline)) >= 0:
            if header[newline + 1] not in b" \t":
                break
        start = newline + 1 if newline >= 0 else at
        at = _line_end(header, found.start())
        yield start, at


def _line_end(header: bytes, at: int) -> int:
    """Return where the logical line ends that an offset lies in."""
    end = _LINE_END.search(header, at)
    return end.end() if end else len(header)


def _downgraded_line(line: bytes, budget: Budget) -> bytes:
    if not _is_utf8(line):
        return line
    field = Field(name_of(line), line)
    write = _WRITERS.get(field.name.lower())
    if not write or not budget.take(len(line)):
        return b""
    try:
        return write(field.name, field.body.decode(), budget)
    except ValueError:  # a control character, or a word as long as no line may be
        return b""


def _is_utf8(line: bytes) -> bool:
    """Whether the body of a field is in the character set that is allowed there."""
    try:
        line.partition(b":")[2].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# Text and parameters.


def _text(name: bytes, text: str, _: Budget) -> bytes:
    return text_field(name, decoded_words(text.encode())) if len(text) <= LONGEST_TEXT else b""


_PARAMETER = re.compile(r'(?:"(?:[^"\\]|\\.?)*+"?|[^;"])++', re.DOTALL)


def _parameters(name: bytes, text: str, _: Budget) -> bytes:
    if len(text) > LONGEST_TEXT:
        return b""
    value, *parameters = _PARAMETER.findall(text) or [""]
    if not value.isascii() or text.startswith(";"):
        return b""
    kept = [value, *(one for one in parameters if one.isascii())]
    pieces = [b" " + part.strip().encode() + b";" for part in kept]
    return structured(name, [*pieces[:-1], pieces[-1][:-1]])


# Addresses.


def _addresses(name: bytes, text: str, budget: Budget) -> bytes:
    found = addresses_in(text.encode(), effort=budget.effort)
    if found.cut:
        budget.effort.addresses += len(found.addresses)  # for lists that can be shown
        return b""
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

_WRITERS: dict[bytes, Callable[[bytes, str, Budget], bytes]] = {
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
