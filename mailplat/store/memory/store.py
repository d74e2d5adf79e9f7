"""The store itself: delivers, and opens accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from weakref import WeakSet

from zope.interface import implementer

from mailplat.interfaces import (
    IAllowances,
    IBus,
    IDeliveryKeys,
    IMailStore,
    IQuotaStore,
    ISharedStore,
    IUsage,
    WallClock,
)
from mailplat.mail.content import whole
from mailplat.mail.errors import OverQuota
from mailplat.mail.events import AccountChanged
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import (
    INBOX,
    Delivery,
    MailboxId,
    ModSeq,
    Outcome,
    Role,
)
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Allowance, Amount, Usage
from mailplat.mail.retention import NOTHING_KEPT, Retention
from mailplat.mail.sharing import NEGATIVE, Shared, effective
from mailplat.mail.status import DELIVERED
from mailplat.store.memory.account import MemoryAccount
from mailplat.store.memory.mail import Box, Kept, Mail, Message, amount_of


@implementer(IMailStore, IQuotaStore, IUsage, ISharedStore, IDeliveryKeys)
class MemoryStore:
    """Every account's mail, as long as the process lives."""

    def __init__(
        self,
        bus: IBus,
        wall: WallClock,
        allowances: IAllowances | None = None,
        retention: Retention = NOTHING_KEPT,
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
    ) -> None:
        self._bus = bus
        self._wall = wall
        self._allowances = allowances
        self._retention = retention
        self.limits = limits
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

    async def why_full(self, account: AccountId, size: int) -> OverQuota | None:
        mail, allowance = self.mail(account), await self.allowance(account)
        full = mail.quota.why_full(mail.used, size, allowance, self.now())
        if full:
            self.warn(mail, allowance)
        return full

    async def usage(self) -> Mapping[AccountId, Usage]:
        return {
            account: Usage(
                mail.used, amount_of([one.message for one in mail.kept]), mail.quota.own
            )
            for account, mail in self._mails.items()
        }

    async def shared_with(self, account: AccountId) -> Sequence[Shared]:
        return [
            Shared(mail.id, mail.boxes[box].shown(mail.boxes[box].name in mail.subscribed), may)
            for mail in self._mails.values()
            for box, rights in mail.rights.items()
            if mail.id != account and "l" in (may := effective(rights, account))
        ]

    async def extent(self) -> Mapping[str, int]:
        return {}

    async def allowance(self, account: AccountId) -> Allowance:
        return await self._allowances.allowance(account) if self._allowances else Allowance()

    def warn(self, mail: Mail, allowance: Allowance) -> None:
        """Say that an account is nearly full, if it is and hasn't heard of it."""
        self._bus.publish(mail.quota.news(mail.used, allowance))

    async def remove(self, account: AccountId) -> None:
        self._mails.pop(account, None)
        for mail in self._mails.values():
            for rights in mail.rights.values():
                rights.pop(account, None)
                rights.pop(NEGATIVE + account, None)

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

    def keep(self, mail: Mail, box: Box, messages: Iterable[Message]) -> None:
        """Keep for some time what is expunged, so that it can be brought back."""
        now, age = self.now(), self._retention.keep_expunged
        mail.kept = [one for one in mail.kept if one.at >= now - age]
        if age:
            mail.kept += [Kept(mail.number("X"), box, now, one) for one in messages]

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
        allowance = await self.allowance(delivery.account)
        mail, now = self.mail(delivery.account), self.now()
        if known := mail.keys.get(delivery.key):
            return known
        count = len(delivery.placements)
        more = Amount(len(octets) * count, count)
        try:
            if delivery.beyond_quota:
                mail.quota.count(mail.used, more, allowance, delivery.key)
            else:
                mail.quota.admit(mail.used, more, allowance, now, delivery.key)
        except OverQuota as error:
            self.warn(mail, allowance)
            return Outcome.failed(error)
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
        self.warn(mail, allowance)
        return mail.keys.setdefault(delivery.key, Outcome(DELIVERED, ", ".join(places)))
