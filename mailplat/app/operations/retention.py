"""What was deleted, brought back; and what is kept for whom."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from mailplat.app.operations.desk import Desk
from mailplat.app.operations.room import usage
from mailplat.interfaces import IUndelete, IUsage
from mailplat.mail.errors import BadParameter, Unsupported
from mailplat.mail.retention import Expunged
from mailplat.mail.summary import read_summary
from mailplat.plugin import duration

Row = dict[str, Any]

AT_ONCE = 200  # messages brought back in one step


async def list_expunged(desk: Desk, name: str, since: str = "", mailbox: str = "") -> list[Row]:
    """Return what can be brought back into an account, the latest first.

    ``since`` is a day, a moment, or how long ago: ``2026-11-20``, ``3 days``.
    """
    kept = await _kept(desk, name)
    return [_row(one) for one in await kept.expunged(_moment(since), mailbox)]


async def undelete(desk: Desk, name: str, since: str = "", mailbox: str = "") -> Row:
    """Bring back what was expunged; return how many messages, and where they were.

    That is done in steps, each whole: asked again after a crash it brings back the rest.
    """
    kept = await _kept(desk, name)
    count = 0
    mailboxes: set[str] = set()
    while found := await kept.expunged(_moment(since), mailbox):
        found = list(reversed(found))  # so that the oldest gets the lowest UID
        restored = 0
        for at in range(0, len(found), AT_ONCE):
            some = found[at : at + AT_ONCE]
            restored += await kept.undelete([one.id for one in some])
            mailboxes |= {one.name for one in some}
        count += restored
        if not restored:
            break
    return {"name": name, "messages": count, "mailboxes": sorted(mailboxes)}


async def _kept(desk: Desk, name: str) -> IUndelete:
    account = await desk.account(name)
    mail = await desk.store.open(account.id)
    if not IUndelete.providedBy(mail):
        raise Unsupported("this store keeps nothing that was expunged")
    facet: IUndelete = mail
    return facet


def _moment(since: str) -> float:
    if not since:
        return 0.0
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        pass
    else:
        return moment.timestamp()
    try:
        return time.time() - duration(since).total_seconds()
    except ValueError:
        raise BadParameter(f"{since!r} is no day, and no time such as `3 days`") from None


def _row(one: Expunged) -> Row:
    facts = read_summary(one.summary)
    return {
        "mailbox": one.name,
        "expunged": _date(one.at),
        "received": _date(one.received),
        "size": one.size,
        "from": facts.display_from.decode("utf-8", "replace"),
        "subject": facts.subject.decode("utf-8", "replace"),
    }


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")


async def kept_of_all(desk: Desk) -> Row:
    """Return what is kept of each account's expunged mail, and what the database takes."""
    found = await usage(desk)
    if found is None:
        return {"expunged": [], "database": {}}
    facet: IUsage = IUsage(desk.store)
    rows = [
        {
            "account": account.name,
            "messages": found[account.id].kept.messages,
            "octets": found[account.id].kept.storage,
        }
        for account in await desk.people.accounts()
        if account.id in found and found[account.id].kept.messages
    ]
    return {"expunged": rows, "database": dict(await facet.extent())}
