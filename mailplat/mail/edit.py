"""Changes to a message that leave every untouched octet as it was."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from mailplat.mail.content import Content, Octets, Piece, join
from mailplat.mail.header import Header, name_of
from mailplat.mail.words import encoded

Step = Callable[[list[bytes]], list[bytes]]


@attrs.frozen
class Edits:
    """A plan of changes to a message, in the order in which they are made.

    Nothing happens until the plan is applied; plans of several filters are
    added up with ``+``.  What can't be a field raises `ValueError` at once.
    """

    steps: tuple[Step, ...] = ()

    def add(self, name: bytes, text: str) -> Edits:
        """Put a field above all others."""
        return Edits((*self.steps, Add(encoded(_checked(name), text))))

    def replace(self, name: bytes, text: str) -> Edits:
        """Give the topmost field of that name another body; add it below where there is none."""
        return Edits((*self.steps, Replace(_checked(name).lower(), encoded(name, text))))

    def remove(self, name: bytes) -> Edits:
        """Take away every field of that name."""
        return Edits((*self.steps, Remove(_checked(name).lower())))

    def __add__(self, other: Edits) -> Edits:
        return Edits(self.steps + other.steps)

    def __bool__(self) -> bool:
        return bool(self.steps)

    def apply(self, header: Header) -> Header:
        """Return the header as the plan wants it."""
        lines = list(header.lines)
        for step in self.steps:
            lines = step(lines)
        return Header.of_lines(lines)


def _checked(name: bytes) -> bytes:
    if not isinstance(name, bytes):
        raise ValueError(f"a field's name is bytes, not {name!r:.100}")  # noqa: TRY004
    return name


@attrs.frozen
class Add:
    """Puts a field on top."""

    field: bytes

    def __str__(self) -> str:
        return f"adds {name_of(self.field).decode()}"

    def __call__(self, lines: list[bytes]) -> list[bytes]:
        return [self.field, *lines]


@attrs.frozen
class Replace:
    """Puts a field in the place of the first of its name, or else below all others."""

    name: bytes
    field: bytes

    def __str__(self) -> str:
        return f"replaces {name_of(self.field).decode()}"

    def __call__(self, lines: list[bytes]) -> list[bytes]:
        for place, line in enumerate(lines):
            if name_of(line).lower() == self.name:
                return [*lines[:place], self.field, *lines[place + 1 :]]
        return [*ended(lines), self.field]


@attrs.frozen
class Remove:
    """Leaves out every field of one name."""

    name: bytes

    def __str__(self) -> str:
        return f"removes {self.name.decode('ascii', 'replace')}"

    def __call__(self, lines: list[bytes]) -> list[bytes]:
        return [line for line in lines if name_of(line).lower() != self.name]


def ended(lines: list[bytes]) -> list[bytes]:
    """Return the lines with an end to the last, so that another can follow."""
    if lines and not lines[-1].endswith(b"\n"):
        return [*lines[:-1], lines[-1] + b"\r\n"]
    return lines


def with_header(content: Content, old: Header, new: Header) -> Content:
    """Return ``content``, whose header is ``old``, with the header ``new``; nothing is copied.

    Only what lies in memory as a whole is put together anew.
    """
    if old.octets == new.octets:
        return content
    start = len(old.octets)
    if isinstance(content, Octets):
        return Octets(new.octets + content.octets[start:])
    return join(Octets(new.octets), Piece(content, start, content.size))
