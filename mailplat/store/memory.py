"""The contract's meaning in the fewest lines; what tests compare with."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from enum import Enum, auto
from types import TracebackType
from typing import Self
from weakref import WeakSet, WeakValueDictionary

import attrs
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mailplat.interfaces import IAccount, IBus, ICursor, IMailStore
from mailplat.mail.content import Content, Octets, whole
from mailplat.mail.errors import AlreadyExists, NoSuchMailbox, NoSuchMessage, NotPermitted
from mailplat.mail.events import AccountChanged
from mailplat.mail.mailbox import (
    DELETED,
    INBOX,
    SEEN,
    SEPARATOR,
    SYSTEM_FLAGS,
    Appended,
    Batch,
    Changes,
    Delivery,
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
    Outcome,
    Placement,
    Record,
    Replaced,
    Role,
    Uid,
    UidSet,
    Wanted,
    names_above,
    proper_name,
)
from mailplat.mail.people import AccountId
from mailplat.mail.status import DELIVERED

BATCH = 100  # messages in one batch of a cursor


class What(Enum):
    """What a line of an account's log says of a mailbox, or of messages in it."""

    MADE = auto()
    EDITED = auto()
    GONE = auto()
    ADDED = auto()
    CHANGED = auto()
    REMOVED = auto()


@attrs.define(eq=False)
class Email:
    """What all places of one message share."""

    id: str
    thread: str
    content: Octets
    summary: bytes
    received: float


@attrs.define(eq=False)
class Message:
    """One place of a message."""

    uid: int
    modseq: int
    email: Email
    flags: frozenset[str]
    saved: float


@attrs.define(eq=False)
class Box:
    """A mailbox; its messages stand in the order of their UIDs."""

    id: MailboxId
    name: str
    role: Role
    uid_validity: int
    modseq: int = 0
    uid_next: int = 1
    messages: dict[int, Message] = attrs.field(factory=dict)

    def pick(self, uids: UidSet) -> list[Message]:
        return [self.messages[uid] for uid in uids.among(list(self.messages))]

    def shown(self, subscribed: bool) -> Mailbox:
        flags = [message.flags for message in self.messages.values()]
        return Mailbox(
            id=self.id,
            name=self.name,
            role=self.role,
            subscribed=subscribed,
            uid_validity=self.uid_validity,
            uid_next=Uid(self.uid_next),
            highest_modseq=ModSeq(self.modseq),
            messages=len(flags),
            unseen=sum(SEEN not in names for names in flags),
            deleted=sum(DELETED in names for names in flags),
            size=sum(message.email.content.size for message in self.messages.values()),
        )


@attrs.define(eq=False)
class Mail:
    """All that one account has; its methods change one thing and tell nobody."""

    id: AccountId
    modseq: int = 0
    uid_validity: int = 0
    made: int = 0  # mailboxes and messages, ever
    boxes: dict[MailboxId, Box] = attrs.field(factory=dict)
    subscribed: set[str] = attrs.field(factory=set)
    spelling: dict[str, str] = attrs.field(
        factory=lambda: {name.lower(): name for name in SYSTEM_FLAGS}
    )
    threads: dict[bytes, str] = attrs.field(factory=dict)
    emails: WeakValueDictionary[str, Email] = attrs.field(factory=WeakValueDictionary)
    keys: dict[str, Outcome] = attrs.field(factory=dict)
    log: list[tuple[int, What, MailboxId, UidSet]] = attrs.field(factory=list)

    def box(self, mailbox: MailboxId) -> Box:
        try:
            return self.boxes[mailbox]
        except KeyError:
            raise NoSuchMailbox(f"{self.id} has no mailbox {mailbox}") from None

    def find(self, name: str) -> Box | None:
        return next((box for box in self.boxes.values() if box.name == name), None)

    def number(self, letter: str) -> str:
        self.made += 1
        return f"{letter}{self.made}"

    def note(self, what: What, box: Box, uids: UidSet = UidSet()) -> None:  # noqa: B008
        box.modseq = self.modseq
        self.log.append((self.modseq, what, box.id, uids))

    def make(self, name: str, role: Role, now: float) -> Box:
        for above in names_above(name):
            if not self.find(above):
                self.make_one(above, Role.NONE, now)
        return self.make_one(name, role, now)

    def make_one(self, name: str, role: Role, now: float) -> Box:
        self.uid_validity = max(self.uid_validity + 1, int(now))
        box = Box(MailboxId(self.number("F")), name, role, self.uid_validity)
        self.boxes[box.id] = box
        self.note(What.MADE, box)
        return box

    def spelt(self, flags: Iterable[str]) -> frozenset[str]:
        return frozenset(self.spelling.setdefault(flag.lower(), flag) for flag in flags)

    def keep(self, message: NewMessage, octets: bytes, now: float) -> Email:
        email = Email(
            self.number("M"),
            self.thread(message.summary.references),
            Octets(octets),
            message.summary.octets,
            message.received.timestamp() if message.received else now,
        )
        self.emails[email.id] = email
        return email

    def thread(self, references: Sequence[bytes]) -> str:
        """Return the thread that shares a reference; those that now share one become one."""
        known = {self.threads[name] for name in references if name in self.threads}
        thread = min(known, default="") or self.number("T")
        for name, other in self.threads.items():
            if other in known:
                self.threads[name] = thread
        for email in self.emails.values():
            if email.thread in known:
                email.thread = thread
        self.threads |= dict.fromkeys(references, thread)
        return thread

    def put(
        self, box: Box, emails: Sequence[tuple[Email, frozenset[str]]], now: float
    ) -> range:
        """Give messages their UIDs in a mailbox."""
        uids = range(box.uid_next, box.uid_next + len(emails))
        for uid, (email, flags) in zip(uids, emails, strict=True):
            box.messages[uid] = Message(uid, self.modseq, email, flags, now)
        box.uid_next = uids.stop
        if uids:
            self.note(What.ADDED, box, UidSet(((uids[0], uids[-1]),)))
        return uids

    def drop(self, box: Box, messages: Iterable[Message]) -> UidSet:
        gone = UidSet.from_sorted([message.uid for message in messages])
        for uid in gone:
            del box.messages[uid]
        if gone:
            self.note(What.REMOVED, box, gone)
        return gone

    def place(self, placement: Placement, now: float) -> Box:
        """Return where a placement leads; see there."""
        for box in self.boxes.values():
            if placement.role is box.role is not Role.NONE:
                return box
        try:
            name = proper_name(placement.mailbox)
        except NotPermitted:
            name = INBOX
        found = self.find(name)
        if found or not placement.create:
            return found or self.boxes[next(iter(self.boxes))]
        return self.make(name, placement.role, now)


@implementer(IMailStore)
class MemoryStore:
    """Every account's mail, as long as the process lives."""

    def __init__(self, bus: IBus, clock: IReactorTime) -> None:
        self._bus = bus
        self._clock = clock
        self._mails: dict[AccountId, Mail] = {}
        self._opened: WeakSet[MemoryAccount] = WeakSet()

    def now(self) -> float:
        return self._clock.seconds()

    async def open(self, account: AccountId) -> MemoryAccount:
        opened = MemoryAccount(self, self.mail(account))
        self._opened.add(opened)
        return opened

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return [await self._deliver(delivery) for delivery in deliveries]

    async def remove(self, account: AccountId) -> None:
        self._mails.pop(account, None)

    def mail(self, account: AccountId) -> Mail:
        mail = self._mails.get(account)
        if mail is None:
            mail = self._mails[account] = Mail(account, modseq=1)
            mail.make(INBOX, Role.INBOX, self.now())
        return mail

    def tell(self, mail: Mail) -> None:
        """Say what has changed at the account's newest mod-sequence."""
        boxes = frozenset(box for modseq, _, box, _ in mail.log if modseq == mail.modseq)
        self._bus.publish([AccountChanged(mail.id, ModSeq(mail.modseq), boxes)])

    def remember(self, mail: Mail, messages: Iterable[Message]) -> None:
        """Keep what is expunged readable for those who may be reading it."""
        for opened in self._opened:
            if opened.mail is mail:
                opened.held.update(message.email for message in messages)

    async def _deliver(self, delivery: Delivery) -> Outcome:
        try:
            octets = await whole(delivery.message.content)
        except Exception as error:  # noqa: BLE001 - the other deliveries stand alone
            return Outcome.failed(error)
        mail, now = self.mail(delivery.account), self.now()
        if known := mail.keys.get(delivery.key):
            return known
        mail.modseq += 1
        email = mail.keep(delivery.message, octets, now)
        flags: dict[MailboxId, frozenset[str]] = {}
        for placement in delivery.placements:
            box = mail.place(placement, now)
            wanted = delivery.message.flags | placement.flags
            flags[box.id] = flags.get(box.id, frozenset()) | mail.spelt(wanted)
        places: list[str] = []
        for mailbox, names in flags.items():
            box = mail.boxes[mailbox]
            [uid] = mail.put(box, [(email, names)], now)
            places.append(f"{box.id}:{uid}")
        self.tell(mail)
        return mail.keys.setdefault(delivery.key, Outcome(DELIVERED, ", ".join(places)))


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
        found = self._mail.box(self._mailbox).pick(self._uids)[:BATCH]
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


@implementer(IAccount)
class MemoryAccount:
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
        mail.modseq += 1
        mail.note(What.GONE, mail.boxes.pop(mailbox))
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
        return MailboxIndex(
            modseq=ModSeq(self.mail.modseq),
            uids=array("I", [message.uid for message in messages]),
            flags=array("I", [numbers.setdefault(m.flags, len(numbers)) for m in messages]),
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
        mail, box, now = self.mail, self.mail.box(mailbox), self._store.now()
        replaced = (
            mail.box(replacing.mailbox).pick(UidSet.of(replacing.uid)) if replacing else []
        )
        if replacing and not replaced:
            raise NoSuchMessage(f"{replacing} has gone")
        if not messages:
            return []
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
        mail, box, goal = self.mail, self.mail.box(mailbox), self.mail.box(target)
        moved = box.pick(uids)
        if moved:
            mail.modseq += 1
        given = mail.put(goal, [(m.email, m.flags) for m in moved], self._store.now())
        if not keep:
            mail.drop(box, moved)
        if moved:
            self._store.tell(mail)
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
            mail.modseq += 1
        gone = mail.drop(box, messages)
        if gone:
            self._store.tell(mail)
        return gone

    async def changes(self, since: ModSeq, mailbox: MailboxId | None = None) -> Changes:
        if mailbox is not None:
            self.mail.box(mailbox)
        seen: dict[What, dict[MailboxId, UidSet]] = {what: {} for what in What}
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
        )

    def _changed(self, box: Box) -> Mailbox:
        self._store.tell(self.mail)
        return box.shown(box.name in self.mail.subscribed)

    def _refuse_taken(self, name: str) -> None:
        if self.mail.find(name):
            raise AlreadyExists(f"there is a mailbox {name!r}")

    def _refuse_role(self, role: Role) -> None:
        if role is not Role.NONE and any(box.role is role for box in self.mail.boxes.values()):
            raise NotPermitted(f"another mailbox is {role.value}")
