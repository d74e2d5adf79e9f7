"""Envelopes as text that the queue's tables keep, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from mailplat.mail.address import Address
from mailplat.mail.envelope import (
    Body,
    DeliverBy,
    Envelope,
    Notify,
    OriginalRecipient,
    Recipient,
    Return,
)

_write = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@attrs.frozen(kw_only=True)
class Facts:
    """What is known of a queued message, whoever its recipients are.

    ``languages`` are the sender's, as far as the house knows.
    """

    envelope: Envelope  # without recipients
    login: str = ""
    may_bounce: bool = False
    junk: bool = False
    origin: str = ""

    def written(self) -> str:
        """Return them as text."""
        envelope = self.envelope
        late = envelope.deliver_by
        known: dict[str, Any] = {
            "sender": _address(envelope.sender),
            "body": envelope.body.value,
            "utf8": envelope.smtputf8,
            "returns": envelope.returns.value if envelope.returns else "",
            "envid": envelope.envelope_id,
            "release": envelope.release_at.timestamp() if envelope.release_at else 0,
            "by": [late.at.timestamp(), late.returns, late.trace] if late else [],
            "priority": envelope.priority,
            "tls": envelope.requires_tls,
            "login": self.login,
            "bounce": self.may_bounce,
            "junk": self.junk,
            "origin": self.origin,
        }
        return _write({name: value for name, value in known.items() if value})

    @classmethod
    def read(cls, text: str) -> Facts:
        """Return what `written` made into text."""
        known = json.loads(text)
        sender = known.get("sender")
        returns, release, late = known.get("returns"), known.get("release"), known.get("by")
        envelope = Envelope(
            Address(*sender) if sender else None,
            body=Body(known.get("body", "7BIT")),
            smtputf8=known.get("utf8", False),
            returns=Return(returns) if returns else None,
            envelope_id=known.get("envid", ""),
            release_at=moment(release) if release else None,
            deliver_by=DeliverBy(moment(late[0]), *late[1:]) if late else None,
            priority=known.get("priority", 0),
            requires_tls=known.get("tls", False),
        )
        return cls(
            envelope=envelope,
            login=known.get("login", ""),
            may_bounce=known.get("bounce", False),
            junk=known.get("junk", False),
            origin=known.get("origin", ""),
        )


def _address(address: Address | None) -> Sequence[str]:
    return [address.local, address.domain] if address else []


def recipient_text(recipient: Recipient) -> str:
    """Return a recipient as text."""
    known: dict[str, Any] = {"at": _address(recipient.address)}
    if recipient.original:
        known["original"] = [recipient.original.type, recipient.original.address]
    if recipient.notify is not None:
        known["notify"] = recipient.notify.value
    return _write(known)


def recipient_of(text: str) -> Recipient:
    """Return the recipient that `recipient_text` made into text."""
    known = json.loads(text)
    original, notify = known.get("original"), known.get("notify")
    return Recipient(
        Address(*known["at"]),
        OriginalRecipient(*original) if original else None,
        None if notify is None else Notify(notify),
    )


def moment(seconds: float) -> datetime:
    """Return a moment that is given in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)
