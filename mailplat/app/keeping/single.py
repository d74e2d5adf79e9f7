"""Puts one account's mail of a backup back into a house that goes on working."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import attrs

from mailplat.app.config import Configuration, folder_of
from mailplat.app.foundation import Foundation
from mailplat.app.keeping.manifest import Backup, Manifest
from mailplat.app.keeping.restoring import insist_on_sound, put_aside
from mailplat.app.lock import Lock, Locked
from mailplat.app.reading import DAMAGED, batches
from mailplat.app.tables import CONTENTS, DIRECTORY, STORES
from mailplat.app.tree import Tree
from mailplat.app.wiring import build
from mailplat.bus import Bus
from mailplat.interfaces import IAccount, IDeliveryKeys, IDirectory
from mailplat.mail.errors import NoSuchAccount, NoSuchMailbox, Unsupported
from mailplat.mail.mailbox import (
    SEPARATOR,
    Delivery,
    Mailbox,
    NewMessage,
    Placement,
    Record,
    Uid,
    UidSet,
    Wanted,
)
from mailplat.mail.people import AccountId
from mailplat.mail.summary import summary_of
from mailplat.sql import SqliteDatabase

ASIDE = ".restoring."  # in the state folder, with a random end
AT_ONCE = 50  # messages that are added together


@attrs.frozen
class Returned:
    """What came of one mailbox."""

    mailbox: str
    added: int  # messages
    known: int  # messages that had been put back, or had never gone, and are not added twice
    failed: Sequence[str]  # what could not be put back, and why


@attrs.define
class Counts:
    """What one run has gone through."""

    messages: int = 0
    octets: int = 0


@attrs.frozen
class Restorer:
    """Adds an account's messages of then to its mailboxes of now, as new ones.

    Each is a delivery under a key that names it, so a repeat adds nothing, nor does
    another generation in which it lies in the same mailbox under the same UID.
    """

    configuration: Configuration
    foundation: Foundation
    tree: Tree
    backup: Backup
    counts: Counts = attrs.field(factory=Counts)

    async def restore(
        self, manifest: Manifest, name: str, mailbox: str = "", into: str = "Restored"
    ) -> dict[str, Any]:
        """Put one mailbox of an account back, or all of them, below ``into``.

        Raises `NoSuchAccount` if there is none of that name now or then,
        `NoSuchMailbox`, and `Damaged`.
        """
        directory = self.tree.find(IDirectory)
        now = await directory.account(name)
        if now is None:
            raise NoSuchAccount(f"there is no account {name}; `mailplat account add` makes one")
        async with self._house_of_then(manifest) as then:
            account = await then.find(IDirectory).account(name)
            if account is None:
                raise NoSuchAccount(f"{manifest.generation} has no account {name}")
            mail = await then.store.open(account.id)
            boxes = [box for box in await mail.mailboxes() if mailbox in ("", box.name)]
            if not boxes:
                raise NoSuchMailbox(f"{name} had no mailbox {mailbox!r}")
            found = [
                await self._mailbox(mail, box, now.id, f"{into}{SEPARATOR}{box.name}")
                for box in boxes
            ]
        return {
            "generation": manifest.generation,
            "mailboxes": [attrs.asdict(f) for f in found],
        }

    async def _mailbox(self, mail: IAccount, box: Mailbox, account: Any, name: str) -> Returned:
        """Add the messages of a mailbox of then to the one of that name now."""
        store = self.tree.store
        known, failed = 0, list[str]()
        wanted = Wanted.FLAGS | Wanted.CONTENT
        async for batch in batches(mail, box.id, UidSet.all(), wanted):
            for some in _shares(list(batch.records())):
                deliveries: dict[Uid, Delivery] = {}
                for one in some:
                    try:
                        found = await self._delivery(mail, box, one, account, name)
                        deliveries[one.uid] = found
                    except DAMAGED as problem:
                        failed.append(f"UID {one.uid}: {problem}")
                known += await self._known(account, deliveries.values())
                outcomes = await store.deliver(list(deliveries.values()))
                self.counts.messages += len(some)
                self.counts.octets += sum(one.size for one in some)
                failed += [
                    f"UID {uid}: {outcome.detail}"
                    for uid, outcome in zip(deliveries, outcomes, strict=True)
                    if not outcome.status.is_success
                ]
        return Returned(name, box.messages - known - len(failed), known, failed)

    async def _known(self, account: AccountId, deliveries: Iterable[Delivery]) -> int:
        """Return how many of these were made before, as far as the store can tell."""
        if not IDeliveryKeys.providedBy(self.tree.store):
            return 0
        store: IDeliveryKeys = self.tree.store
        return len(await store.known(account, [one.key for one in deliveries]))

    async def _delivery(
        self, mail: IAccount, box: Mailbox, record: Record, account: Any, name: str
    ) -> Delivery:
        content = await mail.content(record)
        message = NewMessage(content, await summary_of(content), received=record.received)
        key = f"restored {name} {box.uid_validity} {record.uid}"
        placement = Placement(name, flags=record.flags or frozenset(), create=True)
        return Delivery(key, account, message, (placement,), lasting=True)

    @asynccontextmanager
    async def _house_of_then(self, manifest: Manifest) -> AsyncIterator[Tree]:
        """Put a generation aside, and open store and directory on it."""
        folder = self.foundation.state / f"{ASIDE}{token_hex(4)}"
        ask = self.foundation.workers.files.ask
        try:
            await ask(_clear_up, self.foundation.state)
            await ask(insist_on_sound, self.backup, manifest)
            await ask(folder.mkdir, 0o700)
            await ask(put_aside, self.backup, manifest, folder)
            async with self._opened(folder) as tree:
                yield tree
        finally:
            await ask(shutil.rmtree, folder, True)

    @asynccontextmanager
    async def _opened(self, folder: Path) -> AsyncIterator[Tree]:
        here = self.foundation
        if not isinstance(here.database, SqliteDatabase):
            raise Unsupported(
                "of a house on PostgreSQL single accounts can't be put back: restore the whole"
                " house into another state folder and another database, and bring the account"
                " from there by `mailplat export` and `mailplat import`"
            )
        for entry in self.configuration.entries_of(CONTENTS):
            place = folder_of(entry, folder)
            if place is None or not place.is_relative_to(folder):  # it would be tidied up
                raise Unsupported(
                    f"the contents of [contents.{entry.name}] do not lie in the state folder:"
                    " restore the whole house elsewhere, and fetch them from there"
                )
        ground = attrs.evolve(
            here,
            state=folder,
            lock=Lock.take(folder),
            database=here.database.at(folder / here.database.path.name),
            journal=here.journal.at(folder / "journal.db"),
            bus=Bus(here.reactor),
            is_of_then=True,
        )
        try:
            await ground.database.open()
            rooms = self.configuration.only(CONTENTS, STORES, DIRECTORY)
            tree = build(_at(rooms, folder), ground)
            try:
                await tree.prepare()
                yield tree
            finally:
                await tree.finish()
        finally:
            await ground.journal.close()
            await ground.database.close()
            ground.lock.release()


def _clear_up(state: Path) -> None:
    """Remove what a run that died has left."""
    for folder in state.glob(f"{ASIDE}*"):
        try:
            Lock.take(folder).release()
        except Locked:
            continue
        shutil.rmtree(folder, ignore_errors=True)


def _at(configuration: Configuration, state: Path) -> Configuration:
    """Return the same house with another state folder."""
    return attrs.evolve(
        configuration, house=configuration.house.model_copy(update={"state": state})
    )


def _shares(records: Sequence[Record]) -> list[Sequence[Record]]:
    return [records[at : at + AT_ONCE] for at in range(0, len(records), AT_ONCE)]
