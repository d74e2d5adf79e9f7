"""What is kept until each recipient has a final outcome: what comes in, and how it stands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import Enum

import attrs

from mailplat.mail.address import Address
from mailplat.mail.content import Content
from mailplat.mail.envelope import Envelope
from mailplat.mail.errors import MailError
from mailplat.mail.mailbox import Outcome

NOTHING_KNOWN: Mapping[int, Outcome] = {}


class QueueFailed(MailError):
    """What was asked of the queue names no message that it has."""


@attrs.frozen(kw_only=True)
class Posting:
    """A message for the queue to keep.

    ``key`` makes a repeat known: it adds nothing.  ``id`` is the name by which log and
    journal know the message, ``flow`` whose mail it is, that nobody's many messages may
    hold up another's (a login, or an address).  Where ``may_bounce``, the sender is who
    it says, and hears of failures; otherwise they wait for the operator.  ``hold`` says why
    the operator is to look at it first.  ``known`` are outcomes that there are already, by
    the recipient's place in the envelope.
    """

    key: str
    id: str
    envelope: Envelope
    content: Content
    arrived: datetime
    flow: str = ""
    login: str = ""
    may_bounce: bool = False
    junk: bool = False
    hold: str = ""
    origin: str = ""  # the host that it came from, by name
    known: Mapping[int, Outcome] = NOTHING_KNOWN


class Standing(Enum):
    """How it stands with a recipient's copy in the queue."""

    PENDING = "pending"  # its turn comes
    INFLIGHT = "inflight"  # it is being tried
    DEFERRED = "deferred"  # it will be tried at a moment
    HELD = "held"  # until the operator releases it
    UNDELIVERABLE = "undeliverable"  # failed, and nobody may be told
    DELIVERED = "delivered"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will be done about it."""
        return self in (Standing.DELIVERED, Standing.FAILED)


@attrs.frozen(kw_only=True)
class QueuedRecipient:
    """One recipient of a message in the queue."""

    address: str
    standing: Standing
    agent: str
    destination: str
    attempts: int
    due: datetime | None  # of the next attempt, where a moment is set
    status: str  # of the last attempt, by RFC 3463
    detail: str  # the same, in words for the operator
    doubtful: bool  # whether a crash cut an attempt short that may have delivered it


@attrs.frozen(kw_only=True)
class QueuedMessage:
    """One message in the queue, and how it stands."""

    id: str
    sender: str
    login: str
    arrived: datetime
    size: int
    held: str  # why it is held; empty if it isn't
    recipients: tuple[QueuedRecipient, ...]


@attrs.frozen(kw_only=True)
class Selection:
    """Which messages are meant: those that all conditions hold for, or those with these ids.

    ``destination`` is the domain of a recipient, ``standing`` that of one;
    ``older_than`` is in seconds.
    """

    ids: Collection[str] = ()
    sender: str = ""
    recipient: str = ""
    destination: str = ""
    standing: Standing | None = None
    older_than: float = 0.0
    after: str = ""  # only those that come behind this one in the queue
    most: int = 1000


@attrs.frozen(kw_only=True)
class QueueStats:
    """How much there is in the queue."""

    messages: int
    octets: int
    oldest: datetime | None
    by_standing: Mapping[Standing, int]  # of recipients' shares, see `QueuedRecipient`
    destinations: Sequence[tuple[str, str, int]]  # agent, domain and messages, the most first
    doubtful: int  # attempts that a crash cut short, and that may have delivered


@attrs.frozen(kw_only=True)
class Routed:
    """Where a recipient's copy goes, and why."""

    agent: str  # an instance of `[agents]`, or one of the words of a route
    destination: str  # the domain that counts as one destination
    reason: str  # in words for the operator
    hold: str = ""  # why it is to be held


@attrs.frozen(kw_only=True)
class Question:
    """What a route may depend on."""

    recipient: Address
    sender: Address | None = None
    login: str = ""
    size: int = 0
