"""The MDA: carries a message into the mailboxes of those it is for."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from pydantic import Field
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.interfaces import IDeliveryAgent, IDirectory, IMailStore
from mailplat.mail.address import Address
from mailplat.mail.compose import delivered_to, return_path
from mailplat.mail.content import Content, Octets, join
from mailplat.mail.errors import AccountDisabled, MailError, StoreFailed
from mailplat.mail.limits import KIB
from mailplat.mail.mailbox import Delivery, NewMessage, Outcome, Placement, Role
from mailplat.mail.people import Account, AccountId, Place, obstacle
from mailplat.mail.status import DELIVERED
from mailplat.mail.summary import Findings, findings_of
from mailplat.mail.transit import Job
from mailplat.plugin import Instance, Settings

INBOX = Placement()
JUNK = Placement("Junk", Role.JUNK, create=True)

LARGE = 256 * KIB  # octets; what takes more is read in many slices, and memory meanwhile,
LARGE_AT_ONCE = 2  # which is why so many are read at once and the others wait


class LocalSettings(Settings):
    """Keys of ``[agents.NAME] use = "local"``."""

    store: Instance[IMailStore] | None = Field(
        None, description="Where mail is kept, where there are several stores."
    )
    subaddress_mailboxes: bool = Field(
        False,
        description="Whether mail for `name+folder` goes to the mailbox `folder`, where there is"
        " one; strangers then choose the mailbox.",
    )


@attrs.define
class Share:
    """What one account gets of a message: the addresses it came by, and where it goes."""

    account: Account
    addresses: list[Address] = attrs.field(factory=list)
    placements: list[Placement] = attrs.field(factory=list)

    def add(self, address: Address, placement: Placement) -> None:
        """Let another address lead here; the same mailbox gets the message once."""
        if address not in self.addresses:
            self.addresses.append(address)
        if placement not in self.placements:
            self.placements.append(placement)


Ends = Sequence[tuple[Account, Place]]
"""Accounts that an address leads to, and how."""


@attrs.define
class Way:
    """Where one recipient leads, or why nowhere."""

    ends: Ends = ()
    error: MailError | None = None


@implementer(IDeliveryAgent)
class LocalDelivery:
    """Gives each account one delivery of a message, all of them in one call to the store.

    A delivery's key is the job's id and the account, so a job that is tried
    again adds nothing, and recipients that lead to one mailbox share one copy.
    A recipient whose address leads to several accounts has succeeded when all
    of these have it; else it has failed for now if any of them has, so that
    nobody is left out: the key keeps the others from getting it twice by the
    same job.
    """

    log = Logger()

    def __init__(
        self,
        settings: LocalSettings,
        directory: IDirectory,
        store: IMailStore,
        clock: IReactorTime,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._store = store
        self._clock = clock
        self._large = DeferredSemaphore(LARGE_AT_ONCE)

    async def attempt(self, job: Job) -> Sequence[Outcome]:
        shares: dict[AccountId, Share] = {}
        recipients = job.envelope.recipients
        ways = [await self._way(recipient.address, job, shares) for recipient in recipients]
        results = await self._deliver(job, shares) if shares else {}
        return [_outcome(way, results) for way in ways]

    async def _way(self, address: Address, job: Job, shares: dict[AccountId, Share]) -> Way:
        """Follow an address to its accounts, and give each its share."""
        try:
            places = await self._directory.places(address)
        except MailError as error:
            return Way(error=error)
        ends = _open_ends(address, places)
        if isinstance(ends, MailError):
            return Way(error=ends)
        for account, end in ends:
            share = shares.setdefault(account.id, Share(account))
            share.add(address, self._placement(end.detail, job.junk))
        return Way(ends)

    def _placement(self, detail: str, junk: bool) -> Placement:
        if junk:
            return JUNK
        if detail and self._settings.subaddress_mailboxes:
            return Placement(detail)
        return INBOX

    async def _deliver(
        self, job: Job, shares: dict[AccountId, Share]
    ) -> dict[AccountId, Outcome]:
        try:
            found = await self._findings(job.content)
            deliveries = [_delivery(job, found, share) for share in shares.values()]
            outcomes = await self._store.deliver(deliveries)
        except Exception as error:  # noqa: BLE001 - failures are outcomes and never raised
            if not isinstance(error, MailError):
                self.log.failure("{id}: not delivered", id=job.id)
                error = StoreFailed(f"{type(error).__name__}: {error}")
            outcomes = [_failure(error)] * len(shares)
        return dict(zip(shares, outcomes, strict=True))

    async def _findings(self, content: Content) -> Findings:
        """Read a message; a large one when others have been read."""
        if content.size <= LARGE:
            return await findings_of(content, self._turn)
        await self._large.acquire()
        try:
            return await findings_of(content, self._turn)
        finally:
            self._large.release()

    def _turn(self) -> Deferred[None]:
        """Let the reactor go round once before we go on with a large message."""
        return deferLater(self._clock, 0)


def _open_ends(address: Address, places: Sequence[Place]) -> Ends | MailError:
    """Return the accounts that take mail for an address, or why there are none.

    The postmaster's mail is taken by an account that is disabled, too.
    """
    ends = [(place.account, place) for place in places if place.account]
    error = obstacle(places)
    if address.is_postmaster and isinstance(error, AccountDisabled):
        return ends
    return error or [(account, end) for account, end in ends if account.enabled]


def _delivery(job: Job, found: Findings, share: Share) -> Delivery:
    fields = [delivered_to(address) for address in share.addresses]
    trace = Octets(b"".join([return_path(job.envelope.sender), *fields]))
    summary = found.summary(trace.octets)
    message = NewMessage(join(trace, job.content), summary, received=job.arrived)
    key = f"{job.id} {share.account.id}"
    return Delivery(
        key,
        share.account.id,
        message,
        tuple(share.placements),
        beyond_quota=any(one.is_postmaster for one in share.addresses),
    )


def _outcome(way: Way, results: dict[AccountId, Outcome]) -> Outcome:
    """Return the worst that happened on a recipient's way, else who has the message where."""
    if way.error:
        return _failure(way.error)
    outcomes = [results[account.id] for account, _ in way.ends]
    for outcome in outcomes:
        if outcome.status.is_transient:
            return outcome
    for outcome in outcomes:
        if not outcome.status.is_success:
            return outcome
    told = [
        f"{account.name} {outcome.detail}{_by(end)}"
        for (account, end), outcome in zip(way.ends, outcomes, strict=True)
    ]
    return Outcome(DELIVERED, "; ".join(told))


def _by(end: Place) -> str:
    return f", by alias {', '.join(end.via)}" if end.via else ""


def _failure(error: MailError) -> Outcome:
    return Outcome(error.status, str(error), error)
