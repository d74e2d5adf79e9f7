"""Tells an account by a letter that it has little room left."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mailplat.interfaces import House, IBus, IDirectory, IMailStore, WallClock
from mailplat.mail.address import Address
from mailplat.mail.addresslist import NamedAddress
from mailplat.mail.compose import Occasion, delivered_to, notice, return_path
from mailplat.mail.content import Octets, join, whole
from mailplat.mail.events import AccountNearlyFull
from mailplat.mail.mailbox import Delivery, NewMessage
from mailplat.mail.multipart import text_part
from mailplat.mail.people import Account
from mailplat.mail.quota import MESSAGE, STORAGE, Room
from mailplat.mail.summary import summarise

SUBJECT = "Your mailbox is nearly full"
TEXT = """\
This account has little room left: {taken}.

When it is full, mail for {name} is refused: at first so that its senders try
again, later for good.  Delete what you no longer need, also from the trash,
or ask your postmaster for more room.
"""


class Warner:
    """Writes one letter each time that an account has come to be nearly full.

    It is delivered under the key that the store gives for it, so whoever is told
    twice, also after a crash, gets it once; and it is kept though there is no room.
    """

    log = Logger()

    def __init__(
        self,
        directory: IDirectory,
        store: IMailStore,
        bus: IBus,
        wall: WallClock,
        house: House,
    ) -> None:
        self._directory = directory
        self._store = store
        self._bus = bus
        self._wall = wall
        self._house = house
        self._deaf = bus.subscribe(AccountNearlyFull, self._hear)

    async def finish(self) -> None:
        """Hear no more."""
        self._deaf()

    def _hear(self, event: AccountNearlyFull) -> None:
        Deferred.fromCoroutine(self._warn(event)).addErrback(
            lambda failure: self.log.failure("an account was not warned", failure)
        )

    async def _warn(self, event: AccountNearlyFull) -> None:
        holder = await self._directory.holder(event.account)
        if holder is None:
            return
        message = await self._letter(holder, event)
        delivery = Delivery(event.key, event.account, message, beyond_quota=True)
        [outcome] = await self._store.deliver([delivery])
        if not outcome.status.is_success:
            self.log.warn("{name}: not warned: {why}", name=holder.name, why=outcome.detail)

    async def _letter(self, holder: Account, event: AccountNearlyFull) -> NewMessage:
        to = Address.parse(holder.name)
        author = Address("postmaster", to.domain)
        occasion = Occasion(
            author=NamedAddress.of(author),
            hostname=self._house.hostname,
            now=datetime.fromtimestamp(self._wall.seconds(), UTC),
            unique=blake2b(event.key.encode(), digest_size=16).hexdigest(),
        )
        text = TEXT.format(name=holder.name, taken=taken(event))
        letter = notice(to, SUBJECT, text_part(text), occasion)
        trace = Octets(return_path(None) + delivered_to(to))
        octets = await whole(join(trace, letter.content))
        return NewMessage(Octets(octets), summarise(octets))


def taken(event: AccountNearlyFull) -> str:
    """Return how much is taken of what is bounded, in words."""
    words = {STORAGE: _octets, MESSAGE: _messages}
    return " and ".join(
        words[name](room, room.limit)
        for name, room in event.rooms.items()
        if room.limit is not None
    )


def _octets(room: Room, limit: int) -> str:
    return f"{room.used / 1e6:.1f} of {limit / 1e6:.1f} MB are taken"


def _messages(room: Room, limit: int) -> str:
    return f"it has {room.used} of {limit} messages"
