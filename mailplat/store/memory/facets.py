"""What an account in memory can do besides."""

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
from mailplat.mail.annotations import is_private, proper_entry
from mailplat.mail.errors import AlreadyExists, NoSuchScript, NotPermitted, TooLarge, TooMany
from mailplat.mail.mailbox import DELETED, MailboxId, ModSeq, UidSet
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Amount, Room
from mailplat.mail.retention import Expunged
from mailplat.mail.scripts import proper_script_name
from mailplat.mail.search import case_folded, search_text
from mailplat.mail.searching import Column, Found
from mailplat.mail.sharing import Rights, proper_rights, split_identifier
from mailplat.mail.structure import scan
from mailplat.store.memory.mail import Mail, What, amount_of

if TYPE_CHECKING:
    from mailplat.store.memory.store import MemoryStore


@implementer(IQuota, IUndelete, ISieveScripts, IAnnotations, ISharing, ISearchable)
class AccountFacets:
    """The facets of one account."""

    id: AccountId
    mail: Mail
    _store: MemoryStore

    # Room.

    async def quota(self) -> Mapping[str, Room]:
        return self.mail.quota.rooms(self.mail.used, await self._store.allowance(self.id))

    async def set_quota(self, limits: Mapping[str, int | None]) -> None:
        allowance = await self._store.allowance(self.id)
        self.mail.quota.change(limits)
        self._store.warn(self.mail, allowance)

    async def expunged(self, since: float = 0.0, name: str = "") -> Sequence[Expunged]:
        return [
            Expunged(
                one.id,
                one.box.id,
                one.box.name,
                one.at,
                one.message.email.content.size,
                one.message.email.received,
                one.message.email.summary,
            )
            for one in reversed(self.mail.kept)
            if one.at >= since and name in ("", one.box.name)
        ]

    async def undelete(self, ids: Sequence[str]) -> int:
        allowance = await self._store.allowance(self.id)
        mail, now = self.mail, self._store.now()
        back = [one for one in mail.kept if one.id in ids]
        if not back:
            return 0
        mail.quota.insist(
            mail.used, amount_of([one.message for one in back]), Amount(), allowance
        )
        mail.modseq += 1
        for one in back:
            box = mail.home(one.box, now)
            mail.put(box, [(one.message.email, one.message.flags - {DELETED})], now)
            mail.kept.remove(one)
        self._store.tell(mail)
        self._store.warn(mail, allowance)
        return len(back)

    # Scripts.

    async def scripts(self) -> Mapping[str, bool]:
        return {name: name == self.mail.active for name in sorted(self.mail.scripts)}

    async def script(self, name: str) -> bytes:
        try:
            return self.mail.scripts[name]
        except KeyError:
            raise NoSuchScript(f"{self.id} has no script {name!r}") from None

    async def check_script_room(self, name: str, size: int) -> None:
        limits, there = self._store.limits, self.mail.scripts
        if size > limits.sieve_script:
            raise TooLarge(f"a script of {size} octets")
        if proper_script_name(name) not in there and len(there) >= limits.sieve_scripts:
            raise TooMany(f"{self.id} has {len(there)} scripts already")

    async def put_script(self, name: str, octets: bytes) -> None:
        await self.check_script_room(name, len(octets))
        self.mail.scripts[proper_script_name(name)] = octets

    async def activate(self, name: str) -> None:
        if name:
            await self.script(name)
        self.mail.active = name

    async def rename_script(self, old: str, new: str) -> None:
        new = proper_script_name(new)
        octets = await self.script(old)
        if new in self.mail.scripts:
            raise AlreadyExists(f"there is a script {new!r}")
        self.mail.scripts[new] = octets
        del self.mail.scripts[old]
        if self.mail.active == old:
            self.mail.active = new

    async def remove_script(self, name: str) -> None:
        await self.script(name)
        if name == self.mail.active:
            raise NotPermitted(f"the script {name!r} is active")
        del self.mail.scripts[name]

    # Annotations.

    async def annotations(
        self, mailbox: MailboxId | None, reader: AccountId | None = None
    ) -> Mapping[str, bytes]:
        if mailbox is not None:
            self.mail.box(mailbox)
        seen = ("", reader or self.id)
        return {
            entry: octets
            for (box, who, entry), octets in sorted(
                self.mail.annotations.items(), key=lambda item: item[0][2]
            )
            if box == mailbox and who in seen
        }

    async def annotate(
        self,
        mailbox: MailboxId | None,
        entries: Mapping[str, bytes | None],
        reader: AccountId | None = None,
    ) -> ModSeq:
        mail, limits = self.mail, self._store.limits
        box = None if mailbox is None else mail.box(mailbox)
        after = dict(mail.annotations)
        for name, octets in entries.items():
            entry = proper_entry(name)
            key = (mailbox, (reader or self.id) if is_private(entry) else "", entry)
            if octets is None:
                after.pop(key, None)
            elif len(octets) > limits.annotation:
                raise TooLarge(f"an annotation of {len(octets)} octets")
            else:
                after[key] = octets
        if sum(key[0] == mailbox for key in after) > limits.annotations:
            raise TooMany("there would be too many annotations")
        mail.annotations = after
        mail.modseq += 1
        if box:
            mail.note(What.EDITED, box)
        else:
            mail.annotated = mail.modseq
        self._store.tell(mail)
        return ModSeq(mail.modseq)

    # Search.

    async def search_text(
        self,
        mailbox: MailboxId,
        words: Sequence[str],
        columns: Collection[Column] = tuple(Column),
    ) -> Found:
        wanted = [case_folded(word) for word in words]
        found, unsure = [], []
        for uid, message in self.mail.box(mailbox).messages.items():
            octets = message.email.content.octets
            text = search_text(octets, scan(octets))
            parts = [getattr(text, column.value) for column in columns]
            if all(any(word in part for part in parts) for word in wanted):
                found.append(uid)
            elif not text.is_whole:
                unsure.append(uid)
        return Found(UidSet.from_sorted(found), UidSet.from_sorted(unsure))

    # Sharing.

    async def rights(self, mailbox: MailboxId) -> Mapping[str, Rights]:
        self.mail.box(mailbox)
        return dict(self.mail.rights.get(mailbox, {}))

    async def set_rights(self, mailbox: MailboxId, identifier: str, rights: Rights) -> None:
        mail, box = self.mail, self.mail.box(mailbox)
        name, _ = split_identifier(identifier)
        if name == self.id:
            raise NotPermitted("the owner's rights are what they are")
        after = {**mail.rights.get(mailbox, {}), identifier: proper_rights(rights)}
        after = {who: letters for who, letters in after.items() if letters}
        if len(after) > self._store.limits.sharers:
            raise TooMany("there would be too many rights")
        mail.rights[mailbox] = after
        mail.modseq += 1
        mail.note(What.EDITED, box)
        self._store.tell(mail)
