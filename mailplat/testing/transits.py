"""A message on its way in, and whom it meets, for tests of policies, filters and pipelines."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from zope.interface import implementer

from mailplat.interfaces import IDeliveryAgent, IDirectory
from mailplat.mail.address import Address
from mailplat.mail.content import Octets
from mailplat.mail.envelope import Envelope, Recipient
from mailplat.mail.header import Header
from mailplat.mail.mailbox import Outcome
from mailplat.mail.people import Account, AccountId, Domain, Place
from mailplat.mail.status import DELIVERED
from mailplat.mail.transit import Job, Peer, Transit

HELLO = (
    b"From: Carol <carol@example.net>\r\n"
    b"To: Alice <alice@example.org>\r\n"
    b"Subject: hello\r\n"
    b"Message-ID: <1@example.net>\r\n"
    b"\r\n"
    b"hello\r\n"
)


def recipient(text: str) -> Recipient:
    """Return a recipient of that address; ``postmaster`` may be without a domain."""
    return Recipient(Address.parse(text) if "@" in text else Address(text, ""))


def account(name: str, *, enabled: bool = True) -> Account:
    """Return an account whose identity follows from its name."""
    return Account(AccountId(f"id of {name}"), name, enabled)


def new_transit(
    octets: bytes = HELLO,
    *,
    sender: str = "carol@example.net",
    to: Sequence[str] = ("alice@example.org",),
    login: str = "",
    protocol: str = "ESMTP",
) -> Transit:
    """Return a message that has arrived whole, with its header read."""
    envelope = Envelope(
        Address.parse(sender) if sender else None, tuple(recipient(text) for text in to)
    )
    return Transit(
        id="4f2a",
        peer=Peer("192.0.2.1", 4000),
        protocol=protocol,
        login=account(login) if login else None,
        envelope=envelope,
        content=Octets(octets),
        header=Header.parse(octets),
    )


@implementer(IDirectory)
@attrs.define
class FakeDirectory:
    """Knows example.org, and the addresses there that ``ways`` leads to places.

    What an account may send as are the addresses that lead to it.
    """

    ways: dict[str, Sequence[Place]] = attrs.field(
        factory=lambda: {
            "alice@example.org": [Place(account("alice@example.org"))],
            "bob@example.org": [Place(account("bob@example.org"))],
        }
    )

    async def domain(self, name: str) -> Domain | None:
        return Domain(name) if name == "example.org" else None

    async def places(self, address: Address) -> Sequence[Place]:
        if address.local == "postmaster" and address.domain in ("", "example.org"):
            return self.ways["alice@example.org"]
        if address.domain != "example.org":
            return [Place(address=address)]
        return self.ways.get(address.key, ())

    async def account(self, name: str) -> Account | None:
        places = self.ways.get(name.lower(), ())
        return next((place.account for place in places if place.account), None)

    async def holder(self, account: AccountId) -> Account | None:
        places = (place for ways in self.ways.values() for place in ways)
        found = (place.account for place in places if place.account)
        return next((one for one in found if one.id == account), None)

    async def may_send_as(self, account: Account, address: Address) -> bool:
        return any(place.account == account for place in await self.places(address))


@implementer(IDeliveryAgent)
@attrs.define
class FakeAgent:
    """Delivers to everyone, and remembers the jobs and their octets."""

    jobs: list[Job] = attrs.field(factory=list)
    octets: list[bytes] = attrs.field(factory=list)

    async def attempt(self, job: Job) -> Sequence[Outcome]:
        self.jobs.append(job)
        self.octets.append(await job.content.read(0, job.content.size))
        return [Outcome(DELIVERED)] * len(job.envelope.recipients)
