"""Keys of the configuration that are no longer what they were in an earlier version."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import attrs

from mailplat.app import toml

if TYPE_CHECKING:
    from mailplat.app.mistakes import Mistake, Source


@attrs.frozen
class Changed:
    """One change to what operators write; ``*`` in its key stands for any instance.

    Exactly one of the last four says what has become of the key.
    """

    key: str  # such as ``portals.*.port``
    since: str  # the version that brought it
    renamed: str = ""  # what it is called now; the old name is refused
    gone: str = ""  # why there is no such key any more
    deprecated: str = ""  # what to write instead, before it is gone
    default: tuple[str, str] = ("", "")  # what was meant where it was left out, and is now

    @property
    def text(self) -> str:
        """What to tell of it."""
        if self.renamed:
            return f"is called {self.renamed} since {self.since}"
        if self.gone:
            return f"is gone since {self.since}: {self.gone}"
        if self.deprecated:
            return f"will go (told since {self.since}): {self.deprecated}"
        before, now = self.default
        return f"left out, it means {now} since {self.since}, and no longer {before}"

    def is_about(self, path: toml.Path) -> bool:
        """Say whether it is about the key at a place in the file."""
        return fnmatchcase(".".join(map(str, path)), self.key)


CHANGED: tuple[Changed, ...] = ()
"""All changes, the newest last.  None so far: there has been one version."""


def what_became_of(path: toml.Path) -> str:
    """Return what to tell of a key that there is no more; nothing, if there never was one."""
    found = [one for one in CHANGED if one.is_about(path) and (one.renamed or one.gone)]
    return found[-1].text if found else ""


def notes_on(source: Source) -> Iterator[Mistake]:
    """Return what to tell of a file that is read without a mistake."""
    for one in CHANGED:
        written = [path for path in source.lines if one.is_about(path)]
        if one.deprecated:
            yield from (source.mistake(path, one.text) for path in written)
        elif any(one.default) and not written:
            table = tuple(one.key.split(".")[:-1])
            if not table or any(path[: len(table)] == table for path in source.lines):
                yield source.mistake(tuple(one.key.split(".")), one.text)
