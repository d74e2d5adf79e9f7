"""Reverse-path, recipients, and what the sender asked of each (RFC 5321, 3461)."""

from __future__ import annotations

from enum import Enum

import attrs

from mailplat.mail.address import Address


class Body(Enum):
    """What the sender declared of the content's octets (RFC 1652, 3030)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT = "8BITMIME"
    BINARY = "BINARYMIME"


@attrs.frozen
class Recipient:
    """One forward-path.

    ``original`` is the address as the sender first wrote it, where an alias
    or a parameter (ORCPT, RFC 3461) has since changed it.
    """

    address: Address
    original: str = ""


@attrs.frozen
class Envelope:
    """Whom a message is from and for, apart from what its header says.

    ``sender`` is None for the null reverse-path ``<>``.
    """

    sender: Address | None
    recipients: tuple[Recipient, ...] = ()
    body: Body = Body.SEVEN_BIT
    smtputf8: bool = False
    declared_size: int | None = None  # octets, of the SIZE parameter (RFC 1870)

    def with_recipient(self, recipient: Recipient) -> Envelope:
        """Return this envelope with one recipient more."""
        recipients = (*self.recipients, recipient)
        return Envelope(self.sender, recipients, self.body, self.smtputf8, self.declared_size)
