"""A message as plugin authors like to see it: decoded, lazy, safe to show.

What stands in the header is there at once.  What needs the body (`Message.text`,
`Message.html`, `Message.parts`, `Message.attachments` and all of a `BodyPart`)
is found when it is first asked for, and then remembered:

- In a plain ``def judge``, which has a thread of its own, and of a message that
  is at hand (`Message.of`), simply ask.
- In an ``async def judge`` first say ``message = await transit.message.load()``,
  since a large message lies in a file; `NotAtHand` is raised otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeVar, cast

import attrs

from mailplat.mail.addresslist import NamedAddress, addresses_in
from mailplat.mail.content import Content, Octets, chunks, whole
from mailplat.mail.dates import date_in
from mailplat.mail.draft import Edited, Run, run_here
from mailplat.mail.encodings import Identity, decoded, decoder
from mailplat.mail.entity import Entity
from mailplat.mail.filenames import file_names, safe_file_name
from mailplat.mail.header import Header
from mailplat.mail.htmltext import lines_of
from mailplat.mail.layout import Kind, Part
from mailplat.mail.limits import KIB, MIB
from mailplat.mail.originator import Originator, originator_of
from mailplat.mail.partsteps import TEXT_READ, body_texts
from mailplat.mail.signatures import Signature
from mailplat.mail.splices import excerpt_of
from mailplat.mail.structure import HEADER, Structure, structure_of
from mailplat.mail.textparts import read_text
from mailplat.mail.words import shown

if TYPE_CHECKING:
    from mailplat.mail.edit import Edits

HTML_REDUCED = MIB  # characters
AT_ONCE = 64 * KIB  # octets of text that are decoded without a thread

T = TypeVar("T")
_Work = Callable[[], Coroutine[Any, Any, T]]


class NotAtHand(LookupError):
    """What was asked for has to be waited for: ``await message.load()`` first."""


class Wait(Protocol):
    """Waits in a thread for what the reactor does, such as `mailplat.workers.Workers.wait`."""

    def __call__(self, work: _Work[T]) -> T:
        """Return what comes of it, or raise it."""


_WAIT: ContextVar[Wait | None] = ContextVar("_WAIT", default=None)


@contextmanager
def waiting_by(wait: Wait) -> Iterator[None]:
    """Let messages be read in this thread by waiting for them."""
    token = _WAIT.set(wait)
    try:
        yield
    finally:
        _WAIT.reset(token)


def _now(work: _Work[T], content: Content) -> T:
    """Return what comes of reading a content; raises `NotAtHand` if nobody may wait here."""
    wait = None if isinstance(content, Octets) else _WAIT.get()
    if wait:
        return wait(work)
    coroutine = work()
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    coroutine.close()
    raise NotAtHand("this message lies in a file: await message.load() before")


@attrs.define(eq=False, slots=False)
class Message:
    """What can be read of a message; ``header`` is that of ``content``."""

    header: Header
    content: Content = Octets(b"")
    run: Run = run_here  # calls what may take its time when the message is loaded
    _structure: Structure | None = attrs.field(default=None, init=False)
    _texts: dict[int, str] = attrs.field(factory=dict, init=False)
    _own_texts: dict[bytes, str] = attrs.field(factory=dict, init=False)
    _reduced: str | None = attrs.field(default=None, init=False)

    @classmethod
    def of(cls, octets: bytes) -> Self:
        """Return a message whose octets are at hand, such as those of a file."""
        return cls(Header.parse(octets), Octets(octets))

    # What the header says.

    @property
    def subject(self) -> str:
        """The Subject as one line of text, or an empty one."""
        return shown(self.header.body(b"Subject"))

    @cached_property
    def originator(self) -> Originator:
        """Who the message says it is from, and what is odd about that."""
        return originator_of(self.header)

    @property
    def sender(self) -> NamedAddress | None:
        """The first address in From, whose `str` is fit to be shown; None if there is none.

        It is what most programs show; who wants to rely on it looks at `originator`.
        """
        return next(iter(self.originator.addresses), None)

    @property
    def to(self) -> tuple[NamedAddress, ...]:
        """All addresses in To; these are not who gets the message, see the envelope."""
        return self._addresses(b"To")

    @property
    def cc(self) -> tuple[NamedAddress, ...]:
        """All addresses in Cc."""
        return self._addresses(b"Cc")

    @property
    def date(self) -> datetime | None:
        """When the message says it was written, with its time zone; None without a date."""
        found = date_in(self.header.body(b"Date"))
        try:
            zone = timezone(timedelta(seconds=found.offset)) if found else UTC
            return datetime.fromtimestamp(found.seconds, zone) if found else None
        except (ValueError, OverflowError):
            return None

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Name and text of each field, topmost first, as they may be shown."""
        return tuple(
            (field.name.decode("latin-1"), shown(field.body)) for field in self.header.fields
        )

    def _addresses(self, name: bytes) -> tuple[NamedAddress, ...]:
        return addresses_in(*self.header.bodies(name)).addresses

    # What the body has.

    async def load(self) -> Self:
        """Find the parts and read the texts, so that they are at hand; return the message.

        Attachments are not read: `BodyPart.read` and `BodyPart.chunks` do that.
        """
        for subtype in (b"plain", b"html"):
            if subtype not in self._own_texts:
                bodies = await self._read_own_bodies(subtype)
                run = self.run if sum(len(one.octets) for one in bodies) > AT_ONCE else run_here
                self._keep_own_text(subtype, bodies, await run(_texts_of, bodies))
        if self._reduced is None and not self._own_texts[b"plain"].strip():
            html = self._own_texts[b"html"]
            run = self.run if len(html) > AT_ONCE else run_here
            self._reduced = await run(reduced, html)
        return self

    @property
    def text(self) -> str:
        """The message's own text, as its text/plain parts have it; lines end in "\\n".

        Where those are blank it is what a reader would see of the HTML, of which the
        first 1,048,576 characters are looked at.  Attachments and messages inside of
        this one are left out, and so is what lies behind 4 MiB.
        """
        plain = self._own_text(b"plain")
        if plain.strip():
            return plain
        if self._reduced is None:
            self._reduced = reduced(self.html)
        return self._reduced or plain

    @property
    def html(self) -> str:
        """The same of its text/html parts, just as the sender wrote it: never safe to show."""
        return self._own_text(b"html")

    @property
    def structure(self) -> Structure:
        """Where the parts lie, and what their headers say."""
        if self._structure is None:
            return _now(self.find_parts, self.content)
        return self._structure

    @property
    def parts(self) -> tuple[BodyPart, ...]:
        """All parts in the order in which they begin: the message itself, then those in it.

        A message inside of a part is a part of its own, and so are the parts in it.
        """
        count = len(self.structure.layout.parts)
        return tuple(BodyPart(self, number) for number in range(count))

    @property
    def attachments(self) -> tuple[BodyPart, ...]:
        """The parts that are not the message's own text: files, images, messages.

        Their names are safe for a disk and differ from each other.  A message
        that is attached counts as one, whatever is in it.
        """
        found: list[BodyPart] = []
        taken: set[str] = set()
        for number in attached(self.structure):
            part = BodyPart(self, number)
            name = unique(part.name, taken)
            taken.add(name.casefold())
            found.append(attrs.evolve(part, name=name))
        return tuple(found)

    async def find_parts(self) -> Structure:
        """Return the structure; the content is read for it once."""
        if self._structure is None:
            self._structure = await structure_of(self.content)
        return self._structure

    def _own_text(self, subtype: bytes) -> str:
        if subtype not in self._own_texts:
            bodies = _now(lambda: self._read_own_bodies(subtype), self.content)
            self._keep_own_text(subtype, bodies, _texts_of(bodies))
        return self._own_texts[subtype]

    async def _read_own_bodies(self, subtype: bytes) -> list[_Body]:
        """Return the parts that are the message's own text, 4 MiB of all of them."""
        bodies: list[_Body] = []
        room = TEXT_READ
        structure = await self.find_parts()
        for number in body_texts(structure):
            if structure.described[number].entity.media_type.subtype.lower() == subtype:
                bodies.append(await self._read_body(number, room))
                room -= len(bodies[-1].octets)
                if not room:
                    break
        return bodies

    def _keep_own_text(
        self, subtype: bytes, bodies: Iterable[_Body], texts: Sequence[str]
    ) -> None:
        self._own_texts[subtype] = "\n".join(texts)
        for body, text in zip(bodies, texts, strict=True):
            if body.is_whole:
                self._texts[body.number] = text

    async def _read_body(self, number: int, most: int) -> _Body:
        await self.find_parts()
        part = BodyPart(self, number)
        body = part.content
        octets = await body.read(0, min(body.size, most))
        return _Body(number, part.entity, octets, is_whole=len(octets) == body.size)

    def part_text(self, number: int) -> str:
        """Return the text of a part; see `BodyPart.text`."""
        if number not in self._texts:
            body = _now(lambda: self._read_body(number, TEXT_READ), self.content)
            self._texts[number] = read_text(body.entity, body.octets)
        return self._texts[number]

    # What a plan would make of it.

    async def edited(self, plan: Edits, run: Run = run_here) -> Edited:
        """Return the content and header that a plan makes of this; see `Edits.applied`."""
        return await plan.applied(self.content, self.header, self._structure, run)

    def after(self, plan: Edits) -> Message:
        """Return the message that a plan makes of this."""
        edited = _now(lambda: self.edited(plan), self.content)
        return Message(edited.header, edited.content, self.run)

    async def find_broken(self, plan: Edits) -> tuple[Signature, ...]:
        """Return the DKIM signatures that a plan would break; see `Edits.broken_signatures`."""
        return await plan.broken_signatures(self.content, self.header, self._structure)

    def broken_by(self, plan: Edits) -> tuple[Signature, ...]:
        """Return the same, where the body is at hand or may be waited for."""
        return _now(lambda: self.find_broken(plan), self.content)


class _Body(NamedTuple):
    """The beginning of a part's body, as it lies in the message."""

    number: int
    entity: Entity
    octets: bytes
    is_whole: bool


def _texts_of(bodies: Iterable[_Body]) -> list[str]:
    return [read_text(body.entity, body.octets) for body in bodies]


def reduced(html: str) -> str:
    """Return what a reader would see of HTML, of which the beginning is looked at."""
    return "\n".join(lines_of(html[:HTML_REDUCED]))


@attrs.frozen(eq=False, slots=False)
class BodyPart:
    """One part of a message, by its number in the message's structure.

    ``name`` is a name under which it may be kept on a disk, whatever the sender
    called it; `raw_name` is what he did.
    """

    message: Message = attrs.field(repr=False)
    number: int
    name: str = attrs.field()

    @name.default
    def _safe_name(self) -> str:
        return safe_file_name(self.raw_name, f"part-{self.number}")

    @property
    def _part(self) -> Part:
        return self.message.structure.layout.parts[self.number]

    @property
    def entity(self) -> Entity:
        """What the part's header says of its body."""
        return self.message.structure.described[self.number].entity

    @property
    def section(self) -> str:
        """What IMAP calls the part, such as ``1.2``; empty if a message is a multipart."""
        return ".".join(map(str, self.message.structure.layout.number(self.number)))

    @property
    def media_type(self) -> str:
        """The type that the sender says it has, in lower case, such as ``image/png``."""
        return self.entity.media_type.name

    @property
    def raw_name(self) -> str:
        """The file name that most programs show, decoded, else as it came; may be empty."""
        names = file_names(self.entity.media_type, self.entity.disposition).texts
        return next(iter(names), "")

    @property
    def size(self) -> int:
        """How many octets its body takes up in the message; in Base64 a third more."""
        return self._part.end - self._part.body

    @property
    def is_multipart(self) -> bool:
        """Whether it is there for the parts in it only."""
        return self._part.kind == Kind.MULTIPART

    @property
    def content(self) -> Content:
        """Its body as it lies in the message, encoded."""
        return excerpt_of(self.message.content, self._part.body, self._part.end)

    @property
    def header(self) -> Header:
        """Its header, of one that is very long the beginning."""
        part = self._part
        stop = min(part.body, part.start + HEADER)
        content = self.message.content
        return Header.parse(_now(lambda: _octets(content, part.start, stop), content))

    @property
    def text(self) -> str:
        """Its body as text, whatever its type; lines end in "\\n", 4 MiB are read."""
        return self.message.part_text(self.number)

    @property
    def octets(self) -> bytes:
        """Its body decoded, all of it in memory."""
        return _now(self.read, self.message.content)

    async def read(self) -> bytes:
        """Return the same; of what may be large ask for `chunks`.

        A body in an encoding that nobody knows is returned as it lies there.
        """
        return decoded(await whole(self.content), self.entity.encoding)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield its body decoded, some 100 KiB at a time, none of them empty."""
        codec = decoder(self.entity.encoding) or Identity()
        async for octets in chunks(self.content):
            if chunk := codec.feed(octets):
                yield chunk
        if chunk := codec.finish():
            yield chunk


async def _octets(content: Content, start: int, stop: int) -> bytes:
    return await content.read(start, stop)


def attached(structure: Structure) -> list[int]:
    """Return the numbers of the parts that are attachments, see `Message.attachments`."""
    texts = set(body_texts(structure))
    found: list[int] = []
    inside: set[int] = set()  # parts of messages that are attached
    for number, part in enumerate(structure.layout.parts):
        if part.parent in inside:
            inside.add(number)
            continue
        if part.kind == Kind.MESSAGE:
            inside.add(number)
        if part.kind != Kind.MULTIPART and number not in texts:
            found.append(number)
    return found


def unique(name: str, taken: set[str]) -> str:
    """Return a file's name, with a number if its like is ``taken``, case-folded."""
    path = PurePath(name)
    count = 1
    while name.casefold() in taken:
        count += 1
        name = f"{path.stem}-{count}{path.suffix}"
    return name
