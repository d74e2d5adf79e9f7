"""The store itself: delivers, and opens accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from weakref import WeakSet

from zope.interface import implementer

from mailplat.interfaces import IBus, IDeliveryKeys, IMailStore, WallClock
from mailplat.mail.content import whole
from mailplat.mail.events import AccountChanged
from mailplat.mail.mailbox import (
    INBOX,
    Delivery,
    MailboxId,
    ModSeq,
    Outcome,
    Role,
)
from mailplat.mail.people import AccountId
from mailplat.mail.status import DELIVERED
from mailplat.store.memory.account import MemoryAccount
from mailplat.store.memory.mail import Mail, Message


@implementer(IMailStore, IDeliveryKeys)
class MemoryStore:
    """Every account's mail, as long as the process lives."""

    def __init__(self, bus: IBus, wall: WallClock) -> None:
        self._bus = bus
        self._wall = wall
        self._mails: dict[AccountId, Mail] = {}
        self._opened: WeakSet[MemoryAccount] = WeakSet()

    def now(self) -> float:
        return self._wall.seconds()

    async def open(self, account: AccountId) -> MemoryAccount:
        opened = MemoryAccount(self, self.mail(account))
        self._opened.add(opened)
        return opened

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return [await self._deliver(delivery) for delivery in deliveries]

    async def remove(self, account: AccountId) -> None:
        self._mails.pop(account, None)

    async def known(self, account: AccountId, keys: Sequence[str]) -> Collection[str]:
        return self.mail(account).keys.keys() & set(keys)

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
