"""The store: what it holds, and whether contents are still what they were."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mailplat.app.operations.desk import Desk
from mailplat.app.operations.retention import kept_of_all
from mailplat.interfaces import IContentStore, IExaminedContents
from mailplat.mail.errors import NoSuchMessage, StoreFailed

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


async def examine(desk: Desk) -> list[Row]:
    """Read every content, and return those that are damaged or can't be read, by place.

    Takes as long as the disk takes to read all mail.
    """
    return [
        {"place": name, **await _examined(place)}
        for name, place in _places(desk)
        if IExaminedContents.providedBy(place)
    ]


async def _examined(place: Any) -> Row:
    count, damaged, after = 0, list[str](), ""
    while keys := await place.scan(after):
        after = keys[-1]
        for key in keys:
            try:
                sound = await place.is_sound(key)
            except NoSuchMessage:
                continue  # it has been removed since, or was never finished
            except StoreFailed:
                sound = False
            count += 1
            damaged += [] if sound else [key]
    return {"contents": count, "damaged": damaged}
