"""What has happened, for the bus; told after the commit, never before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from mailplat.mail.mailbox import MailboxId, ModSeq
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Room
from mailplat.mail.transit import MessageRecord


@attrs.frozen
class AccountChanged:
    """Something in an account's mailboxes is new, changed or gone; `changes` says what."""

    account: AccountId
    modseq: ModSeq
    mailboxes: frozenset[MailboxId]


@attrs.frozen
class CredentialsChanged:
    """What an account logs in with is no longer what it was, or the account has gone."""

    account: AccountId


@attrs.frozen
class AccountNearlyFull:
    """An account has little room left, and doesn't know it yet.

    That is told with each message that comes, until one has been delivered under
    ``key``.
    """

    account: AccountId
    key: str
    rooms: Mapping[str, Room]


@attrs.frozen
class MessageSettled:
    """A message that came in has been judged and delivered, or refused."""

    record: MessageRecord


@attrs.frozen
class Tried:
    """What came of one recipient in an attempt; ``then`` says what follows."""

    recipient: str
    status: str
    detail: str
    then: str


@attrs.frozen(kw_only=True)
class Attempted:
    """The queue has tried to serve some recipients of a message."""

    id: str
    at: datetime
    agent: str
    destination: str
    seconds: float
    recipients: tuple[Tried, ...]


@attrs.frozen
class RoomWanted:
    """A disk had no room for so many octets; whoever keeps what isn't needed lets it go."""

    octets: int


Event = (
    AccountChanged
    | AccountNearlyFull
    | Attempted
    | CredentialsChanged
    | MessageSettled
    | RoomWanted
)
