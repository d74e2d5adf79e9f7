"""One session's maildrop: messages under numbers that stay, and marks on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from mailplat.interfaces import IAccount, IMailStore
from mailplat.mail.errors import MailError, NoSuchMessage
from mailplat.mail.mailbox import (
    Change,
    FlagChange,
    MailboxId,
    UidSet,
    Wanted,
)
from mailplat.mail.people import AccountId
from mailplat.portals.indexes import Indexes
from mailplat.portals.pop3.columns import HIDDEN, Columns, Memory
from mailplat.portals.pop3.reader import Reader

Removal = Callable[[IAccount, MailboxId, UidSet], Awaitable[object]]
"""Makes messages leave the maildrop, all or none, durably."""


async def expunge(account: IAccount, mailbox: MailboxId, uids: UidSet) -> None:
    """Remove messages for good."""
    await account.expunge(mailbox, uids)


async def hide(account: IAccount, mailbox: MailboxId, uids: UidSet) -> None:
    """Show messages to POP3 no more, and leave them to IMAP."""
    change = FlagChange(Change.ADD, frozenset({HIDDEN}))
    await account.flag(mailbox, uids, change)


def move_to(name: str) -> Removal:
    """Return what puts messages into the mailbox of that name, made where it is missing."""

    async def move(account: IAccount, mailbox: MailboxId, uids: UidSet) -> None:
        boxes = await account.mailboxes()
        target = next((box for box in boxes if box.name == name), None)
        if target is None:
            target = await account.create(name)
        await account.move(mailbox, uids, target.id)

    return move


class Maildrop:
    """What one session sees of an INBOX from its login to its end.

    Messages are asked for by their place: the number the client knows, less
    one.  What others add is not seen, and what they expunge can still be read.
    Nothing is removed before `update`.
    """

    def __init__(self, account: IAccount, columns: Columns, removal: Removal) -> None:
        self._account = account
        self._columns = columns
        self._remove = removal
        self._marked: set[int] = set()
        self.marked_octets = 0
        self.reader = Reader(account, columns, self._marked)

    @property
    def messages(self) -> int:
        """How many messages are not marked."""
        return len(self._columns) - len(self._marked)

    @property
    def octets(self) -> int:
        """How many octets they have together."""
        return self._columns.octets - self.marked_octets

    @property
    def marked(self) -> int:
        """How many messages are marked."""
        return len(self._marked)

    def place(self, number: int) -> int:
        """Return the place of a message; raises `NoSuchMessage` also if it is marked."""
        if number > len(self._columns) or number - 1 in self._marked:
            raise NoSuchMessage(f"number {number}")
        return number - 1

    def size(self, place: int) -> int:
        """Return how many octets a message has."""
        return self._columns.sizes[place]

    def unique_id(self, place: int) -> str:
        """Return what tells a message from all others that ever lay here.

        No UID is given twice as long as UIDVALIDITY stays (RFC 1939 section 7).
        """
        return f"{self._columns.uid_validity}-{self._columns.uids[place]}"

    def mark(self, place: int) -> None:
        """Mark a message to be removed."""
        if place not in self._marked:
            self._marked.add(place)
            self.marked_octets += self.size(place)

    def unmark_all(self) -> None:
        """Take all marks away."""
        self._marked.clear()
        self.marked_octets = 0

    def sizes(self, start: int, stop: int) -> bytes:
        """Return LIST's lines for the places from ``start`` up to ``stop``."""
        sizes = self._columns.sizes
        return b"".join(
            [b"%d %d\r\n" % (at + 1, sizes[at]) for at in self._places(start, stop)]
        )

    def unique_ids(self, start: int, stop: int) -> bytes:
        """Return UIDL's lines for the places from ``start`` up to ``stop``."""
        line, uids = b"%%d %d-%%d\r\n" % self._columns.uid_validity, self._columns.uids
        return b"".join([line % (at + 1, uids[at]) for at in self._places(start, stop)])

    def __len__(self) -> int:
        """Return how many places there are, marked or not."""
        return len(self._columns)

    def _places(self, start: int, stop: int) -> Iterable[int]:
        places = range(start, min(stop, len(self._columns)))
        if not self._marked:
            return places
        return (at for at in places if at not in self._marked)

    async def update(self) -> None:
        """Remove what is marked, all or nothing (RFC 1939 section 6)."""
        if self._marked:
            columns = self._columns
            uids = UidSet.from_sorted(columns.uids[at] for at in sorted(self._marked))
            await self._remove(self._account, columns.mailbox, uids)


class Maildrops:
    """Opens maildrops as the operator wants them kept.

    ``wanted`` is FLAGS where ``removal`` hides messages by one.  ``keeps`` is
    for how many seconds a message stays in a maildrop at least, None for ever;
    ``now`` tells the time in seconds since 1970.
    """

    def __init__(
        self,
        store: IMailStore,
        indexes: Indexes,
        removal: Removal,
        keeps: float | None,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._removal = removal
        self._keeps = keeps
        self._now = now
        self._memory = Memory(
            store, indexes, Wanted.FLAGS if removal is hide else Wanted.NOTHING
        )

    async def open(self, account: AccountId) -> Maildrop:
        """Return an account's maildrop, after what is too old has left it.

        Where it can't leave now, it is still shown: whoever can't log in can't
        make room either.  Raises what the store raises.
        """
        mail = await self._store.open(account)
        columns = await self._memory.columns(mail)
        if self._keeps is not None:
            expired = columns.older(self._keeps, self._now())
            if expired:
                with suppress(MailError):
                    await self._removal(mail, columns.mailbox, expired)
                    columns = columns.without(expired)
        return Maildrop(mail, columns, self._removal)
