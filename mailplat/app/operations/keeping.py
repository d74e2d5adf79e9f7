"""Keeping a house safe: backups, putting mail back, and looking for what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from mailplat.app.keeping.making import Maker, taking_turns
from mailplat.app.keeping.manifest import Backup
from mailplat.app.keeping.single import Restorer
from mailplat.app.operations.desk import Desk
from mailplat.interfaces import IDirectoryAdmin, IHeldContents, IMailStore, IVerified
from mailplat.mail.finding import Finding

MOST = 1000  # findings that are told


async def backup(
    desk: Desk, target: str, keep: int = 0, journal: bool = True, hurry: bool = False
) -> dict[str, Any]:
    """Make a generation in the folder ``target``, and forget all but the newest ``keep``.

    Beside a server it takes turns, so that half of the disk's time is the server's,
    unless there is ``hurry``.  Repeated, it makes another one.
    """
    slowly = desk.listening is not None and not hurry
    maker = Maker(
        desk.tree.configuration,
        desk.ground,
        Backup(Path(target)),
        taking_turns(desk.ground) if slowly else None,
    )
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
) -> dict[str, Any]:
    """Add an account's messages of then below a mailbox of now; a repeat adds nothing."""
    kept = Backup(Path(target))
    manifest = await desk.ground.workers.files.ask(kept.manifest, generation)
    restorer = Restorer(desk.tree.configuration, desk.ground, desk.tree, kept)
    return await restorer.restore(manifest, account, mailbox, into)


async def verify(desk: Desk, mend: bool = False) -> dict[str, Any]:
    """Look through all that is kept for what can't be right, and mend what can be."""
    damage = await desk.ground.database.examine()
    found = [Finding("the database is damaged", detail=words) for words in damage]
    directory = desk.directory
    if IVerified.providedBy(directory):
        found += await directory.verify(mend)
    accounts = None
    if IDirectoryAdmin.providedBy(directory):
        accounts = {account.id for account in await desk.people.accounts()}
    store = desk.tree.find(IMailStore)
    if IVerified.providedBy(store):
        found += await store.verify(mend, accounts)
    told = found[:MOST]
    return {
        "findings": [{**attrs.asdict(one), "text": str(one)} for one in told],
        "more": len(found) - len(told),
        "mended": sum(bool(one.mended) for one in found),
        "left": sum(not one.mended for one in found),
    }
