"""Shows several accounts in one go, so that they wait for the disk together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import attrs

from mailplat.files import Disk
from mailplat.mail.errors import MailError, StoreFailed
from mailplat.mail.placing import Shown, Unshown
from mailplat.store.contents.maildir.folders import Folder
from mailplat.store.contents.maildir.tree import Tree

P = ParamSpec("P")
T = TypeVar("T")


@attrs.frozen
class Telling:
    """What is to be shown of an account."""

    tree: Tree
    mailboxes: Sequence[Shown]
    is_again: bool  # whether it has been shown before, and so has to be there

    @property
    def size(self) -> int:
        """How many messages it is about, at most; those that have gone are not counted."""
        return sum(len(shown.placed) for shown in self.mailboxes)


def show_each(disk: Disk, tellings: Sequence[Telling]) -> list[dict[str, int] | Exception]:
    """Show accounts durably, each for itself; blocks.

    Return of each the UIDs that contents have got which other programs had brought, or
    what went wrong.
    """
    outcomes: list[dict[str, int] | Exception] = []
    changed: list[tuple[int, Folder]] = []  # by their places in the line
    for at, telling in enumerate(tellings):
        try:
            claimed, folders = told(telling.tree.show, telling.mailboxes, telling.is_again)
        except (MailError, Unshown) as problem:
            outcomes.append(problem)
        else:
            outcomes.append(claimed)
            changed += [(at, folder) for folder in folders]
    for at, folder in changed:
        try:
            told(folder.sync, disk)
        except MailError as problem:
            outcomes[at] = problem
    return outcomes


def told(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function, and raise as `StoreFailed` what the file system refuses."""
    try:
        return function(*args, **kwargs)
    except OSError as error:
        raise StoreFailed(f"a maildir can't be worked at: {error}") from error
