"""Makes a message fit for what a host takes (RFC 6152 section 3, RFC 6531 section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mailplat.interfaces import WallClock
from mailplat.mail.content import FIRST_LOOK, Content, Octets, chunks
from mailplat.mail.envelope import Body, Envelope, Recipient
from mailplat.mail.header import Header, name_of
from mailplat.mail.recoding import Level, Plan, Recoder, Survey, Surveyed, plan
from mailplat.mail.structure import Structure, structure_of
from mailplat.wire.smtp.offered import Offered
from mailplat.wire.smtp.transaction import Transaction


@attrs.define
class _Traits:
    """What is known of a content, as far as anybody has asked."""

    body: Body | None = None
    needs_utf8: bool = False
    surveyed: tuple[Structure, Surveyed] | None = None
    fits: dict[Level, Content | None] = attrs.field(factory=dict)


@attrs.frozen
class Parcel:
    """A message, and what has to be known of it before it can be sent.

    It is looked at once for all hosts, and only as closely as they ask for it.
    """

    envelope: Envelope
    content: Content
    wall: WallClock | None = None
    _traits: _Traits = attrs.field(factory=_Traits)

    def for_some(self, numbers: Sequence[int]) -> Parcel:
        """Return the same message for some of its recipients, by their places."""
        if len(numbers) == len(self.envelope.recipients):
            return self
        some = tuple(self.envelope.recipients[number] for number in numbers)
        return Parcel(
            attrs.evolve(self.envelope, recipients=some), self.content, self.wall, self._traits
        )

    async def for_host(
        self, offered: Offered, recipients: tuple[Recipient, ...]
    ) -> tuple[Transaction, Content]:
        """Return what a host is to be told and given for some of the recipients.

        A text outside ASCII is encoded for a host without 8BITMIME; what can't be
        encoded stays as it is, and the transaction says why it has no way.  Raises
        `StoreFailed` if the content can't be read.
        """
        body = await self.look()
        content = self.content
        if body not in offered.bodies and not self._traits.needs_utf8:
            level = Level.EIGHT if Body.EIGHT_BIT in offered.bodies else Level.SEVEN
            if fitted := await self._fitted(level):
                body = Body.EIGHT_BIT if level is Level.EIGHT else Body.SEVEN_BIT
                content = fitted
        envelope = self.envelope
        if len(recipients) != len(envelope.recipients):
            envelope = attrs.evolve(envelope, recipients=recipients)
        left = self._seconds_left()
        utf8 = self._traits.needs_utf8
        return Transaction(envelope, content.size, body, utf8, left), content

    def _seconds_left(self) -> int:
        late = self.envelope.deliver_by
        if late is None or self.wall is None:
            return 0
        return int(late.at.timestamp() - self.wall.seconds())

    async def look(self) -> Body:
        """Return what the octets need, whatever the sender has declared of them."""
        if self._traits.body is None:
            is_ascii = await _is_ascii(self.content)
            binary = self.envelope.body is Body.BINARY
            self._traits.body = Body.SEVEN_BIT if is_ascii else Body.EIGHT_BIT
            if binary:
                await self._look_at_lines()
            if self.envelope.smtputf8 and not is_ascii:
                _, surveyed = await self._survey()
                self._traits.needs_utf8 = surveyed.outside > Level.SEVEN
        return self._traits.body

    async def _look_at_lines(self) -> None:
        """Call binary what isn't lines; long lines alone can be sent as what they are."""
        _, surveyed = await self._survey()
        if not all(traits.has_lines for traits in surveyed.parts):
            self._traits.body = Body.BINARY

    async def _survey(self) -> tuple[Structure, Surveyed]:
        if self._traits.surveyed is None:
            structure = await structure_of(self.content)
            survey = Survey(structure.layout)
            async for octets in chunks(self.content):
                survey.feed(octets)
            self._traits.surveyed = structure, survey.finish()
        return self._traits.surveyed

    async def _fitted(self, level: Level) -> Content | None:
        """Return the content as such a host takes it, None if that is not possible."""
        if level not in self._traits.fits:
            structure, surveyed = await self._survey()
            planned: Plan = plan(structure, surveyed, level)
            self._traits.fits[level] = None
            if planned.is_possible:
                recoder = Recoder(structure, planned.changes)
                pieces = [recoder.feed(octets) async for octets in chunks(self.content)]
                self._traits.fits[level] = Octets(b"".join([*pieces, recoder.finish()]))
        return self._traits.fits[level]

    async def waives_tls(self) -> bool:
        """Whether the message says that it may go in the clear (RFC 8689 section 5)."""
        octets = await self.content.read(0, min(self.content.size, FIRST_LOOK))
        header = Header.parse(octets)
        return any(
            name_of(line).lower() == b"tls-required"
            and line.partition(b":")[2].strip().lower() == b"no"
            for line in header.lines
        )


async def _is_ascii(content: Content) -> bool:
    if isinstance(content, Octets):
        return content.octets.isascii()
    async for octets in chunks(content):
        if not octets.isascii():
            return False
    return True
