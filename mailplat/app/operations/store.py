"""The store: what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mailplat.app.operations.desk import Desk
from mailplat.app.operations.retention import kept_of_all
from mailplat.interfaces import IContentStore, IExaminedContents

Row = dict[str, Any]


def _places(desk: Desk) -> Iterator[tuple[str, IContentStore]]:
    """Return the places of contents, each with its name."""
    for made in desk.tree.made:
        if IContentStore in made.part.provides:
            yield made.part.name, made.thing


async def usage(desk: Desk) -> dict[str, Any]:
    """Return messages and octets by account and mailbox, and what lies in each place.

    All stores are looked at.  A message counts in each mailbox that it has a place in; a
    place holds it once.  Beside that: what was expunged and is kept, and how large the
    database is.
    """
    mailboxes = [
        {
            "store": name,
            "account": account.name,
            "mailbox": box.name,
            "messages": box.messages,
            "octets": box.size,
        }
        for name, store in desk.stores.items()
        for account in await desk.people.accounts()
        for box in await (await store.open(account.id)).mailboxes()
    ]
    contents: list[Row] = []
    for name, place in _places(desk):
        if IExaminedContents.providedBy(place):
            examined: IExaminedContents = place
            count, octets = await examined.used()
            contents.append({"place": name, "contents": count, "octets": octets})
    return {"mailboxes": mailboxes, "contents": contents, **await kept_of_all(desk)}
