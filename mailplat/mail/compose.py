"""Writes what the house itself adds to messages: trace fields (RFC 5321 section 4.4)."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

from mailplat.mail.address import Address
from mailplat.mail.dates import date_text
from mailplat.mail.fields import laid_out
from mailplat.mail.transit import Transit

_UNFIT = re.compile(r"[^A-Za-z0-9.:_\-]+")
_LONGEST_NAME = 255  # octets of a host's name that go into a trace field


def received(transit: Transit, hostname: str, arrived: datetime) -> bytes:
    """Return the Received field that ``hostname`` puts before a message.

    What the peer called itself is reduced to letters that a host's name can
    have.  The recipient is named only where there is one, so that nobody
    learns of another.  Source: RFC 5321 section 4.4, RFC 3848.
    """
    secured = f" ({_UNFIT.sub('?', transit.secured)})" if transit.secured else ""
    recipients = transit.envelope.recipients
    text = str(recipients[0].address) if len(recipients) == 1 else ""
    recipient = f"\r\n\tfor <{text}>" if text and text.isascii() else ""
    field = (
        f"Received: from {_origin(transit.greeting, transit.peer.host)}\r\n"
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
