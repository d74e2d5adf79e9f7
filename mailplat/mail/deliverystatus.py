"""Says to programs what became of a message: message/delivery-status (RFC 3464, RFC 6533)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from enum import Enum

import attrs

from mailplat.mail.dates import date_text
from mailplat.mail.envelope import Envelope, Notify, Recipient
from mailplat.mail.fields import one_line, structured
from mailplat.mail.mailbox import Outcome
from mailplat.mail.xtext import RFC822, UTF8, utf8_xtext

LONGEST_REPLY = 1000  # characters of another host's words
LONGEST_NAME = 255  # characters of a host's name or address, or of an identifier
LONGEST_ADDRESS = 500
_WORD = 70  # characters; longer words are cut, so that they fit into lines

_TYPE = re.compile(r"[A-Za-z0-9.\-]{1,40}")
_NOT_A_HOST = re.compile(r"[^A-Za-z0-9.:_\-\[\]\u0080-\U0010ffff]+")


class Action(Enum):
    """What was done about a recipient (RFC 3464 section 2.3.3), the worst first."""

    FAILED = "failed"
    DELAYED = "delayed"
    EXPANDED = "expanded"
    RELAYED = "relayed"
    DELIVERED = "delivered"


@attrs.frozen
class Host:
    """Another mail system: the name it has or gave itself, and its address if there is one."""

    name: str
    address: str = ""


@attrs.frozen(kw_only=True)
class Fate:
    """What became of a message for one recipient, and what may be said of that.

    ``reply`` are the words of ``remote``, with the code before them.  ``attempted``
    is the last attempt, ``retry_until`` when the next fails for good.
    """

    recipient: Recipient
    action: Action
    outcome: Outcome
    remote: Host | None = None
    reply: str = ""
    attempted: datetime | None = None
    retry_until: datetime | None = None
    log_id: str = ""

    @property
    def is_due(self) -> bool:
        """Whether the sender wants to hear of it."""
        return is_wanted(self.recipient, self.action)


def is_wanted(recipient: Recipient, action: Action) -> bool:
    """Say whether the sender wants to hear of what was done (RFC 3461 section 4.1).

    Where nothing was said these are failures and delays, the latter by our choice.
    """
    wanted = recipient.notify
    if wanted is None:
        wanted = Notify.FAILURE | Notify.DELAY
    return _WHEN[action] in wanted


_WHEN = {
    Action.FAILED: Notify.FAILURE,
    Action.DELAYED: Notify.DELAY,
    Action.EXPANDED: Notify.SUCCESS,
    Action.RELAYED: Notify.SUCCESS,
    Action.DELIVERED: Notify.SUCCESS,
}


def delivery_status(
    envelope: Envelope,
    fates: Iterable[Fate],
    hostname: str,
    arrived: datetime | None = None,
    origin: Host | None = None,
) -> bytes:
    """Return the fields about the message, and behind an empty line those about each recipient.

    They are in ASCII, or in UTF-8 if the message was sent with SMTPUTF8 and
    something in it isn't.  ``origin`` is the host that it came from.
    """
    writer = _Writer(utf8=envelope.smtputf8)
    groups = [writer.message_fields(envelope, hostname, arrived, origin)]
    groups += map(writer.recipient_fields, fates)
    return b"\r\n".join(groups)


@attrs.frozen
class _Writer:
    """Writes fields in which everything may have been said by strangers."""

    utf8: bool

    def message_fields(
        self, envelope: Envelope, hostname: str, arrived: datetime | None, origin: Host | None
    ) -> bytes:
        """Return the per-message fields (RFC 3464 section 2.2)."""
        return b"".join(
            [
                self._text(b"Original-Envelope-Id", envelope.envelope_id),
                self._host(b"Reporting-MTA", Host(hostname)),
                self._host(b"Received-From-MTA", origin),
                _date(b"Arrival-Date", arrived),
            ]
        )

    def recipient_fields(self, fate: Fate) -> bytes:
        """Return the per-recipient fields (section 2.3)."""
        original = fate.recipient.original
        final = str(fate.recipient.address)
        delayed = fate.action is Action.DELAYED
        return b"".join(
            [
                self._address(b"Original-Recipient", original.type, original.address)
                if original
                else b"",
                self._address(b"Final-Recipient", RFC822, final),
                structured(b"Action", [f" {fate.action.value}".encode()]),
                structured(b"Status", [f" {fate.outcome.status}".encode()]),
                self._host(b"Remote-MTA", fate.remote),
                self._text(b"Diagnostic-Code", fate.reply, "smtp;"),
                _date(b"Last-Attempt-Date", fate.attempted),
                self._text(b"Final-Log-ID", one_line(fate.log_id, LONGEST_NAME)),
                _date(b"Will-Retry-Until", fate.retry_until if delayed else None),
            ]
        )

    def _address(self, name: bytes, kind: str, address: str) -> bytes:
        address = one_line(address, LONGEST_ADDRESS)
        if not _TYPE.fullmatch(kind) or not address.isascii():
            kind = UTF8  # which is any kind of text
        if kind.lower() == UTF8 and not self.utf8:
            address = utf8_xtext(address)
        return structured(name, [f" {kind};".encode(), f" {address}".encode()])

    def _host(self, name: bytes, host: Host | None) -> bytes:
        """Return a field with a host's name, and its address as a comment (section 2.2.4)."""
        if host is None or not (host.name or host.address):
            return b""
        address = _NOT_A_HOST.sub("?", host.address[:LONGEST_NAME])
        known = _NOT_A_HOST.sub("?", one_line(host.name, LONGEST_NAME)) or literal(address)
        pieces = [b" dns;", b" " + self._octets(known)]
        return structured(
            name, [*pieces, b" (%b)" % self._octets(address)] if address else pieces
        )

    def _text(self, name: bytes, text: str, kind: str = "") -> bytes:
        words = one_line(text, LONGEST_REPLY).split()
        if not words:
            return b""
        parts = [word[at : at + _WORD] for word in words for at in range(0, len(word), _WORD)]
        pieces = [b" " + self._octets(part) for part in parts]
        return structured(name, [f" {kind}".encode(), *pieces] if kind else pieces)

    def _octets(self, text: str) -> bytes:
        return text.encode("utf-8" if self.utf8 else "ascii", "replace")


def literal(address: str) -> str:
    """Return an address as RFC 5321 section 4.1.3 writes it in place of a name."""
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _date(name: bytes, moment: datetime | None) -> bytes:
    return structured(name, [b" " + date_text(moment).encode()]) if moment else b""
