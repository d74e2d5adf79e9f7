"""One account's mail as a session sees it."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs
from zope.interface import implementer

from mailplat.interfaces import IAccount, ICursor, IRestorable
from mailplat.mail.content import Content, whole
from mailplat.mail.errors import AlreadyExists, NoSuchMessage, NotPermitted
from mailplat.mail.mailbox import (
    BATCH_OCTETS,
    INBOX,
    SEPARATOR,
    Appended,
    Batch,
    Changes,
    FlagChange,
    Flagged,
    Mailbox,
    MailboxChanges,
    MailboxEdit,
    MailboxId,
    MailboxIndex,
    ModSeq,
    Moved,
    NewMessage,
    Record,
    Replaced,
    Role,
    Uid,
    UidSet,
    Wanted,
    names_above,
    narrow,
    proper_name,
)
from mailplat.mail.quota import Amount
from mailplat.mail.restoring import Restored
from mailplat.store.memory.facets import AccountFacets
from mailplat.store.memory.mail import Box, Email, Mail, Message, What, amount_of
from mailplat.store.memory.restoring import restore, restore_mailboxes

if TYPE_CHECKING:
    from mailplat.store.memory.store import MemoryStore

BATCH = 100  # messages in one batch of a cursor


@implementer(ICursor)
@attrs.define
class MemoryCursor:
    """Walks a mailbox by UID, so that it holds nothing between two batches."""

    _mail: Mail
    _mailbox: MailboxId
    _uids: UidSet
    _wanted: Wanted

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._uids = UidSet()

    async def next_batch(self) -> Batch | None:
        found = self._fitting(self._mail.box(self._mailbox).pick(self._uids)[:BATCH])
        if not found:
            return None
        self._uids -= UidSet(((0, found[-1].uid),))
        emails = [message.email for message in found]
        wanted = self._wanted
        return Batch(
            uids=[message.uid for message in found],
            modseqs=[message.modseq for message in found],
            email_ids=[email.id for email in emails],
            thread_ids=[email.thread for email in emails],
            sizes=[email.content.size for email in emails],
            received=[email.received for email in emails],
            saved=[message.saved for message in found],
            flags=[message.flags for message in found] if Wanted.FLAGS in wanted else (),
            summaries=[email.summary for email in emails] if Wanted.SUMMARY in wanted else (),
            contents=[email.content.octets for email in emails]
            if Wanted.CONTENT in wanted
            else (),
        )

    def _fitting(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the first messages whose octets fit into a batch, but at least one."""
        room = BATCH_OCTETS
        for count, message in enumerate(messages):
            room -= len(message.email.summary) * (Wanted.SUMMARY in self._wanted)
            room -= message.email.content.size * (Wanted.CONTENT in self._wanted)
            if room < 0:
                return messages[: max(count, 1)]
        return messages


@implementer(IAccount, IRestorable)
class MemoryAccount(AccountFacets):
    """One account's mail, for one session."""

    def __init__(self, store: MemoryStore, mail: Mail) -> None:
        self.id = mail.id
        self.mail = mail
        self.held: set[Email] = set()
        self._store = store

    async def mailboxes(self) -> Sequence[Mailbox]:
        shown = [
            box.shown(box.name in self.mail.subscribed) for box in self.mail.boxes.values()
        ]
        return sorted(shown, key=lambda box: (box.name != INBOX, box.name))

    async def subscriptions(self) -> Collection[str]:
        return frozenset(self.mail.subscribed)

    async def create(self, name: str, role: Role = Role.NONE) -> Mailbox:
        name = proper_name(name)
        self._refuse_taken(name)
        self._refuse_role(role)
        self.mail.modseq += 1
        box = self.mail.make(name, role, self._store.now())
        return self._changed(box)

    async def edit(self, mailbox: MailboxId, edit: MailboxEdit) -> Mailbox:
        mail, box = self.mail, self.mail.box(mailbox)
        old, new = box.name, box.name if edit.name is None else proper_name(edit.name)
        role = box.role if edit.role is None else edit.role
        if role is not box.role:
            self._refuse_role(role)
        if box.role is Role.INBOX and (new, role) != (old, box.role):
            raise NotPermitted("INBOX stays what it is")
        if new != old:
            self._refuse_taken(new)
            if new.startswith(old + SEPARATOR):
                raise NotPermitted("a mailbox can't be put into itself")
        renamed = [
            (other, proper_name(new + other.name.removeprefix(old)))
            for other in mail.boxes.values()
            if new != old and f"{other.name}{SEPARATOR}".startswith(old + SEPARATOR)
        ]
        mail.modseq += 1
        for above in names_above(new):
            if not mail.find(above):
                mail.make(above, Role.NONE, self._store.now())
        for other, name in renamed:
            other.name = name
            mail.note(What.EDITED, other)
        box.role = role
        mail.note(What.EDITED, box)
        return self._changed(box)

    async def remove(self, mailbox: MailboxId) -> None:
        mail, box = self.mail, self.mail.box(mailbox)
        if box.role is Role.INBOX:
            raise NotPermitted("INBOX can't be removed")
        if any(other.name.startswith(box.name + SEPARATOR) for other in mail.boxes.values()):
            raise NotPermitted("there are mailboxes in it")
        self._store.remember(mail, box.messages.values())
        self._store.keep(mail, box, box.messages.values())
        mail.modseq += 1
        mail.note(What.GONE, mail.boxes.pop(mailbox))
        mail.rights.pop(mailbox, None)
        mail.annotations = {
            key: one for key, one in mail.annotations.items() if key[0] != mailbox
        }
        self._store.tell(mail)

    async def subscribe(self, names: Collection[str], on: bool) -> None:
        mail = self.mail
        proper = {proper_name(name) for name in names}
        changed = proper - mail.subscribed if on else proper & mail.subscribed
        mail.subscribed ^= changed
        if boxes := [box for box in mail.boxes.values() if box.name in changed]:
            mail.modseq += 1
            for box in boxes:
                mail.note(What.EDITED, box)
            self._store.tell(mail)

    async def index(self, mailbox: MailboxId) -> MailboxIndex:
        messages = self.mail.box(mailbox).messages.values()
        numbers: dict[frozenset[str], int] = {}
        flags = [numbers.setdefault(m.flags, len(numbers)) for m in messages]
        return MailboxIndex(
            modseq=ModSeq(self.mail.modseq),
            uids=array("I", [message.uid for message in messages]),
            flags=narrow(flags, len(numbers)),
            flag_sets=tuple(numbers),
            modseqs=array("Q", [message.modseq for message in messages]),
        )

    def records(
        self, mailbox: MailboxId, uids: UidSet, wanted: Wanted = Wanted.NOTHING
    ) -> MemoryCursor:
        return MemoryCursor(self.mail, mailbox, uids, wanted)

    async def content(self, record: Record) -> Content:
        email = self.mail.emails.get(record.email_id)
        if email is None:
            raise NoSuchMessage(f"{self.id} has no message {record.email_id}")
        return email.content

    async def append(
        self,
        mailbox: MailboxId,
        messages: Sequence[NewMessage],
        replacing: Replaced | None = None,
    ) -> Sequence[Appended]:
        octets = [await whole(message.content) for message in messages]
        allowance = await self._store.allowance(self.id)
        mail, box, now = self.mail, self.mail.box(mailbox), self._store.now()
        replaced = (
            mail.box(replacing.mailbox).pick(UidSet.of(replacing.uid)) if replacing else []
        )
        if replacing and not replaced:
            raise NoSuchMessage(f"{replacing} has gone")
        if not messages:
            return []
        coming = Amount(sum(map(len, octets)), len(octets))
        mail.quota.insist(mail.used, coming, amount_of(replaced), allowance)
        mail.modseq += 1
        emails = [
            (mail.keep(message, octets, now), mail.spelt(message.flags))
            for message, octets in zip(messages, octets, strict=True)
        ]
        uids = mail.put(box, emails, now)
        if replacing:
            self._store.remember(mail, replaced)
            mail.drop(mail.box(replacing.mailbox), replaced)
        self._store.tell(mail)
        self._store.warn(mail, allowance)
        return [
            Appended(Uid(uid), ModSeq(mail.modseq), email.id, email.thread)
            for uid, (email, _) in zip(uids, emails, strict=True)
        ]

    async def flag(
        self,
        mailbox: MailboxId,
        uids: UidSet,
        change: FlagChange,
        unless_after: ModSeq | None = None,
    ) -> Flagged:
        mail, box = self.mail, self.mail.box(mailbox)
        change = attrs.evolve(change, flags=mail.spelt(change.flags))
        failed, changed = [], []
        for message in box.pick(uids):
            if unless_after is not None and message.modseq > unless_after:
                failed.append(message.uid)
            elif message.flags != change.applied_to(message.flags):
                changed.append(message)
        if changed:
            mail.modseq += 1
            for message in changed:
                message.flags = change.applied_to(message.flags)
                message.modseq = mail.modseq
            mail.note(What.CHANGED, box, UidSet.from_sorted(m.uid for m in changed))
            self._store.tell(mail)
        return Flagged(
            ModSeq(mail.modseq),
            UidSet.from_sorted(m.uid for m in changed),
            UidSet.from_sorted(failed),
        )

    async def move(
        self, mailbox: MailboxId, uids: UidSet, target: MailboxId, keep: bool = False
    ) -> Moved:
        allowance = await self._store.allowance(self.id)
        mail, box, goal = self.mail, self.mail.box(mailbox), self.mail.box(target)
        moved = box.pick(uids)
        if moved:
            if keep:
                mail.quota.insist(mail.used, amount_of(moved), Amount(), allowance)
            mail.modseq += 1
        given = mail.put(goal, [(m.email, m.flags) for m in moved], self._store.now())
        if not keep:
            mail.drop(box, moved)
        if moved:
            self._store.tell(mail)
            self._store.warn(mail, allowance)
        return Moved(
            goal.uid_validity,
            tuple(message.uid for message in moved),
            tuple(given),
            ModSeq(mail.modseq),
        )

    async def expunge(self, mailbox: MailboxId, uids: UidSet) -> UidSet:
        mail, box = self.mail, self.mail.box(mailbox)
        messages = box.pick(uids)
        if messages:
            self._store.remember(mail, messages)
            self._store.keep(mail, box, messages)
            mail.modseq += 1
        gone = mail.drop(box, messages)
        if gone:
            self._store.tell(mail)
        return gone

    async def changes(self, since: ModSeq, mailbox: MailboxId | None = None) -> Changes:
        if mailbox is not None:
            self.mail.box(mailbox)
        if since < self.mail.forgotten:
            return Changes(ModSeq(self.mail.modseq), complete=False)
        seen: dict[What, dict[MailboxId, UidSet]] = {what: {} for what in What}
        annotated = self.mail.annotated > since and mailbox is None
        for modseq, what, box, uids in self.mail.log:
            if modseq > since and mailbox in (None, box):
                seen[what][box] = seen[what].get(box, UidSet()) | uids
        made, edited, gone = (frozenset(seen[w]) for w in (What.MADE, What.EDITED, What.GONE))
        return Changes(
            modseq=ModSeq(self.mail.modseq),
            mailboxes=tuple(
                MailboxChanges(box, added - removed, changed - added - removed, removed - added)
                for box in self.mail.boxes
                for added, changed, removed in [
                    [
                        seen[what].get(box, UidSet())
                        for what in (What.ADDED, What.CHANGED, What.REMOVED)
                    ]
                ]
                if added or changed or removed
            ),
            made=made - gone,
            edited=edited - made - gone,
            removed=gone - made,
            annotated=annotated,
        )

    async def restore_mailboxes(
        self, mailboxes: Sequence[Mailbox], subscribed: Collection[str], modseq: ModSeq
    ) -> Sequence[MailboxId]:
        return restore_mailboxes(self.mail, mailboxes, subscribed, modseq)

    async def restore(self, mailbox: MailboxId, messages: Sequence[Restored]) -> None:
        octets = [await whole(one.message.content) for one in messages]
        restore(self.mail, self.mail.box(mailbox), messages, octets)

    def _changed(self, box: Box) -> Mailbox:
        self._store.tell(self.mail)
        return box.shown(box.name in self.mail.subscribed)

    def _refuse_taken(self, name: str) -> None:
        if self.mail.find(name):
            raise AlreadyExists(f"there is a mailbox {name!r}")

    def _refuse_role(self, role: Role) -> None:
        if role is not Role.NONE and any(box.role is role for box in self.mail.boxes.values()):
            raise NotPermitted(f"another mailbox is {role.value}")
