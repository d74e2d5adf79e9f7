"""The registry of media types: the operator's own, the built-in ones, and the system's.

A source is a text with a type a line and the extensions of such files behind it
(``image/jpeg jpg jpeg``).  Sources lie over each other: what an earlier one says
of an extension counts, so that what the operator adds wins, and what a host
happens to have installed only fills gaps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Self

import attrs

LONGEST_NAME = 255  # characters of a file's name that are looked at, its last
LONGEST_EXTENSION = 32  # characters
UNKNOWN = "application/octet-stream"

_ATOM = r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"  # RFC 6838 section 4.2
_TYPE = re.compile(rf"{_ATOM}/{_ATOM}")
_EXTENSION = re.compile(r"[^\s\x00-\x1f\x7f/\\#.]++(?:\.[^\s\x00-\x1f\x7f/\\#.]++)*+")
_UNSPECIFIC = {
    UNKNOWN,
    "application/binary",
    "application/download",
    "application/force-download",
    "application/unknown",
    "application/x-download",
    "application/x-octet-stream",
    "application/x-unknown",
    "binary/octet-stream",
    "unknown/unknown",
}


class Origin(Enum):
    """Who says that there is a type; the earlier counts for more."""

    OPERATOR = "operator"
    BUILT_IN = "built in"
    SYSTEM = "system"


class By(Enum):
    """What a guess was made by."""

    DECLARED = "declared"
    NAME = "name"
    CONTENT = "content"
    NOTHING = "nothing"


def type_name(text: str) -> str:
    """Return a type's name as it is kept: in lower case, without parameters.

    Raises `ValueError` for what is no name of a type (RFC 6838 section 4.2).
    """
    name = text.partition(";")[0].strip().lower()
    if not _TYPE.fullmatch(name):
        raise ValueError("expected a media type, such as application/pdf")
    return name


def extension(text: str) -> str:
    """Return an extension as it is kept: in lower case, without the dot before it.

    Raises `ValueError` for what can't be one.
    """
    kept = text.strip().removeprefix(".").lower()
    if len(kept) > LONGEST_EXTENSION or not _EXTENSION.fullmatch(kept):
        raise ValueError('expected an extension of file names, such as "pdf" or "tar.gz"')
    return kept


@attrs.frozen
class KnownType:
    """A type and the extensions that one source gives to its files, the usual one first."""

    name: str
    extensions: tuple[str, ...] = ()
    origin: Origin = Origin.OPERATOR
    place: str = ""  # where the source is, for the operator to look

    @classmethod
    def of(
        cls,
        name: str,
        extensions: Iterable[str] = (),
        origin: Origin = Origin.OPERATOR,
        place: str = "",
    ) -> Self:
        """Make one of what somebody wrote; raises `ValueError`."""
        kept = tuple(dict.fromkeys(map(extension, extensions)))
        return cls(type_name(name), kept, origin, place)


def read(
    text: str, origin: Origin, place: str = ""
) -> tuple[tuple[KnownType, ...], tuple[int, ...]]:
    """Return the types in a text of lines, and the numbers of the lines that are wrong.

    A wrong line is passed over; ``#`` begins a comment.
    """
    types: list[KnownType] = []
    wrong: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            types.append(KnownType.of(words[0], words[1:], origin, place))
        except ValueError:
            wrong.append(number)
    return tuple(types), tuple(wrong)


def written(types: Iterable[KnownType]) -> str:
    """Return types as the text that `read` reads."""
    return "".join(map(_line, types))


def changed(text: str, name: str, extensions: Iterable[str] | None) -> str:
    """Return a text of types with one line for ``name``, or with none for None.

    It stands where the type's first line stood, else at the end; other lines stay.
    """
    lines = []
    new = [] if extensions is None else [_line(KnownType(name, tuple(extensions)))]
    for line in text.splitlines(keepends=True):
        if line.split(maxsplit=1)[:1] and line.split(maxsplit=1)[0].lower() == name:
            lines += new
            new = []
        else:
            lines.append(line if line.endswith("\n") else f"{line}\n")
    return "".join([*lines, *new])


def _line(entry: KnownType) -> str:
    return f"{' '.join((entry.name, *entry.extensions))}\n"


@attrs.frozen
class Guess:
    """What an attachment is, and by what that was found; all that was known of it beside."""

    type: str
    by: By
    declared: str = ""
    by_name: str = ""
    by_content: str = ""


@attrs.frozen
class MediaTypes:
    """All types that are known here.

    ``types`` are the entries of all sources, the first source first; an
    extension that an earlier source has given to the same type isn't said again.
    """

    types: tuple[KnownType, ...]
    _by_name: dict[str, list[KnownType]] = attrs.field(eq=False, repr=False)
    _by_extension: dict[str, list[KnownType]] = attrs.field(eq=False, repr=False)
    _most_dots: int = attrs.field(eq=False, repr=False)  # in one extension

    @classmethod
    def of(cls, *sources: Iterable[KnownType]) -> Self:
        """Lay sources over each other, the one that counts most first."""
        by_name: dict[str, list[KnownType]] = {}
        by_extension: dict[str, list[KnownType]] = {}
        types = tuple(_news(sources, by_name))
        for entry in types:
            for ending in entry.extensions:
                by_extension.setdefault(ending, []).append(entry)
        most_dots = max((ending.count(".") for ending in by_extension), default=0)
        return cls(types, by_name, by_extension, most_dots)

    def entries(self, name: str) -> tuple[KnownType, ...]:
        """Return what each source says of a type; empty if nobody knows it."""
        return tuple(self._by_name.get(name.lower(), ()))

    def extensions(self, name: str) -> tuple[str, ...]:
        """Return the extensions of a type, the usual one first."""
        return tuple(ending for one in self.entries(name) for ending in one.extensions)

    def claims(self, ending: str) -> tuple[KnownType, ...]:
        """Return the types that an extension may stand for; the first one counts."""
        return tuple(self._by_extension.get(ending.lower().removeprefix("."), ()))

    def of_name(self, file_name: str) -> KnownType | None:
        """Return the type that a file's name speaks of, by its longest known extension.

        Folders before the name are passed over, and so are dots and spaces
        behind it, which some systems leave out when they look for a program.
        """
        name = re.split(r"[/\\]", file_name[-LONGEST_NAME:])[-1].rstrip(". ").lower()
        pieces = name.rsplit(".", self._most_dots + 1)[1:]
        for start in range(len(pieces)):
            if found := self._by_extension.get(".".join(pieces[start:])):
                return found[0]
        return None

    def guess(
        self, declared: str = "", file_name: str = "", sniffed: str | None = None
    ) -> Guess:
        """Say what an attachment is.

        A declared type counts if it says anything, then what the name says,
        then what ``sniffed`` found in the content.
        """
        by_name = self.of_name(file_name)
        said = {
            By.DECLARED: _specific(declared),
            By.NAME: by_name.name if by_name else "",
            By.CONTENT: sniffed or "",
        }
        by = next((by for by, name in said.items() if name), By.NOTHING)
        return Guess(
            said.get(by, UNKNOWN), by, _named(declared), said[By.NAME], said[By.CONTENT]
        )


def _news(
    sources: Iterable[Iterable[KnownType]], by_name: dict[str, list[KnownType]]
) -> Iterator[KnownType]:
    """Yield what each source adds to those before it, and note it by name."""
    known: dict[str, set[str]] = {}
    for source in sources:
        for entry in source:
            before = known.setdefault(entry.name, set())
            added = tuple(one for one in entry.extensions if one not in before)
            if not added and entry.name in by_name:
                continue
            before.update(added)
            news = entry if added == entry.extensions else attrs.evolve(entry, extensions=added)
            by_name.setdefault(entry.name, []).append(news)
            yield news


def _named(declared: str) -> str:
    try:
        return type_name(declared)
    except ValueError:
        return ""


def _specific(declared: str) -> str:
    name = _named(declared)
    return "" if name in _UNSPECIFIC else name
