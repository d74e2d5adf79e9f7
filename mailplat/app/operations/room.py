"""Room: how much accounts have and take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mailplat.app.operations.desk import Desk
from mailplat.interfaces import IAllowances, IQuota, IUsage
from mailplat.mail.errors import BadParameter, Unsupported
from mailplat.mail.people import Account, AccountId
from mailplat.mail.quota import MESSAGE, STORAGE, Room, Usage, rooms
from mailplat.plugin import size

Row = dict[str, Any]

NO_LIMIT, HOUSE = "none", "house"
LARGEST = 2**63 - 1  # that IMAP can say (RFC 9208, section 4.1) and a database can keep


async def set_quota(desk: Desk, name: str, storage: str = "", messages: str = "") -> Row:
    """Return an account's room, after setting those of its limits that are given.

    A limit is an amount, ``none`` for no limit, or ``house`` for the house's.
    """
    account = await desk.account(name)
    mail = await desk.store.open(account.id)
    if not IQuota.providedBy(mail):
        raise Unsupported("this store doesn't bound its accounts' room")
    quota: IQuota = mail
    found = await quota.quota()
    own = {resource: room.limit for resource, room in found.items() if room.is_own}
    for resource, text in ((STORAGE, storage), (MESSAGE, messages)):
        if text == HOUSE:
            own.pop(resource, None)
        elif text:
            own[resource] = _limit(resource, text)
    if storage or messages:
        await quota.set_quota(own)
        found = await quota.quota()
    return {"name": account.name, **_rows(found)}


def _limit(resource: str, text: str) -> int | None:
    if text == NO_LIMIT:
        return None
    try:
        limit = _octets(text) if resource == STORAGE else _count(text)
        if limit > LARGEST:
            raise ValueError(f"at most {LARGEST} can be counted")
    except (ValueError, OverflowError) as problem:
        raise BadParameter(f"{text[:50]!r} is no limit: {problem}") from None
    return limit


def _octets(text: str) -> int:
    return int(text) if text.isdigit() else size(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("expected a number of messages")
    return int(text)


def _rows(found: Mapping[str, Room]) -> Row:
    return {
        "storage": attrs.asdict(found[STORAGE]),
        "messages": attrs.asdict(found[MESSAGE]),
    }


async def usage(desk: Desk) -> Mapping[AccountId, Usage] | None:
    """Return what each account takes, if the store can tell."""
    store = desk.store
    if not IUsage.providedBy(store):
        return None
    facet: IUsage = store
    found: Mapping[AccountId, Usage] = await facet.usage()
    return found


async def rooms_of(desk: Desk, account: Account, used: Mapping[AccountId, Usage]) -> Row:
    """Return an account's room as `set_quota` does, out of what all accounts take."""
    allowance = await desk.tree.find(IAllowances).allowance(account.id)
    one = used.get(account.id, Usage())
    return _rows(rooms(one.amount, allowance, one.own))
