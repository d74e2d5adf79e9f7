"""The first words of a message, for lists of messages (RFC 8970).

What the sender wrote counts, not what he quoted: quoted lines and the line
that announces them are passed over, wherever there is anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mailplat.mail.entity import Entity
from mailplat.mail.htmltext import lines_of
from mailplat.mail.layout import Kind, Range
from mailplat.mail.search import is_marked_up, raw_text, without_unseen
from mailplat.mail.structure import Structure

LONGEST = 200  # characters (RFC 8970 section 1)
READ = (4096, 16384, 65536)  # octets of a part that are looked at, more where those say little
PARTS = 3  # texts that are tried until one says something

_QUOTES = (  # how programs mark what they quote
    *("<blockquote", "<BLOCKQUOTE", 'class="gmail_quote', 'class="yahoo_quoted'),
    *('class="moz-cite-prefix', 'id="divRplyFwdMsg', 'id="appendonsend'),
)
_OTHER, _TEXT, _MULTIPART, _MESSAGE = Kind
_MARKS = ">-_=*~#"  # with which lines begin that are quoted, a rule, or end what is one's own
_RULE = re.compile(r"[-_=*~#\s]{3,}+")
_ORIGINAL = re.compile(r"_{20,}+|-{2,}+[^-]{1,80}+-{2,}+")  # "-----Original Message-----"
_DIGIT = re.compile(r"\d")
_MOST_LINES = 5000  # that are looked at of a text
_ANNOUNCING = 4  # lines that the announcement of a quote may take, an empty one among them
_LONGEST_LINE = 1000  # characters of a line that are looked at


def preview(octets: bytes, structure: Structure) -> str:
    """Return up to 200 characters of a message that is at hand as a whole, if it has text."""
    return preview_of(
        (entity, octets[lies.start : lies.stop]) for entity, lies in preview_parts(structure)
    )


def preview_parts(structure: Structure) -> list[tuple[Entity, Range]]:
    """Return the parts that `preview_of` wants to see, in its order, as far as it needs them.

    They are the first texts that aren't attachments.
    """
    found: list[tuple[Entity, Range]] = []
    for part, described in zip(structure.layout.parts, structure.described, strict=True):
        if part.kind is not _TEXT or described.is_attachment:
            continue
        stop = min(part.end, part.body + (READ[1] if found else READ[-1]))
        found.append((described.entity, Range(part.body, stop)))
        if len(found) == PARTS:
            break
    return found


def preview_of(texts: Iterable[tuple[Entity, bytes]]) -> str:
    """Return the preview of the first text that says anything; nothing is raised."""
    otherwise = ""
    for entity, octets in texts:
        lines = _lines(entity, octets)
        if words := _words(own_lines(lines)):
            return words
        otherwise = otherwise or _words(line[:_LONGEST_LINE].lstrip("> ") for line in lines)
    return otherwise


def _lines(entity: Entity, octets: bytes) -> list[str]:
    """Return the first lines of a text; more of it is read only where they say little."""
    lines: list[str] = []
    for most in READ:
        text = raw_text(entity, octets[:most])
        lines = _html_lines(text) if is_marked_up(entity) else _plain_lines(text)
        if len(octets) <= most or len(_words(own_lines(lines))) == LONGEST:
            break
    return lines


def _plain_lines(text: str) -> list[str]:
    """Return the first lines of a text."""
    text = text.replace("\r\n", "\n").replace(
        "\r", "\n"
    )  # Unicode knows more, and mail doesn't
    return text.split("\n", _MOST_LINES)[:_MOST_LINES]


def _html_lines(html: str) -> list[str]:
    """Return the lines before what looks like a quote; all lines if there are none.

    What attributes hide is there too: senders write words for just this purpose, and
    hide them in the body.
    """
    starts = [start for mark in _QUOTES if (start := html.find(mark)) >= 0]
    if starts:
        before = lines_of(html[: html.rfind("<", 0, min(starts) + 1)], hidden=True)
        if before:
            return [*before, ">"]
    return lines_of(html, hidden=True)


def own_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines that were not quoted and don't announce a quote."""
    waiting: list[str] = []  # the last lines, which may announce one
    anything = False
    for line in lines:
        bare = line[:_LONGEST_LINE].strip()
        if bare[:1] in _MARKS:  # or it is empty
            if bare.startswith(">"):
                yield from _unannounced(waiting)
                waiting = []
                continue
            original = _ORIGINAL.fullmatch(bare)
            if bare == "--" or (anything and original):
                break  # a signature follows (RFC 3676 section 4.3), or what was answered
            if original or _RULE.fullmatch(bare):
                continue
        anything = anything or bool(bare)
        waiting.append(bare)
        if len(waiting) > _ANNOUNCING:
            yield waiting.pop(0)
    yield from waiting


def _unannounced(lines: list[str]) -> list[str]:
    """Leave out the line before a quote if it ends in a colon, and the date before that."""
    end = len(lines)
    while end and not lines[end - 1]:
        end -= 1
    if not end or not lines[end - 1].endswith(":"):
        return lines
    end -= 1
    while end and _DIGIT.search(lines[end - 1]):
        end -= 1
    return lines[:end]


def _words(lines: Iterable[str]) -> str:
    """Return the beginning of some lines as one, white space collapsed."""
    found: list[str] = []
    room = LONGEST
    for line in lines:
        if words := without_unseen(line).split():
            found.append(" ".join(words))
            room -= len(found[-1]) + 1
            if room < 0:
                break
    return " ".join(found)[:LONGEST].rstrip()
