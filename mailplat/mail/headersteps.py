"""Changes to one header block: the steps of which a plan of edits consists."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from mailplat.mail.header import name_of

Step = Callable[[list[bytes]], list[bytes]]
"""Takes a header's logical lines and returns what becomes of them; its `str` goes on record."""


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


def is_of_content(line: bytes) -> bool:
    """Say whether a logical line is a field that is about a body (RFC 2045 section 3)."""
    return name_of(line)[:8].lower() == b"content-"
