"""Reads the text of a message for the index, none of it on the reactor for long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.interfaces import ITextReader
from mailplat.mail.content import Content, Octets
from mailplat.mail.entity import Entity
from mailplat.mail.errors import MailError, OutOfTime
from mailplat.mail.layout import Kind, Range
from mailplat.mail.limits import Limits
from mailplat.mail.search import (
    LONGEST,
    SearchText,
    TextSource,
    gather,
    names_of_files,
    search_text,
    text_sources,
)
from mailplat.mail.structure import HEADER, Structure, scan, structure_of
from mailplat.texts.extractors import Extractor
from mailplat.workers import Allowance, ChildFailed, Workers

AT_ONCE = 32768  # octets of text that are reduced here, in less than a millisecond
GROWTH = 8  # octets of folded text for one of a message; what is more is cut
ROOM = 4096  # octets of a text without any
HANDLED = 16  # parts of one message that handlers get

Handlers = Mapping[str, Extractor]
"""What gives the text of parts, by their type."""


@implementer(ITextReader)
class TextReader:
    """Texts and HTML are ours, small ones here and large ones in a child process.

    Other parts are for their handlers, in child processes too.  What a handler
    can't read is left out of the text, and the log says so.  Where even the child
    process that reads texts fails, what the header says is all there is.
    """

    log = Logger()

    def __init__(self, workers: Workers, limits: Limits, handlers: Handlers) -> None:
        self._workers = workers
        self._limits = limits
        self._handlers = handlers

    async def text_of(self, content: Content, about: str = "") -> SearchText:
        structure = await structure_of(content)
        more = await self._handled(content, structure, about)
        header = await content.read(0, min(structure.layout.parts[0].body, HEADER))
        longest = self._limits.index_text
        read = [
            (one, await content.read(one.octets.start, one.octets.stop))
            for one in text_sources(structure, longest, self._handlers)
        ]
        names = names_of_files(structure)
        if sum(len(octets) for _, octets in read) <= AT_ONCE:
            return gather(header, names, read, more, longest)
        allowance = Allowance(answer=longest + LONGEST)
        try:
            return SearchText.unpack(
                await self._workers.children.ask(
                    allowance, gathered, header, names, read, more, longest
                )
            )
        except (ChildFailed, OutOfTime) as problem:
            self.log.warn("{about}: no text of its body: {why}", about=about, why=str(problem))
            return attrs.evolve(gather(header, names, (), (), longest), is_whole=False)

    async def texts_of(self, contents: Sequence[bytes]) -> Sequence[SearchText | None]:
        longest, handled = self._limits.index_text, frozenset(self._handlers)
        allowance = Allowance(
            seconds=self._limits.handler_patience,
            answer=sum(map(len, contents)) * GROWTH + ROOM * (1 + len(contents)),
        )
        try:
            answer = await self._workers.children.ask(
                allowance, texts_in, contents, longest, handled
            )
        except (ChildFailed, OutOfTime) as problem:
            if len(contents) > 1:
                halves = contents[: len(contents) // 2], contents[len(contents) // 2 :]
                return [one for half in halves for one in await self.texts_of(half)]
            self.log.warn("a message is not indexed: {why}", why=str(problem))
            return [None] * len(contents)
        return [
            SearchText.unpack(packed) if packed else await self.text_of(Octets(octets))
            for packed, octets in zip(unpacked(answer), contents, strict=True)
        ]

    async def _handled(self, content: Content, structure: Structure, about: str) -> list[str]:
        """Return the texts that handlers give, up to the first that takes too long."""
        texts: list[str] = []
        for lies, entity, handler in self._to_handle(structure):
            try:
                texts.append(await self._text(content, lies, entity, handler))
            except (ChildFailed, MailError) as problem:
                self.log.warn(
                    "{about}: no text of a part of type {type} by {handler}: {why}",
                    about=about,
                    type=entity.media_type.name,
                    handler=handler.name,
                    why=str(problem),
                )
                if isinstance(problem, OutOfTime):
                    break
        return texts

    async def _text(
        self, content: Content, lies: Range, entity: Entity, handler: Extractor
    ) -> str:
        if lies.stop - lies.start > self._limits.handler_part:
            raise ChildFailed(f"it has {lies.stop - lies.start} octets")
        octets = await content.read(lies.start, lies.stop)
        return await handler.text(self._workers, self._limits, entity, octets)

    def _to_handle(self, structure: Structure) -> list[tuple[Range, Entity, Extractor]]:
        """Return the first parts that have a handler."""
        found = (
            (part.content, entity, self._handlers.get(entity.media_type.name))
            for part, entity in zip(structure.layout.parts, structure.entities, strict=True)
            if part.kind in (Kind.TEXT, Kind.OTHER)
        )
        handled = ((lies, entity, handler) for lies, entity, handler in found if handler)
        return list(islice(handled, HANDLED))


# In the child process --------------------------------------------------------


def gathered(
    header: bytes,
    names: Sequence[str],
    read: Sequence[tuple[TextSource, bytes]],
    more: Sequence[str],
    longest: int,
) -> bytes:
    """Return the text of a message as octets; see `mailplat.mail.search.gather`."""
    return gather(header, names, read, more, longest).pack()


def texts_in(contents: Sequence[bytes], longest: int, handled: frozenset[str]) -> bytes:
    """Return the texts of messages, each behind its length; none of one that has handlers."""
    answers: list[bytes] = []
    for octets in contents:
        structure = scan(octets)
        packed = b""
        if handled.isdisjoint(entity.media_type.name for entity in structure.entities):
            packed = search_text(octets, structure, longest).pack()
        answers += [len(packed).to_bytes(4, "big"), packed]
    return b"".join(answers)


def unpacked(answer: bytes) -> list[bytes]:
    """Take apart what `texts_in` put together."""
    found: list[bytes] = []
    at = 0
    while at < len(answer):
        length = int.from_bytes(answer[at : at + 4], "big")
        found.append(answer[at + 4 : at + 4 + length])
        at += 4 + length
    return found
