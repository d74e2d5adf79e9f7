"""Changes to parts of a message: the steps of a plan that need to know its structure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from typing import Protocol

import attrs

from mailplat.mail.content import Content, Octets, whole
from mailplat.mail.draft import Draft
from mailplat.mail.entity import Entity
from mailplat.mail.header import name_of
from mailplat.mail.headersteps import Replace, Step
from mailplat.mail.layout import Kind
from mailplat.mail.limits import MIB
from mailplat.mail.recoding import Change, recoded_body, recoded_lines
from mailplat.mail.structure import Structure
from mailplat.mail.textparts import Written, is_writable, read_text, write_text

TEXT_READ = 4 * MIB  # octets of a message's texts, as they lie in it, that are looked at

Rewrite = Callable[[str], str]


class PartStep(Protocol):
    """Notes a change in a draft; its `str` goes on record."""

    async def draft(self, draft: Draft) -> None:
        """Note it; raises `ValueError` where it can't be made."""


@attrs.frozen
class EditPart:
    """Changes the header of a part."""

    number: int
    step: Step

    def __str__(self) -> str:
        return f"{self.step} of part {self.number}"

    async def draft(self, draft: Draft) -> None:
        head = await draft.head(self.number)
        lines = self.step(head.lines)
        if lines != head.lines:
            head.lines = lines
            await draft.end_holders(self.number)


@attrs.frozen
class ReplacePart:
    """Puts another part in the place of one."""

    number: int
    entity: Content

    def __str__(self) -> str:
        return f"replaces part {self.number}"

    async def draft(self, draft: Draft) -> None:
        if await draft.is_there(self.number):
            await draft.replace(self.number, self.entity)


@attrs.frozen
class RemovePart:
    """Takes a part away."""

    number: int

    def __str__(self) -> str:
        return f"removes part {self.number}"

    async def draft(self, draft: Draft) -> None:
        if await draft.is_there(self.number):
            await draft.remove(self.number)


@attrs.frozen
class AddPart:
    """Puts a part at the end of another, or of the message."""

    entity: Content
    to: int
    boundary: bytes

    def __str__(self) -> str:
        return f"adds a part to part {self.to}" if self.to else "adds a part"

    async def draft(self, draft: Draft) -> None:
        await draft.add(self.to, self.entity, self.boundary)


@attrs.frozen
class Wrap:
    """Makes the message an attachment of a new one."""

    note: Content
    boundary: bytes
    kept: Collection[bytes]

    def __str__(self) -> str:
        return "wraps the message"

    async def draft(self, draft: Draft) -> None:
        await draft.wrap(self.note, self.boundary, self.kept)


@attrs.frozen
class RecodePart:
    """Gives a part another transfer encoding; what it says stays the same."""

    change: Change

    def __str__(self) -> str:
        return f"writes part {self.change.part} in {self.change.encoding.decode()}"

    async def draft(self, draft: Draft) -> None:
        number = self.change.part
        if self.change.is_encoded:
            encoding = (await draft.entity(number)).encoding
            octets = await whole(await draft.body(number))
            body: bytes = await draft.run(recoded_body, octets, encoding, self.change)
            await draft.replace_body(number, Octets(body))
        head = await draft.head(number)
        is_message = await draft.is_message(number)
        head.lines = recoded_lines(head.lines, self.change, is_message)


@attrs.frozen
class RewriteTexts:
    """Changes the text of one part, or of all that are shown as the message's text."""

    function: Rewrite
    number: int | None
    longest: int
    signed: bool = False

    def __str__(self) -> str:
        return "rewrites texts" if self.number is None else f"rewrites part {self.number}"

    async def draft(self, draft: Draft) -> None:
        room = self.longest
        async for number in self._chosen(draft):
            body = await draft.body(number)
            entity = await draft.entity(number)
            if body.size > room or not is_writable(entity):
                continue
            room -= body.size
            octets = await whole(body)
            written: Written | None = await draft.run(rewritten, entity, octets, self.function)
            if written:
                await draft.replace_body(number, Octets(written.octets))
                head = await draft.inner_head(number)
                for field in written.fields:
                    head.lines = Replace(name_of(field).lower(), field)(head.lines)

    async def _chosen(self, draft: Draft) -> AsyncIterator[int]:
        structure = await draft.structure()
        chosen = [self.number]
        if self.number is None:
            chosen = [*body_texts(structure, signed=self.signed)]
        for number in chosen:
            assert number is not None
            if await draft.is_there(number) and await _is_text(draft, number):
                yield number


async def _is_text(draft: Draft, number: int) -> bool:
    return (await draft.entity(number)).kind is Kind.TEXT


def rewritten(entity: Entity, octets: bytes, function: Rewrite) -> Written | None:
    """Return a part's body with its text changed; None if it is the same as before."""
    text = read_text(entity, octets)
    new = function(text)
    if not isinstance(new, str):
        raise TypeError(f"a text was made {new!r:.100}")
    return None if new == text else write_text(entity, new)


_AT_ONCE = frozenset((b"plain", b"html"))


def body_texts(structure: Structure, *, signed: bool = True) -> list[int]:
    """Return the numbers of the parts that are a message's own text, plain or HTML.

    Attachments are none, nor is what lies in messages inside of a part; with
    ``signed`` false neither is what a multipart/signed or encrypted has in it.
    """
    found: list[int] = []
    outside: set[int] = set()
    for number, part in enumerate(structure.layout.parts):
        entity = structure.described[number].entity
        parent = part.parent
        subtype = entity.media_type.subtype.lower()
        if (
            parent in outside
            or (part.kind == Kind.MESSAGE)
            or (part.kind == Kind.MULTIPART and not signed and subtype in _SEALED)
        ):
            outside.add(number)
        elif part.kind == Kind.TEXT and subtype in _AT_ONCE and not entity.is_attachment:
            found.append(number)
    return found


_SEALED = frozenset((b"signed", b"encrypted"))
