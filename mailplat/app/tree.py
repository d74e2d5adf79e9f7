"""The tree of rooms that one configuration asked for, and its life."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from typing import ClassVar, TypeVar

import attrs
from twisted.logger import Logger

from mailplat.app.config import Configuration
from mailplat.app.parts import Made
from mailplat.app.tables import STORES
from mailplat.interfaces import IMailStore, IPortal
from mailplat.mail.errors import Unsupported

T = TypeVar("T")


@attrs.frozen(eq=False)
class Tree:
    """All that one configuration asked for, made and joined."""

    log: ClassVar[Logger] = Logger()

    configuration: Configuration
    made: tuple[Made, ...]

    def find(self, kind: type[T]) -> T:
        """Return the one thing of a kind; `LookupError` if there isn't exactly one."""
        found = [made.thing for made in self.made if kind in made.part.provides]
        if len(found) != 1:
            raise LookupError(f"there are {len(found)} of {kind.__name__}")
        thing: T = found[0]
        return thing

    @property
    def stores(self) -> Mapping[str, IMailStore]:
        """All stores, by instance name."""
        return {m.part.instance: m.thing for m in self.made if IMailStore in m.part.provides}

    @property
    def store(self) -> IMailStore:
        """The only store, or of several the one called as the only one would be.

        Raises `Unsupported` where none is called so.
        """
        made = [one for one in self.made if IMailStore in one.part.provides]
        meant = made if len(made) == 1 else [one for one in made if one.part.is_main]
        if len(meant) != 1:
            raise Unsupported(f"there are several stores, and none is called {STORES.instance}")
        store: IMailStore = meant[0].thing
        return store

    def portals(self) -> Mapping[str, IPortal]:
        """Return the portals by instance name."""
        return {m.part.instance: m.thing for m in self.made if IPortal in m.part.provides}

    async def prepare(self, before: Tree | None = None) -> None:
        """Let everything new make itself ready, neighbours first."""
        old = {id(made.thing) for made in before.made} if before else set()
        for made in self.made:
            if id(made.thing) not in old and hasattr(made.thing, "prepare"):
                await _done(made.thing.prepare())

    async def finish(self, others: Iterable[Tree] = ()) -> None:
        """Let everything that no other tree uses let go, neighbours last."""
        kept = {id(made.thing) for tree in others for made in tree.made}
        for made in reversed(self.made):
            if id(made.thing) not in kept and hasattr(made.thing, "finish"):
                try:
                    await _done(made.thing.finish())
                except Exception:  # noqa: BLE001 - one that fails may not keep the others from it
                    self.log.failure("{part} did not finish", part=made.part.name)


async def _done(answer: Awaitable[None] | None) -> None:
    """Wait for what need not be waited for in every component."""
    if answer is not None:
        await answer
