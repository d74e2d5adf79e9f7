"""Changes to a message that leave every untouched octet as it was."""

from __future__ import annotations

import secrets
from collections.abc import Collection

import attrs

from mailplat.mail.content import Content, Octets
from mailplat.mail.draft import Draft, Edited, Run, run_here
from mailplat.mail.header import Header
from mailplat.mail.headersteps import Add, Remove, Replace, Step
from mailplat.mail.multipart import MimePart
from mailplat.mail.partsteps import (
    TEXT_READ,
    AddPart,
    EditPart,
    PartStep,
    RemovePart,
    ReplacePart,
    Rewrite,
    RewriteTexts,
    Wrap,
)
from mailplat.mail.signatures import Signature, broken_by
from mailplat.mail.splices import with_header
from mailplat.mail.structure import Structure
from mailplat.mail.words import text_field

KEPT = frozenset(
    b"return-path received delivered-to from sender reply-to to cc subject date message-id"
    b" in-reply-to references list-id auto-submitted".split()
)
"""Fields that a message which is wrapped shares with its wrapping."""


@attrs.frozen
class Edits:
    """A plan of changes to a message, in the order in which they are made.

    Nothing happens until the plan is applied; plans of several filters are
    added up with ``+``.  What can't be a field raises `ValueError` at once.

    Parts go by their ``number``: that of `mailplat.mail.message.BodyPart`, in
    the message as it was before the plan (or behind the last `wrap` in it).  A
    part that isn't there is a `ValueError` when the plan is applied.  What is
    changed inside of a part that the plan removes or replaces goes with it.
    """

    steps: tuple[Step | PartStep, ...] = ()

    # The message's header.

    def add(self, name: bytes, text: str) -> Edits:
        """Put a field above all others."""
        return self._then(Add(text_field(_checked(name), text)))

    def replace(self, name: bytes, text: str) -> Edits:
        """Give the topmost field of that name another body; or add it below."""
        return self._then(Replace(_checked(name).lower(), text_field(name, text)))

    def remove(self, name: bytes) -> Edits:
        """Take away every field of that name."""
        return self._then(Remove(_checked(name).lower()))

    # Its parts.

    def edit_part(self, number: int, plan: Edits) -> Edits:
        """Make changes to the header of a part, which are planned like those to a message's.

        Raises `ValueError` for a plan that changes more than a header.
        """
        steps: list[EditPart] = []
        for step in plan.steps:
            if not callable(step):
                raise ValueError(f"no change to a header: {step}")  # noqa: TRY004
            steps.append(EditPart(number, step))
        return Edits((*self.steps, *steps))

    def replace_part(self, number: int, entity: bytes | Content | MimePart) -> Edits:
        """Put another part, with its header, in the place of one.

        Of the message itself (0), and of a message inside of a part, the fields
        stay that aren't about its body.  `mailplat.mail.multipart` makes
        parts of texts, files and messages.
        """
        return self._then(ReplacePart(number, _content(entity)))

    def remove_part(self, number: int) -> Edits:
        """Take a part away; if it is the last of a multipart, an empty one stays."""
        return self._then(RemovePart(number))

    def add_part(
        self, entity: bytes | Content | MimePart, to: int = 0, *, boundary: bytes | None = None
    ) -> Edits:
        """Put a part, with its header, at the end of the message, or of the part ``to``.

        What is no multipart/mixed becomes one, and its first part what it was,
        octet by octet; ``boundary`` is the new one's, else it is random.
        """
        return self._then(AddPart(_content(entity), to, boundary or new_boundary()))

    def wrap(
        self,
        note: bytes | Content | MimePart,
        *,
        kept: Collection[bytes] = KEPT,
        boundary: bytes | None = None,
    ) -> Edits:
        """Make the message, with all its octets, an attachment of a new one behind a note.

        ``note`` is a part with its header; ``kept`` are the names, in lower case,
        of fields that the new message has as well.
        """
        return self._then(Wrap(_content(note), boundary or new_boundary(), kept))

    def rewrite_texts(
        self, function: Rewrite, *, longest: int = TEXT_READ, signed: bool = False
    ) -> Edits:
        """Let a function change each text that is the message's own, plain or HTML.

        It is given text whose lines end in "\\n" and returns what to make of it;
        the same text leaves the part as it is.  The part keeps its charset and
        transfer encoding if they can hold the new text; else it gets UTF-8, and
        quoted-printable.  Texts of more than ``longest`` octets together, and
        parts in encodings that nobody knows, stay as they are; so do texts in a
        multipart/signed unless ``signed`` is true.  The function may block.
        """
        return self._then(RewriteTexts(function, None, longest, signed))

    def rewrite_text(
        self, number: int, function: Rewrite, *, longest: int = TEXT_READ
    ) -> Edits:
        """Let a function change the text of one part in the same way, wherever it is.

        A part that is no text stays as it is.
        """
        return self._then(RewriteTexts(function, number, longest))

    # The plan as such.

    def _then(self, step: Step | PartStep) -> Edits:
        return Edits((*self.steps, step))

    def __add__(self, other: Edits) -> Edits:
        return Edits(self.steps + other.steps)

    def __bool__(self) -> bool:
        return bool(self.steps)

    def apply(self, header: Header) -> Header:
        """Return the header as the plan's steps for headers want it, whatever others do."""
        lines = list(header.lines)
        for step in self.steps:
            if callable(step):
                lines = step(lines)
        return Header.of_lines(lines)

    async def applied(
        self,
        content: Content,
        header: Header,
        structure: Structure | None = None,
        run: Run = run_here,
    ) -> Edited:
        """Return what becomes of a content, whose header is ``header``, and its new header.

        ``structure`` is that of ``content`` if it is known already.  Functions
        that change texts are called by ``run``.  Nothing of the content that
        stays is copied, unless it lies in memory as a whole.
        """
        if all(map(callable, self.steps)):
            new = self.apply(header)
            if new.octets == header.octets:
                return Edited(content, header)
            return Edited(with_header(content, header, new), new)
        draft = Draft(content, header, run, structure)
        for step in self.steps:
            if callable(step):
                head = await draft.head(0)
                head.lines = step(head.lines)
            else:
                await step.draft(draft)
        return await draft.done()

    async def broken_signatures(
        self, content: Content, header: Header, structure: Structure | None = None
    ) -> tuple[Signature, ...]:
        """Return the DKIM signatures of a message that the plan would break.

        Those whose body hash doesn't fit as it is are not among them.
        """
        if not self.steps or not header.count(b"DKIM-Signature"):
            return ()
        new, new_header = await self.applied(content, header, structure)
        return await broken_by((header, content), (new_header, new))


def new_boundary() -> bytes:
    """Return a boundary that no message has in it."""
    return b"=_" + secrets.token_hex(16).encode()


def _content(entity: bytes | Content | MimePart) -> Content:
    if isinstance(entity, MimePart):
        return entity.whole
    return Octets(entity) if isinstance(entity, bytes) else entity


def _checked(name: bytes) -> bytes:
    if not isinstance(name, bytes):
        raise ValueError(f"a field's name is bytes, not {name!r:.100}")  # noqa: TRY004
    return name
