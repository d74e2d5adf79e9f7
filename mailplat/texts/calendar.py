"""The text of appointments: what they are, where, and who comes (RFC 5545)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zope.interface import implementer

from mailplat.interfaces import ITextExtractor

DEEPEST = 16  # components in each other
MOST_LINES = 100_000

_FOLD = re.compile(r"\r?\n[ \t]")  # section 3.1
_LINE = re.compile(
    r"^([A-Za-z0-9-]{1,64})((?:;[^:;\"\r\n]*+(?:\"[^\"\r\n]*+\"[^:;\"\r\n]*+)*+)*+):([^\r\n]*+)",
    re.MULTILINE,
)
_COMMON_NAME = re.compile(r";[Cc][Nn]=(?:\"([^\"]*+)\"|([^;:\"]*+))")
_ESCAPED = re.compile(r"\\([\\;,nN])")  # section 3.3.11
_MAILTO = re.compile(r"[Mm][Aa][Ii][Ll][Tt][Oo]:")
_TEXTS = frozenset(("SUMMARY", "DESCRIPTION", "LOCATION", "COMMENT", "CATEGORIES"))
_PEOPLE = frozenset(("ATTENDEE", "ORGANIZER"))


@implementer(ITextExtractor)
class CalendarText:
    """Gives summary, description, location and people of each event to the index."""

    def text(self, octets: bytes, media_type: str, charset: str, limit: int) -> str:
        found: list[str] = []
        room = limit
        for piece in _pieces(_decoded(octets, charset)):
            found.append(piece[:room])
            room -= len(found[-1]) + 1
            if room <= 0:
                break
        return "\n".join(found)


def _decoded(octets: bytes, charset: str) -> str:
    """Return the calendar's text: UTF-8 unless it says otherwise (section 3.1.4)."""
    try:
        return octets.decode(charset or "utf-8", "replace")
    except (LookupError, UnicodeError):
        return octets.decode("utf-8", "replace")


def _pieces(text: str) -> Iterator[str]:
    """Yield what people would look for in each VEVENT, alarms and time zones left out."""
    inside: list[str] = []
    for number, line in enumerate(_LINE.finditer(_FOLD.sub("", text))):
        name, value = line[1].upper(), line[3]
        if name == "BEGIN":
            inside.append(value.strip().upper())
        elif name == "END":
            del inside[-1:]
        elif inside[-1:] == ["VEVENT"] and name in _TEXTS:
            yield _ESCAPED.sub(_unescaped, value)
        elif inside[-1:] == ["VEVENT"] and name in _PEOPLE:
            named = _COMMON_NAME.search(line[2])
            yield f"{(named[1] or named[2]) if named else ''} {_MAILTO.sub('', value)}".strip()
        if number > MOST_LINES or len(inside) > DEEPEST:
            return


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] in "nN" else match[1]
