"""Changes to a message that leave every untouched octet as it was."""

from __future__ import annotations

import attrs


@attrs.frozen
class Edits:
    """A plan of changes to a message, in the order in which they are made.

    Nothing happens until the pipeline applies the plan; plans of several
    filters are added up with ``+``.
    """

    steps: tuple[tuple[str, bytes, str], ...] = ()

    def add(self, name: bytes, text: str) -> Edits:
        """Put a field above all others."""
        return Edits((*self.steps, ("add", name, text)))

    def replace(self, name: bytes, text: str) -> Edits:
        """Give the topmost field of that name another body; add it where there is none."""
        return Edits((*self.steps, ("replace", name, text)))

    def remove(self, name: bytes) -> Edits:
        """Take away every field of that name."""
        return Edits((*self.steps, ("remove", name, "")))

    def __add__(self, other: Edits) -> Edits:
        return Edits(self.steps + other.steps)

    def __bool__(self) -> bool:
        return bool(self.steps)
