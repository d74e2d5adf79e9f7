"""What an account in the index can do besides."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from zope.interface import implementer

from mailplat.interfaces import (
    IAnnotations,
    IQuota,
    ISearchable,
    ISharing,
    ISieveScripts,
    IUndelete,
)
from mailplat.mail.mailbox import MailboxId, ModSeq
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Room
from mailplat.mail.retention import Expunged
from mailplat.mail.searching import Column, Found
from mailplat.mail.sharing import Rights
from mailplat.sql import Database
from mailplat.store.indexed import queries

if TYPE_CHECKING:
    from mailplat.store.indexed.store import IndexedStore


@implementer(IQuota, IUndelete, ISieveScripts, IAnnotations, ISharing, ISearchable)
class AccountFacets:
    """The facets of one account, each in some lines."""

    id: AccountId
    database: Database
    _store: IndexedStore

    # Room.

    async def quota(self) -> Mapping[str, Room]:
        allowance = await self._store.rooms.allowance(self.id)
        return await self.database.read(queries.room.quota, self.id, allowance)

    async def set_quota(self, limits: Mapping[str, int | None]) -> None:
        await self._store.rooms.change(self.id, limits)

    async def expunged(self, since: float = 0.0, name: str = "") -> Sequence[Expunged]:
        return await self.database.read(queries.expunged.expunged, self.id, since, name)

    async def undelete(self, ids: Sequence[str]) -> int:
        allowance = await self._store.rooms.allowance(self.id)
        count: int = await self._store.commit(
            queries.expunged.undelete, self.id, ids, self._store.now(), allowance
        )
        return count

    # Scripts.

    async def scripts(self) -> Mapping[str, bool]:
        return await self.database.read(queries.scripts.scripts, self.id)

    async def script(self, name: str) -> bytes:
        return await self.database.read(queries.scripts.script, self.id, name)

    async def check_script_room(self, name: str, size: int) -> None:
        await self.database.read(
            queries.scripts.check_room, self.id, name, size, self._store.limits
        )

    async def put_script(self, name: str, octets: bytes) -> None:
        await self.database.write(
            queries.scripts.put, self.id, name, octets, self._store.limits
        )

    async def activate(self, name: str) -> None:
        await self.database.write(queries.scripts.activate, self.id, name)

    async def rename_script(self, old: str, new: str) -> None:
        await self.database.write(queries.scripts.rename, self.id, old, new)

    async def remove_script(self, name: str) -> None:
        await self.database.write(queries.scripts.remove, self.id, name)

    # Annotations.

    async def annotations(
        self, mailbox: MailboxId | None, reader: AccountId | None = None
    ) -> Mapping[str, bytes]:
        return await self.database.read(
            queries.annotations.entries_of, self.id, mailbox, reader or self.id
        )

    async def annotate(
        self,
        mailbox: MailboxId | None,
        entries: Mapping[str, bytes | None],
        reader: AccountId | None = None,
    ) -> ModSeq:
        modseq: ModSeq = await self._store.commit(
            queries.annotations.annotate,
            self.id,
            mailbox,
            reader or self.id,
            entries,
            self._store.now(),
            self._store.limits,
        )
        return modseq

    # Search.

    async def search_text(
        self,
        mailbox: MailboxId,
        words: Sequence[str],
        columns: Collection[Column] = tuple(Column),
    ) -> Found:
        return await self._store.search(self.id, mailbox, words, columns)

    # Sharing.

    async def rights(self, mailbox: MailboxId) -> Mapping[str, Rights]:
        return await self.database.read(queries.sharing.rights, self.id, mailbox)

    async def set_rights(self, mailbox: MailboxId, identifier: str, rights: Rights) -> None:
        await self._store.commit(
            queries.sharing.set_rights,
            self.id,
            mailbox,
            identifier,
            rights,
            self._store.now(),
            self._store.limits,
        )
