"""Writes what the house adds to messages, and the header of those that it sends itself.

Trace fields: RFC 5321 section 4.4.  Letters of our own, in answer to a message:
RFC 3834 section 3, RFC 5322 section 3.6.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

import attrs

from mailplat.mail.address import Address
from mailplat.mail.addresslist import NamedAddress, address_field
from mailplat.mail.content import Content
from mailplat.mail.dates import date_text
from mailplat.mail.envelope import Envelope, Notify, Recipient
from mailplat.mail.fields import date_field, identifier_field, laid_out, one_line
from mailplat.mail.header import Header
from mailplat.mail.identifiers import ancestors_of, own_identifier
from mailplat.mail.multipart import MimePart, message
from mailplat.mail.transit import Transit
from mailplat.mail.words import decoded_words, text_field

LONGEST_SUBJECT = 200  # characters of a stranger's subject that are repeated

_UNFIT = re.compile(r"[^A-Za-z0-9.:_\-]+")
_LONGEST_NAME = 255  # octets of a host's name that go into a trace field


HIDDEN = "client.invalid"
"""What stands for a client that is nobody's business; no host has the name (RFC 6761)."""


def received(
    transit: Transit, hostname: str, arrived: datetime, *, hides_client: bool = False
) -> bytes:
    """Return the Received field that ``hostname`` puts before a message.

    What the peer called itself is reduced to letters that a host's name can
    have.  The recipient is named only where there is one, so that nobody
    learns of another.  With ``hides_client`` nobody learns who the peer was.
    Source: RFC 5321 section 4.4, RFC 3848.
    """
    origin = HIDDEN if hides_client else _origin(transit.greeting, transit.peer.host)
    secured = f" ({_UNFIT.sub('?', transit.secured)})" if transit.secured else ""
    recipients = transit.envelope.recipients
    text = str(recipients[0].address) if len(recipients) == 1 else ""
    recipient = f"\r\n\tfor <{text}>" if text and text.isascii() else ""
    field = (
        f"Received: from {origin}\r\n"
        f"\tby {hostname} with {transit.protocol}{secured} id {transit.id}{recipient};\r\n"
        f"\t{date_text(arrived)}\r\n"
    ).encode("ascii", "replace")
    return laid_out(field, 4 if recipient else 3)


@lru_cache(1024)
def _origin(greeting: str, host: str) -> str:
    """Return what a peer calls itself, and its address as RFC 5321 section 4.1.3 writes it."""
    address = f"[IPv6:{host}]" if ":" in host else f"[{host}]" if host else "localhost"
    name = _UNFIT.sub("?", greeting[:_LONGEST_NAME])
    if greeting.startswith("[") or not name:
        name = address
    return f"{name} ({address})"


def return_path(sender: Address | None) -> bytes:
    """Return the Return-Path field of a final delivery (RFC 5321 section 4.4)."""
    return laid_out(f"Return-Path: <{sender or ''}>\r\n".encode())


def delivered_to(recipient: Address) -> bytes:
    """Return the Delivered-To field, by which a loop is recognised (RFC 9228)."""
    return laid_out(f"Delivered-To: {recipient}\r\n".encode())


# Letters ---------------------------------------------------------------------


@attrs.frozen
class Letter:
    """A message that the house itself sends, with its envelope."""

    envelope: Envelope
    content: Content


@attrs.frozen(kw_only=True)
class Occasion:
    """Where, when and by whom a letter is written.

    ``unique`` are letters and digits that nobody could have guessed; identifier
    and boundaries are made of them.
    """

    author: NamedAddress
    hostname: str
    now: datetime
    unique: str


def answer(
    to: Address, subject: str, header: Header, body: MimePart, occasion: Occasion
) -> Letter:
    """Return a letter in automatic answer to the message that has this header.

    Its reverse-path is null, so that nothing can be answered to it, and it says
    of itself that it is automatic (RFC 3834 sections 3.1 and 3.3).  Raises
    `ValueError` for what can't be written.
    """
    fields = [
        address_field(b"From", [occasion.author]),
        address_field(b"To", [NamedAddress.of(to)]),
        text_field(b"Subject", subject),
        date_field(b"Date", occasion.now),
        identifier_field(b"Message-ID", [f"{occasion.unique}@{occasion.hostname}".encode()]),
        *answering(header),
        b"Auto-Submitted: auto-replied\r\n",
    ]
    utf8 = not (to.is_ascii and occasion.author.local.isascii())
    envelope = Envelope(None, (Recipient(to, notify=Notify.NEVER),), body.needs, utf8)
    return Letter(envelope, message(fields, body))


def notice(to: Address, subject: str, body: MimePart, occasion: Occasion) -> Letter:
    """Return a letter of the house's own accord, which says of itself that it is automatic.

    Its reverse-path is null.  Source: RFC 3834 section 5.
    """
    fields = [
        address_field(b"From", [occasion.author]),
        address_field(b"To", [NamedAddress.of(to)]),
        text_field(b"Subject", subject),
        date_field(b"Date", occasion.now),
        identifier_field(b"Message-ID", [f"{occasion.unique}@{occasion.hostname}".encode()]),
        b"Auto-Submitted: auto-generated\r\n",
    ]
    utf8 = not (to.is_ascii and occasion.author.local.isascii())
    envelope = Envelope(None, (Recipient(to, notify=Notify.NEVER),), body.needs, utf8)
    return Letter(envelope, message(fields, body))


def answering(header: Header) -> list[bytes]:
    """Return the fields by which an answer belongs to a message (RFC 5322 section 3.6.4)."""
    own = own_identifier(header.body(b"Message-ID"))
    if not own:
        return []
    ancestors = ancestors_of(header.body(b"References"), header.body(b"In-Reply-To"))
    return [
        identifier_field(b"In-Reply-To", [own]),
        identifier_field(b"References", [*ancestors, own]),
    ]


def subject_of(header: Header) -> str:
    """Return a stranger's subject so that it can be repeated in an answer's."""
    return one_line(decoded_words(header.body(b"Subject")), LONGEST_SUBJECT).strip()
