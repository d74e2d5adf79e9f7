"""Keeping a house safe: backups, putting mail back, and looking for what is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from pathlib import Path
from typing import Any

import attrs

from mailplat.app.keeping.making import Maker, taking_turns
from mailplat.app.keeping.manifest import Backup
from mailplat.app.keeping.single import Restorer
from mailplat.app.operations.desk import Desk
from mailplat.app.operations.lasting import Lasting
from mailplat.interfaces import IDirectoryAdmin, IHeldContents, IVerified, IViewedContents
from mailplat.mail.finding import Finding
from mailplat.mail.people import AccountId

MOST = 1000  # findings that are told


async def backup(
    desk: Desk, target: str, keep: int = 0, journal: bool = True, hurry: bool = False
) -> Lasting:
    """Make a generation in the folder ``target``, and forget all but the newest ``keep``.

    Beside a server it takes turns, so that half of the disk's time is the server's,
    unless there is ``hurry``.  Repeated, it makes another one; one that was ended is none,
    and the next goes on with what it has kept.
    """
    slowly = desk.listening is not None and not hurry
    maker = Maker(
        desk.tree.configuration,
        desk.ground,
        Backup(Path(target)),
        taking_turns(desk.ground) if slowly else None,
        [m.thing for m in desk.tree.made if IViewedContents.providedBy(m.thing)],
    )
    work = _held(desk, maker, keep, journal)
    return Lasting(desk.ground.reactor, work, lambda: attrs.asdict(maker.counts))


async def _held(desk: Desk, maker: Maker, keep: int, journal: bool) -> dict[str, Any]:
    """Make a generation while no store lets go of contents."""
    stores = [m.thing for m in desk.tree.made if IHeldContents.providedBy(m.thing)]
    let_go = [store.hold() for store in stores]
    try:
        return await maker.make(keep, journal)
    finally:
        for one in let_go:
            one()


async def restore_account(
    desk: Desk,
    target: str,
    account: str,
    mailbox: str = "",
    generation: str = "",
    into: str = "Restored",
) -> Lasting:
    """Add an account's messages of then below a mailbox of now; a repeat adds nothing."""
    kept = Backup(Path(target))
    manifest = await desk.ground.workers.files.ask(kept.manifest, generation)
    restorer = Restorer(desk.tree.configuration, desk.ground, desk.tree, kept)
    work = restorer.restore(manifest, account, mailbox, into)
    return Lasting(desk.ground.reactor, work, lambda: attrs.asdict(restorer.counts))


async def verify(desk: Desk, mend: bool = False) -> dict[str, Any]:
    """Look through all that is kept for what can't be right, and mend what can be.

    What can't be looked through is a finding, and keeps nobody from looking at the rest.
    """
    found = await _looked("the database", _pages(desk))
    directory = desk.directory
    if IVerified.providedBy(directory):
        found += await _looked("the directory", directory.verify(mend))
    accounts: Collection[AccountId] | None = None
    try:
        if IDirectoryAdmin.providedBy(directory):
            accounts = {account.id for account in await desk.people.accounts()}
    except Exception as problem:  # noqa: BLE001 - damage may do anything
        found.append(Finding("the accounts can't be listed", detail=str(problem)))
    for name, store in desk.stores.items():
        if IVerified.providedBy(store):
            found += await _looked(f"the store {name}", store.verify(mend, accounts))
    found += await _looked("the queue", desk.queue.verify(mend))
    found = list(dict.fromkeys(found))  # two stores may be one and the same
    told = found[:MOST]
    return {
        "findings": [{**attrs.asdict(one), "text": str(one)} for one in told],
        "more": len(found) - len(told),
        "mended": sum(bool(one.mended) for one in found),
        "left": sum(not one.mended for one in found),
    }


async def _looked(where: str, look: Awaitable[Sequence[Finding]]) -> list[Finding]:
    try:
        return list(await look)
    except Exception as problem:  # noqa: BLE001 - damage may do anything
        return [Finding(f"{where} can't be looked through", detail=str(problem))]


async def _pages(desk: Desk) -> Sequence[Finding]:
    damage = await desk.ground.database.examine()
    return [Finding("the database is damaged", detail=words) for words in damage]
