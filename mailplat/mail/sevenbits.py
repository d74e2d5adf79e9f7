"""Brings a message to seven bits before it is signed, so that no host on its way has to.

A host without 8BITMIME would have it changed, and so break the signature
(RFC 6376 section 5.3); so would one that cuts lines of more than 998 octets.
"""

from __future__ import annotations

from mailplat.mail.content import Content, chunks
from mailplat.mail.edit import Edits
from mailplat.mail.envelope import Body
from mailplat.mail.message import Message
from mailplat.mail.partsteps import TEXT_READ, RecodePart
from mailplat.mail.recoding import Level, Survey, Surveyed, plan
from mailplat.mail.structure import Structure
from mailplat.mail.transfer import survey_of


async def to_seven_bits(message: Message) -> Edits:
    """Return the changes by which a message has lines of ASCII only, of at most 998 octets.

    There are none where it is so already, and where it can't be: octets outside
    ASCII in a header, parts of more than 4 MiB that would have to be written
    anew, and what somebody has signed, by DKIM or inside of the message.
    """
    content = message.content
    if message.header.count(b"dkim-signature"):
        return Edits()
    if (await survey_of(content)).needs() is Body.SEVEN_BIT:
        return Edits()
    structure = await message.find_parts()
    found = plan(structure, await _surveyed(content, structure), Level.SEVEN)
    encoded = [change.part for change in found.changes if change.is_encoded]
    if not encoded or not found.is_possible or found.breaks_signature:
        return Edits()
    parts = structure.layout.parts
    if sum(parts[number].end - parts[number].body for number in encoded) > TEXT_READ:
        return Edits()
    return Edits(tuple(RecodePart(change) for change in found.changes))


async def _surveyed(content: Content, structure: Structure) -> Surveyed:
    survey = Survey(structure.layout)
    async for octets in chunks(content):
        survey.feed(octets)
    return survey.finish()
