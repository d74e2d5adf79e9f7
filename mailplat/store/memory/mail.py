"""What an account has, and how it changes, one step at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import Enum, auto
from weakref import WeakValueDictionary

import attrs

from mailplat.mail.content import Octets
from mailplat.mail.errors import NoSuchMailbox, NotPermitted
from mailplat.mail.mailbox import (
    DELETED,
    INBOX,
    SEEN,
    SYSTEM_FLAGS,
    Mailbox,
    MailboxId,
    ModSeq,
    NewMessage,
    Outcome,
    Placement,
    Role,
    Uid,
    UidSet,
    names_above,
    proper_name,
)
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Amount
from mailplat.mail.retention import RESTORED
from mailplat.mail.sharing import Rights
from mailplat.store.memory.room import Quota


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


@attrs.frozen(eq=False)
class Kept:
    """A message that was expunged, and the mailbox where it was."""

    id: str
    box: Box
    at: float
    message: Message


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
    forgotten: int = 0  # the log begins after this mod-sequence
    kept: list[Kept] = attrs.field(factory=list)
    scripts: dict[str, bytes] = attrs.field(factory=dict)
    active: str = ""  # the script's name
    annotations: dict[tuple[MailboxId | None, str, str], bytes] = attrs.field(factory=dict)
    annotated: int = 0  # the account itself, at this mod-sequence
    rights: dict[MailboxId, dict[str, Rights]] = attrs.field(factory=dict)
    quota: Quota = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.quota = Quota(self.id)

    @property
    def used(self) -> Amount:
        """What its messages take."""
        return sum((amount_of(box.messages.values()) for box in self.boxes.values()), Amount())

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

    def home(self, box: Box, now: float) -> Box:
        """Return where what was in a mailbox is brought back to (see `IUndelete`)."""
        if box.id in self.boxes:
            return self.boxes[box.id]
        try:
            instead = proper_name(f"{RESTORED}/{box.name}")
        except NotPermitted:
            instead = RESTORED
        found = self.find(box.name) or self.find(instead)
        return found or self.make(instead, Role.NONE, now)

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


def amount_of(messages: Collection[Message]) -> Amount:
    """Return how much room messages take."""
    return Amount(sum(one.email.content.size for one in messages), len(messages))
