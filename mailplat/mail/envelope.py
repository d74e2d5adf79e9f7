"""Reverse-path, recipients, and what the sender asked of each (RFC 5321, 3461)."""

from __future__ import annotations

from datetime import datetime
from enum import Enum, Flag, auto

import attrs

from mailplat.mail.address import Address


class Body(Enum):
    """What the sender declared of the content's octets (RFC 1652, 3030)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT = "8BITMIME"
    BINARY = "BINARYMIME"


class Return(Enum):
    """How much of the message a report of failure should have in it (RFC 3461 section 4.3)."""

    FULL = "FULL"
    HEADERS = "HDRS"


class Notify(Flag):
    """When the sender wants to hear of a recipient (RFC 3461 section 4.1)."""

    NEVER = 0
    SUCCESS = auto()
    FAILURE = auto()
    DELAY = auto()


@attrs.frozen
class DeliverBy:
    """By when the sender wants a message delivered (RFC 2852 section 4).

    What is late ``returns``, or else goes on and the sender hears that it is late.
    """

    at: datetime
    returns: bool = False
    trace: bool = False


@attrs.frozen
class OriginalRecipient:
    """An address as first written, of a type such as ``rfc822`` (RFC 3461 section 4.2)."""

    type: str
    address: str  # decoded


@attrs.frozen
class Recipient:
    """One forward-path.

    ``original`` is what the sender said with ORCPT, or the address as it came,
    where an alias has since changed it.  ``notify`` is None where nothing was
    said: then it is failures that are reported.
    """

    address: Address
    original: OriginalRecipient | None = None
    notify: Notify | None = None


@attrs.frozen
class Envelope:
    """Whom a message is from and for, apart from what its header says.

    ``sender`` is None for the null reverse-path ``<>``.  ``returns`` and
    ``envelope_id`` (decoded) are what the sender asked to have in reports, or
    None and nothing (RFC 3461 sections 4.3 and 4.4).  ``release_at`` is before when
    it is not to be sent (RFC 4865), ``priority`` from -9 to 9 (RFC 6710), and what
    ``requires_tls`` goes by no way that isn't proven (RFC 8689).
    """

    sender: Address | None
    recipients: tuple[Recipient, ...] = ()
    body: Body = Body.SEVEN_BIT
    smtputf8: bool = False
    declared_size: int | None = None  # octets, of the SIZE parameter (RFC 1870)
    returns: Return | None = None
    envelope_id: str = ""
    release_at: datetime | None = None
    deliver_by: DeliverBy | None = None
    priority: int = 0
    requires_tls: bool = False

    def with_recipient(self, recipient: Recipient) -> Envelope:
        """Return this envelope with one recipient more."""
        return attrs.evolve(self, recipients=(*self.recipients, recipient))
