"""A message while it is being changed: pieces stay where they lie, others are put between.

What a plan wants changed is noted part by part, by the parts' numbers in the
structure as it was before, and carried out once.  Nothing that stays is read or
copied but headers of parts that are changed, so the size of a message doesn't
matter; only finding its parts takes reading it, in chunks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from typing import Any, NamedTuple, Protocol

import attrs

from mailplat.mail.content import FIRST_LOOK, Content, Excerpt, Octets, join
from mailplat.mail.entity import Entity, read_entity
from mailplat.mail.header import Header, body_begins, name_of
from mailplat.mail.headersteps import ended, is_of_content
from mailplat.mail.layout import Kind, Part
from mailplat.mail.splices import Splice, excerpt_of, spliced
from mailplat.mail.structure import HEADER, Structure, structure_of

LONGEST_BOUNDARY = 70  # octets (RFC 2046 section 5.1.1); longer ones are left to their parts
_EMPTY_LINE = b"\r\n"
_WHOLE_MESSAGE = (
    b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n"  # which says nothing wrong of 7bit
)


class Run(Protocol):
    """Calls a function that may take its time, such as `mailplat.workers.Workers.run`."""

    def __call__(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Return what it returns, or raise what it raises."""


async def run_here(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function at once."""
    return function(*args)


class Edited(NamedTuple):
    """What a message has become, and its header."""

    content: Content
    header: Header


@attrs.define(eq=False)
class HeaderDraft:
    """A header's logical lines, and the empty line behind them if there is one."""

    lines: list[bytes]
    empty: bytes

    @property
    def octets(self) -> bytes:
        return b"".join(self.lines) + self.empty

    def end(self) -> None:
        """Make sure that a body can follow."""
        if not self.empty:
            self.lines, self.empty = ended(self.lines), _EMPTY_LINE


@attrs.define(eq=False)
class Case:
    """A new multipart around what a part was: the fields that went inside, what is added."""

    boundary: bytes
    inner: HeaderDraft
    added: list[Content]


@attrs.define(eq=False)
class Draft:
    """A message that is being changed; ``header`` is that of ``content``.

    ``structure``, if it is known, is that of ``content`` as well; `structure` finds
    it if it is not.  Parts go by their numbers in it, the message itself is 0.
    """

    content: Content
    header: Header
    run: Run = run_here
    _structure: Structure | None = None
    _headers: dict[int, HeaderDraft] = attrs.field(factory=dict, init=False)
    _bodies: dict[int, Content] = attrs.field(factory=dict, init=False)
    _cases: dict[int, Case] = attrs.field(factory=dict, init=False)
    _added: dict[int, list[Content]] = attrs.field(factory=dict, init=False)
    _gone: set[int] = attrs.field(factory=set, init=False)

    async def structure(self) -> Structure:
        """Return the structure of the content as it was before all changes."""
        if self._structure is None:
            self._structure = await structure_of(self.content)
        return self._structure

    # What there is.

    async def part(self, number: int) -> Part:
        """Return a part; raises `ValueError` if there is none of this number."""
        parts = (await self.structure()).layout.parts
        if not 0 <= number < len(parts):
            raise ValueError(f"no part {number}: there are {len(parts)}")
        return parts[number]

    async def head(self, number: int) -> HeaderDraft:
        """Return a part's header, to be changed in place; raises `ValueError` without one."""
        if number not in self._headers:
            self._headers[number] = await self._read_head(number)
        return self._headers[number]

    async def _read_head(self, number: int) -> HeaderDraft:
        if number == 0:
            lines = list(self.header.lines)
            start = len(self.header.octets)
            octets = await self.content.read(start, min(start + 2, self.content.size))
            return HeaderDraft(lines, octets[: body_begins(octets)] if octets else b"")
        part = await self.part(number)
        if part.body - part.start > HEADER:
            raise ValueError(f"part {number} has a header of {part.body - part.start} octets")
        octets = await self.content.read(part.start, part.body)
        header = Header.parse(octets)
        return HeaderDraft(list(header.lines), octets[len(header.octets) :])

    async def end_head(self, number: int) -> HeaderDraft:
        """Return the header of a part, ended so that a body can follow."""
        head = await self.head(number)
        head.end()
        await self.end_holders(number)
        return head

    async def end_holders(self, number: int) -> None:
        """Make sure that a message inside of parts can be told from their headers."""
        parts = (await self.structure()).layout.parts
        while number > 0 and parts[parts[number].parent].kind == Kind.MESSAGE:
            number = parts[number].parent
            (await self.head(number)).end()

    async def inner_head(self, number: int) -> HeaderDraft:
        """Return the header with the fields about a part's body, wherever that went."""
        case = self._cases.get(number)
        return case.inner if case else await self.head(number)

    async def entity(self, number: int) -> Entity:
        """Return what the header of a part says by now of its body."""
        structure = await self.structure()
        await self.part(number)
        if number in self._headers or number in self._cases:
            parent = structure.layout.parts[number].parent
            around = structure.described[parent].entity.media_type if parent >= 0 else None
            in_digest = around is not None and around.name == "multipart/digest"
            return read_entity((await self.inner_head(number)).octets, in_digest)
        return structure.described[number].entity

    async def body(self, number: int) -> Content:
        """Return the body of a part as it is by now, without changes to parts inside of it."""
        part = await self.part(number)
        return self._bodies.get(number) or Excerpt(self.content, part.body, part.end)

    async def is_there(self, number: int) -> bool:
        """Say whether a part still is, and isn't inside of one that was removed or replaced."""
        await self.part(number)
        parts = (await self.structure()).layout.parts
        is_itself = True
        while number >= 0:
            if number in self._gone or (number in self._bodies and not is_itself):
                return False
            number, is_itself = parts[number].parent, False
        return True

    async def is_message(self, number: int) -> bool:
        """Say whether a part is the message itself, or all of a message inside of a part."""
        part = await self.part(number)
        return part.parent < 0 or (await self.part(part.parent)).kind == Kind.MESSAGE

    # What is to become of it.

    async def replace_body(self, number: int, body: Content) -> None:
        """Give a part another body; parts inside of the old one are no more."""
        await self.end_head(number)
        self._bodies[number] = body

    async def replace(self, number: int, entity: Content) -> None:
        """Put another part, with its own header, in the place of one.

        Where that is a whole message, the fields that aren't about its body stay.
        """
        beginning = await entity.read(0, min(entity.size, FIRST_LOOK))
        if body_begins(beginning) == len(beginning) == FIRST_LOOK:
            beginning = await entity.read(0, min(entity.size, HEADER))
        header = Header.parse(beginning)
        lines = list(header.lines)
        head = await self.head(number)
        if await self.is_message(number):
            kept = [line for line in head.lines if not is_of_content(line)]
            lines = ended(kept) + lines
            head.lines = with_version(lines)
        else:
            head.lines = lines
        self._cases.pop(number, None)
        self._added.pop(number, None)
        start = body_begins(beginning)
        await self.replace_body(number, excerpt_of(entity, start, entity.size))

    async def remove(self, number: int) -> None:
        """Take a part away; a message inside of a part goes with that.

        Raises `ValueError` for the message itself.
        """
        while await self.is_message(number):
            number = (await self.part(number)).parent
            if number < 0:
                raise ValueError("a message can't be removed from itself")
        self._gone.add(number)

    async def add(self, number: int, entity: Content, boundary: bytes) -> None:
        """Put a part at the end of another.

        Where that is no multipart/mixed, or one that nobody has ended, it becomes
        one, with ``boundary``, that has what it was in its first part, octet by
        octet.
        """
        part = await self.part(number)
        if (case := self._cases.get(number)) is not None:
            case.added.append(entity)
        elif (
            number not in self._bodies
            and await self._boundary(number)
            and await self._last_end(number) < part.end
        ):
            self._added.setdefault(number, []).append(entity)
        else:
            await self._encase(number, boundary)
            self._cases[number].added.append(entity)

    async def _boundary(self, number: int) -> bytes:
        """Return the boundary of a multipart/mixed; empty if it has none or is no such."""
        type_ = (await self.structure()).described[number].entity.media_type
        if (
            await self.part(number)
        ).kind != Kind.MULTIPART or type_.subtype.lower() != b"mixed":
            return b""
        boundary = type_.parameters.octets(b"boundary") or b""
        boundary = boundary.rstrip()
        return boundary if len(boundary) <= LONGEST_BOUNDARY else b""

    async def _encase(self, number: int, boundary: bytes) -> None:
        encoding = (await self.entity(number)).encoding.lower()
        head = await self.end_head(number)
        inner = [line for line in head.lines if is_of_content(line)]
        lines = [line for line in head.lines if not is_of_content(line)]
        if await self.is_message(number):
            lines = with_version(lines)
        lines.append(b'Content-Type: multipart/mixed; boundary="%b"\r\n' % boundary)
        if encoding in (b"8bit", b"binary"):
            lines.append(b"Content-Transfer-Encoding: %b\r\n" % encoding)
        head.lines = lines
        self._cases[number] = Case(boundary, HeaderDraft(inner, _EMPTY_LINE), [])

    async def wrap(self, note: Content, boundary: bytes, kept: Collection[bytes]) -> None:
        """Put all of the message into a new one, behind a note; parts have new numbers then.

        The new one has those fields of the old whose names, in lower case, are ``kept``.
        """
        inner, header = await self.done()
        lines = [line for line in header.lines if name_of(line).lower() in kept]
        lines = with_version([line for line in lines if not is_of_content(line)])
        self.header = Header.of_lines(
            [
                *ended(lines),
                b'Content-Type: multipart/mixed; boundary="%b"\r\n' % boundary,
                b"Content-Transfer-Encoding: 8bit\r\n",
            ]
        )
        self.content = join(
            Octets(b"%b\r\n--%b\r\n" % (self.header.octets, boundary)),
            note,
            Octets(b"\r\n--%b\r\n%b" % (boundary, _WHOLE_MESSAGE)),
            inner,
            _last(boundary),
        )
        self._structure = None
        for changes in (self._headers, self._bodies, self._cases, self._added, self._gone):
            changes.clear()

    # Carrying it out.

    async def done(self) -> Edited:
        """Return what the message has become."""
        changed = self._headers.keys() | self._bodies.keys() | self._added.keys() | self._gone
        if not changed:
            return Edited(self.content, self.header)
        splices = [splice async for splice in self._splices()]
        head = self._headers.get(0)
        header = Header.of_lines(head.lines) if head else self.header
        return Edited(spliced(self.content, splices), header)

    async def _splices(self) -> AsyncIterator[Splice]:
        """Yield all changes in the order of the octets that they change."""
        parts = (await self.structure()).layout.parts
        open_: list[int] = []
        number = 0
        while number < len(parts):
            while open_ and open_[-1] != parts[number].parent:
                async for splice in self._at_end(open_.pop()):
                    yield splice
            async for splice in self._at_begin(number):
                yield splice
            if number not in self._gone:
                open_.append(number)
            inside = number in self._gone or number in self._bodies
            number = _behind(parts, number) if inside else number + 1
        while open_:
            async for splice in self._at_end(open_.pop()):
                yield splice

    async def _at_begin(self, number: int) -> AsyncIterator[Splice]:
        part = await self.part(number)
        if number in self._gone:
            yield await self._removal(number, part)
            return
        if head := self._headers.get(number):
            yield Splice(part.start, part.body, Octets(head.octets))
        if case := self._cases.get(number):
            front = b"--%b\r\n%b" % (case.boundary, case.inner.octets)
            yield Splice(part.body, part.body, Octets(front))
        if number in self._bodies:
            gap = Octets(_EMPTY_LINE if await self._is_bare(part) else b"")
            yield Splice(part.body, part.end, join(self._bodies[number], gap))

    async def _at_end(self, number: int) -> AsyncIterator[Splice]:
        part = await self.part(number)
        if added := self._added.get(number):
            yield await self._addition(number, added)
        if case := self._cases.get(number):
            behind = join(*_delimited(case.boundary, case.added), _last(case.boundary))
            yield Splice(part.end, part.end, behind)

    async def _removal(self, number: int, part: Part) -> Splice:
        """Take a part away with the delimiter before it; the last one leaves an empty one."""
        structure = await self.structure()
        siblings = structure.layout.children[part.parent]
        place = bisect_left(siblings, number)
        is_last_of_all = place == 0 and self._gone.issuperset(siblings)
        if is_last_of_all and part.parent not in self._added:
            return Splice(part.start, part.end, Octets(_EMPTY_LINE))
        around = structure.layout.parts[part.parent]
        start = structure.layout.parts[siblings[place - 1]].end if place else around.preamble
        followed_by = siblings[place + 1 : place + 2]
        gap = not self._gone.issuperset(followed_by) or not followed_by
        needs_end = gap and await self._is_bare(part)
        return Splice(start, part.end, Octets(_EMPTY_LINE if needs_end else b""))

    async def _addition(self, number: int, added: list[Content]) -> Splice:
        """Put parts behind the last of a multipart."""
        at = await self._last_end(number)
        pieces = _delimited(await self._boundary(number), added)
        if await self.content.read(at, at + 1) == b"-":
            pieces.append(Octets(_EMPTY_LINE))
        return Splice(at, at, join(*pieces))

    async def _last_end(self, number: int) -> int:
        """Return where the last part of a multipart ends."""
        layout = (await self.structure()).layout
        children = layout.children[number]
        return layout.parts[children[-1]].end if children else layout.parts[number].preamble

    async def _is_bare(self, part: Part) -> bool:
        """Say whether a delimiter follows that shares its line end with what is before it."""
        if not part.depth or part.end >= self.content.size:
            return False
        return await self.content.read(part.end, part.end + 1) == b"-"


def _behind(parts: tuple[Part, ...], number: int) -> int:
    """Return the number of the first part that is not inside of one."""
    depth = parts[number].depth
    number += 1
    while number < len(parts) and parts[number].depth > depth:
        number += 1
    return number


def _delimited(boundary: bytes, entities: Iterable[Content]) -> list[Content]:
    pieces: list[Content] = []
    for entity in entities:
        pieces += (Octets(b"\r\n--%b\r\n" % boundary), entity)
    return pieces


def _last(boundary: bytes) -> Octets:
    return Octets(b"\r\n--%b--\r\n" % boundary)


def with_version(lines: list[bytes]) -> list[bytes]:
    """Return a message's fields with MIME-Version among them (RFC 2045 section 4)."""
    if any(name_of(line).lower() == b"mime-version" for line in lines):
        return lines
    return [*ended(lines), b"MIME-Version: 1.0\r\n"]
