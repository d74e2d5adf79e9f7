"""The text of a message to index: decoded, folded, HTML reduced; computed in the background.

What is indexed and what is searched for go through `case_folded`.  Whatever IMAP's
substrings take for equal (``i;unicode-casemap``, RFC 5051) is equal then, and a
little more: it decomposes and folds case, Unicode's full folding on top of
compatibility decomposition, leaves out characters that nobody sees, and makes
any white space one space.

A `SearchText` says whether it is all there is: where a limit has cut it, what
isn't found in it may still be in the message.
"""

from __future__ import annotations

import re
import unicodedata
from binascii import a2b_qp
from collections.abc import Collection, Iterable
from struct import Struct
from typing import Self

import attrs

from mailplat.mail import htmltext
from mailplat.mail.characters import text_of
from mailplat.mail.encodings import decoded
from mailplat.mail.entity import Entity
from mailplat.mail.filenames import file_names
from mailplat.mail.header import telling_fields
from mailplat.mail.layout import Kind, Range
from mailplat.mail.limits import MIB
from mailplat.mail.structure import Structure
from mailplat.mail.textparts import charset_label
from mailplat.mail.words import shown

VERSION = 1
LONGEST = MIB  # octets of UTF-8 that are kept of one message's body
LONGEST_HEADER = 65536  # octets of UTF-8 that are kept of its header, and of file names
OCTETS_READ = 4  # for each octet that is kept, since tags and encodings take most of a part

_OTHER, _TEXT, _MULTIPART, _MESSAGE = Kind
_FRONT = Struct("<BBIII")  # version, whether it is whole, lengths of subject, people, files
_PEOPLE = (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc")
_MARKED_UP = frozenset((b"html", b"enriched", b"richtext"))


@attrs.frozen
class SearchText:
    """What can be found in a message, all of it folded.

    ``people`` has names and addresses, a field a line; ``files`` the names of
    its files.  ``is_whole`` says that no limit has cut any of it.
    """

    subject: str = ""
    people: str = ""
    files: str = ""
    body: str = ""
    is_whole: bool = True

    def pack(self) -> bytes:
        """Return it as octets, its version first."""
        *first, body = (
            text.encode("utf-8", "replace")
            for text in (self.subject, self.people, self.files, self.body)
        )
        front = _FRONT.pack(VERSION, self.is_whole, *map(len, first))
        return b"".join([front, *first, body])

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Read what `pack` wrote; raises `ValueError` for any other version or octets."""
        if len(octets) < _FRONT.size or octets[0] != VERSION:
            raise ValueError(f"no text of version {VERSION}: {octets[:1]!r}")
        _, is_whole, *lengths = _FRONT.unpack_from(octets)
        texts: list[str] = []
        at = _FRONT.size
        for length in lengths:
            texts.append(octets[at : at + length].decode("utf-8"))
            at += length
        if at > len(octets):
            raise ValueError("a text that is damaged")
        subject, people, files = texts
        return cls(subject, people, files, octets[at:].decode("utf-8"), bool(is_whole))


# Folding ---------------------------------------------------------------------

_UNSEEN = (  # soft hyphens, zero widths, joiners, directions, variation selectors
    "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff"
)
_DOTLESS_I = "\u0131"  # the only one whose title case is that of another small letter
_WHITE = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f"
_MORE_WHITE = "\x85\u1680\u2028\u2029"  # what is white space after decomposition
_SPACES = re.compile("   *+")


def case_folded(text: str) -> str:
    """Return a text as it is compared with others; folding it again changes nothing."""
    text = text.lower() if text.isascii() else _folded(without_unseen(text))
    for white in _WHITE:  # this takes a third of the time of split and join
        if white in text:
            text = text.replace(white, " ")
    return _SPACES.sub(" ", text).strip(" ")


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKD", text).casefold().replace(_DOTLESS_I, "i")
    if not unicodedata.is_normalized("NFKD", text):
        text = unicodedata.normalize("NFKD", text)
    for white in _MORE_WHITE:
        text = text.replace(white, " ")
    return text


def without_unseen(text: str) -> str:
    """Return a text without the characters that only say how others are to be shown."""
    if not text.isascii():
        for character in _UNSEEN:
            if character in text:
                text = text.replace(character, "")
    return text


# Gathering -------------------------------------------------------------------


@attrs.frozen
class TextSource:
    """Octets to read of a message, and the part whose body they are.

    Without an ``entity`` they are the header of a message inside of the message.
    ``is_whole`` says that there is no more of the part.
    """

    entity: Entity | None
    octets: Range
    is_whole: bool = True


def text_sources(
    structure: Structure, longest: int = LONGEST, handled: Collection[str] = ()
) -> list[TextSource]:
    """Return what to read of a message for its text: texts, and headers of messages inside.

    Parts whose type is ``handled`` by somebody else are left to him.
    """
    room = longest * OCTETS_READ
    found: list[TextSource] = []
    parts = structure.layout.parts
    for part, described in zip(parts, structure.described, strict=True):
        entity = described.entity
        if part.parent >= 0 and parts[part.parent].kind == _MESSAGE:
            found.append(TextSource(None, part.header))
        if _is_text(part.kind, entity) and not (handled and entity.media_type.name in handled):
            stop = min(part.end, part.body + room)
            found.append(TextSource(entity, Range(part.body, stop), stop == part.end))
            room -= stop - part.body
    return found


def _is_text(kind: Kind, entity: Entity) -> bool:
    """Say whether a part's body is text, reports about messages among it (RFC 3464)."""
    if kind == _OTHER:
        return entity.media_type.type.lower() == b"message"
    return kind == _TEXT


def names_of_files(structure: Structure) -> list[str]:
    """Return every name by which somebody may know a file in a message."""
    found: list[str] = []
    for described in structure.described:
        if described.is_attachment:
            entity = described.entity
            found += file_names(entity.media_type, entity.disposition).texts
    return found


def gather(
    header: bytes,
    names: Iterable[str],
    read: Iterable[tuple[TextSource, bytes]],
    more: Iterable[str] = (),
    longest: int = LONGEST,
) -> SearchText:
    """Return the text of a message, of which ``header`` and all `text_sources` were read.

    ``more`` are texts of parts that somebody else has read.  Nothing is raised,
    whatever the octets.
    """
    subject, people = headlines(header)
    texts: list[str] = []
    is_whole = True
    for one, octets in read:
        if one.entity is None:
            texts += headlines(octets)
        else:
            texts.append(part_text(one.entity, octets))
        is_whole = is_whole and one.is_whole
    subject, whole_subject = _cut(case_folded(subject), LONGEST_HEADER)
    people, whole_people = _cut(case_folded(people), LONGEST_HEADER)
    files, whole_files = _cut(case_folded("\n".join(names)), LONGEST_HEADER)
    body, whole_body = _cut(case_folded("\n".join([*texts, *more])), longest)
    is_whole = is_whole and whole_subject and whole_people and whole_files and whole_body
    return SearchText(subject, people, files, body, is_whole)


def search_text(
    octets: bytes,
    structure: Structure,
    longest: int = LONGEST,
    handled: Collection[str] = (),
    more: Iterable[str] = (),
) -> SearchText:
    """Return the text of a message that is at hand as a whole; see `gather`."""
    header = octets[: structure.layout.parts[0].body]
    read = [
        (one, octets[one.octets.start : one.octets.stop])
        for one in text_sources(structure, longest, handled)
    ]
    return gather(header, names_of_files(structure), read, more, longest)


def headlines(header: bytes) -> tuple[str, str]:
    """Return the subject, and all that fields say of people, decoded but as it stands."""
    telling = telling_fields(header)
    subjects = telling.get(b"subject", ())
    people = [body for name in _PEOPLE if name in telling for body in telling[name]]
    return "\n".join(map(shown, subjects)), "\n".join(map(shown, people))


def _cut(text: str, most: int) -> tuple[str, bool]:
    """Return as much of a text as fits into ``most`` octets of UTF-8, and if that is all."""
    if len(text) * 4 <= most or len(octets := text.encode("utf-8", "replace")) <= most:
        return text, True
    return octets[:most].decode("utf-8", "ignore"), False


# One part --------------------------------------------------------------------


def part_text(entity: Entity, octets: bytes) -> str:
    """Return the text of a part's body as its reader sees it, white space as it comes."""
    text = raw_text(entity, octets)
    return htmltext.reduced(text) if is_marked_up(entity) else text


def is_marked_up(entity: Entity) -> bool:
    """Say whether a text part has tags: HTML, and what mail had before it (RFC 1896)."""
    return entity.media_type.subtype.lower() in _MARKED_UP


def raw_text(entity: Entity, octets: bytes) -> str:
    """Return a part's body as text, its transfer encoding and charset undone."""
    octets = transferred(entity, octets)
    return text_of(octets, charset_label(entity, octets))


def transferred(entity: Entity, octets: bytes) -> bytes:
    """Return a part's body, its transfer encoding undone."""
    if entity.encoding.lower() == b"quoted-printable":
        return a2b_qp(octets)  # blanks at the ends of lines count for nothing here
    return decoded(octets, entity.encoding)
