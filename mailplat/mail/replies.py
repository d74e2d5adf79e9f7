"""Answers messages automatically, or says why not (RFC 3834, RFC 5230 sections 4.5 and 4.6).

That nobody is answered twice within some days is for the caller to know
(RFC 3834 section 2).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum

import attrs

from mailplat.mail.address import Address
from mailplat.mail.addresslist import addresses_in
from mailplat.mail.comments import without_comments
from mailplat.mail.compose import Letter, Occasion, answer, subject_of
from mailplat.mail.header import Header
from mailplat.mail.multipart import MimePart

PREFIX = "Auto: "  # RFC 3834 section 3.1.5

_LIST_FIELDS = (  # RFC 2369, RFC 2919
    b"list-archive", b"list-help", b"list-id", b"list-owner", b"list-post", b"list-subscribe",
    b"list-unsubscribe",
)  # fmt: skip
_MASS = re.compile(rb"[ \t]*+(?:bulk|junk|list)\b", re.IGNORECASE)
_ROLES = re.compile(
    r"owner-.*|.*-request|mailer-daemon|listserv|majordomo", re.IGNORECASE | re.DOTALL
)
_ADDRESSED = (b"to", b"cc", b"bcc", b"resent-to", b"resent-cc", b"resent-bcc")


class Silence(Enum):
    """Why a message gets no automatic answer, in words for the log."""

    NOBODY = "there is nobody to answer to"
    AUTOMATIC = "it was sent automatically itself"
    LIST = "it came by a mailing list"
    MASS = "it says that it is bulk mail"
    ROLE = "its sender is a program or a list's owner"
    ITSELF = "its sender is the one who would answer"
    NOT_ADDRESSED = "it doesn't name the one who would answer"


@attrs.frozen(kw_only=True)
class Answer:
    """What somebody wants to be answered; without a subject it is the message's own."""

    body: MimePart
    subject: str = ""


def silence(
    header: Header,
    sender: Address | None,
    own: Collection[Address],
    *,
    personal: bool = True,
) -> Silence | None:
    """Return why a message is not to be answered, or None if it may be.

    ``own`` are all addresses of the one who would answer.  Unless ``personal``
    is False, one of them must be named in the header (RFC 3834 section 2).
    """
    keys = {address.key for address in own}
    if sender is None or not sender.domain:
        return Silence.NOBODY
    if sender.key in keys:
        return Silence.ITSELF
    if _ROLES.fullmatch(sender.local):
        return Silence.ROLE
    if any(_is_automatic(body) for body in header.bodies(b"auto-submitted")):
        return Silence.AUTOMATIC
    if any(header.count(name) for name in _LIST_FIELDS):
        return Silence.LIST
    if any(_MASS.match(body) for body in header.bodies(b"precedence")):
        return Silence.MASS
    if personal and not _names_one_of(header, keys):
        return Silence.NOT_ADDRESSED
    return None


def _is_automatic(body: bytes) -> bool:
    """Whether an Auto-Submitted field has any value but "no" (RFC 3834 section 5)."""
    value = without_comments(body).partition(b";")[0].strip()
    return value.lower() != b"no"


def _names_one_of(header: Header, keys: Collection[str]) -> bool:
    """Whether an address field names one of these mailboxes, given by `Address.key`."""
    bodies = (body for name in _ADDRESSED for body in header.bodies(name))
    locals_ = {key.rpartition("@")[0].encode() for key in keys}
    named = (
        one
        for one in addresses_in(*bodies).addresses
        if one.local.lower() in locals_
        or not one.local.isascii()  # else it can be none of them
    )
    return any(one.address is not None and one.address.key in keys for one in named)


def reply(wanted: Answer, header: Header, sender: Address, occasion: Occasion) -> Letter:
    """Return the answer to a message that `silence` has nothing against.

    It goes to the reverse-path, never to Reply-To (RFC 3834 section 4).  Raises
    `ValueError` for controls in the answer's own subject.
    """
    subject = wanted.subject or PREFIX + subject_of(header)
    return answer(sender, subject, header, wanted.body, occasion)
