"""Signs messages by DKIM, and says whether a signature holds (RFC 6376, 8301, 8463).

A body is read once, in chunks, whatever the number of keys.  All of it is
signed: there is never an l=, which would let others add to it (section 8.2).
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

from mailplat.mail.canonical import (
    RELAXED,
    BodyHash,
    Canonicalization,
    Style,
    canonical_field,
    chosen_fields,
)
from mailplat.mail.content import CHUNK, Content
from mailplat.mail.errors import StoreFailed
from mailplat.mail.header import Header
from mailplat.mail.signatures import Signature, body_start
from mailplat.trust.keys import BadKey, PublicKey, SigningKey

ALWAYS = tuple(
    b"from reply-to to cc subject date message-id in-reply-to references"
    b" mime-version content-type content-transfer-encoding".split()
)
"""Names that are signed once more than the message has them, so that nobody can add one."""

IF_THERE = tuple(
    b"sender resent-from resent-sender resent-to resent-cc resent-date resent-message-id"
    b" list-id list-help list-unsubscribe list-unsubscribe-post list-subscribe list-post"
    b" list-owner list-archive content-id content-description content-disposition"
    b" auto-submitted autocrypt feedback-id expires importance".split()
)
"""Names that are signed as often as the message has them, since others rightly add them."""

MOST_OF_A_NAME = 50  # fields of one name that are signed, the lowest
LATE = 300  # seconds by which clocks may differ

_LINE = 74  # octets of a line of Base64 or names
_TIME = re.compile(rb"[0-9]{1,12}")  # RFC 6376 section 3.5, t=


# Signing ---------------------------------------------------------------------


async def signed(
    header: Header,
    content: Content,
    keys: Sequence[SigningKey],
    now: float,
    style: Style = RELAXED,
) -> tuple[bytes, ...]:
    """Return a DKIM-Signature field for each key, to be put on top of the message.

    ``header`` is that of ``content``; ``now`` is the date, in seconds since 1970.
    Raises `ValueError` for a message without From, which can't be signed (section
    5.4), and `StoreFailed` if the content ends before its size.
    """
    names = names_to_sign(header)
    if not names:
        raise ValueError("a message without From can't be signed")
    body_hash = await _body_hash(header, content, style.of_body)
    begun = sha256(b"".join(chosen_fields(header, names, style.of_header)))
    written = _folded(b":".join(names), b":")
    fields = []
    for key in keys:
        field = _unsigned(key, style, int(now), written, body_hash)
        digest = begun.copy()
        digest.update(canonical_field(field, style.of_header).removesuffix(b"\r\n"))
        signature = b64encode(key.sign(digest.digest()))
        fields.append(field + _folded(signature, b"") + b"\r\n")
    return tuple(fields)


def names_to_sign(header: Header) -> list[bytes]:
    """Return what h= is to name of a message: each field, and for some one more.

    Without From it is empty.
    """
    if not header.count(b"from"):
        return []
    names: list[bytes] = []
    for name in ALWAYS:
        names += [name] * (min(header.count(name), MOST_OF_A_NAME) + 1)
    for name in IF_THERE:
        names += [name] * min(header.count(name), MOST_OF_A_NAME)
    return names


async def _body_hash(header: Header, content: Content, how: Canonicalization) -> bytes:
    start = await body_start(header, content)
    body = BodyHash(how)
    while start < content.size:
        octets = await content.read(start, min(start + CHUNK, content.size))
        if not octets:
            raise StoreFailed(f"a content of {content.size} octets ended after {start}")
        body.feed(octets)
        start += len(octets)
    return body.digest()


def _unsigned(key: SigningKey, style: Style, now: int, names: bytes, body_hash: bytes) -> bytes:
    """Return the field as it is signed: with nothing behind b=."""
    until = b"" if style.lifetime is None else b" x=%d;" % (now + style.lifetime)
    return b"%b\r\n\tt=%d;%b\r\n\th=%b;\r\n\tbh=%b;\r\n\tb=" % (
        _beginning(key, style),
        now,
        until,
        names,
        body_hash,
    )


@lru_cache(1024)
def _beginning(key: SigningKey, style: Style) -> bytes:
    return (
        f"DKIM-Signature: v=1; a={key.algorithm.value};"
        f" c={style.of_header.value}/{style.of_body.value};\r\n"
        f"\td={key.domain}; s={key.selector};"
    ).encode("ascii")


def _folded(text: bytes, separator: bytes) -> bytes:
    """Return a long value in lines, cut behind a separator or, without one, anywhere."""
    lines: list[bytes] = []
    at = 0
    while len(text) - at > _LINE:
        stop = text.rfind(separator, at, at + _LINE) + len(separator) if separator else 0
        stop = stop if stop > at else at + _LINE
        lines.append(text[at:stop])
        at = stop
    return b"\r\n\t".join([*lines, text[at:]])


# Verifying -------------------------------------------------------------------


class BadSignature(ValueError):
    """A signature that doesn't hold; the text says why."""


def check(
    signature: Signature, header: Header, body_hash: bytes, record: bytes, now: float
) -> PublicKey:
    """Return the key by which a signature holds; raises `BadSignature` if it doesn't.

    ``body_hash`` is what `mailplat.mail.signatures.body_hashes` says of the
    message, ``record`` the text that was found at the signature's name, and
    ``now`` the date in seconds since 1970.  Source: RFC 6376 section 6.1.
    """
    problem = problem_of(signature, now)
    if problem:
        raise BadSignature(problem)
    try:
        key = PublicKey.read(record)
    except BadKey as bad:
        raise BadSignature(f"its key can't be used: {bad}") from None
    if key.algorithm.value != signature.algorithm:
        raise BadSignature("its key is for another algorithm")
    if key.is_strict and _identity_domain(signature) != signature.domain.lower():
        raise BadSignature("its key is for no subdomain")
    if body_hash != signature.body_hash:
        raise BadSignature("the body has been changed")
    try:
        octets = b64decode(signature.tags.value(b"b"), validate=True)
    except (NotBase64, ValueError):
        raise BadSignature("its b= is no Base64") from None
    if not key.fits(octets, sha256(signature.signed_octets(header)).digest()):
        raise BadSignature("the header has been changed, or another key has signed it")
    return key


def problem_of(signature: Signature, now: float) -> str:
    """Return why a signature can't hold whatever its key is; empty if it may (section 6.1.1)."""
    tags = signature.tags
    if not tags.is_sound or tags.raw(b"v") != b"1":
        return "it is no signature as the standard has it"
    missing = [
        name.decode() for name in (b"a", b"b", b"bh", b"d", b"h", b"s") if not tags.raw(name)
    ]
    if missing:
        return f"it has no {', '.join(missing)}"
    if signature.algorithm not in ("rsa-sha256", "ed25519-sha256"):
        return f"nobody believes {signature.algorithm[:32]!r}"
    if b"from" not in signature.names:
        return "it doesn't sign From"
    if not f".{_identity_domain(signature)}".endswith(f".{signature.domain.lower()}"):
        return "its i= is in another domain"
    return _problem_of_time(signature, now)


def _problem_of_time(signature: Signature, now: float) -> str:
    begins, ends = (_seconds(signature.tags.value(name)) for name in (b"t", b"x"))
    if begins is not None and begins > now + LATE:
        return "it is from the future"
    if ends is not None and ends < now - LATE:
        return "it has expired"
    return ""


def _seconds(text: bytes) -> int | None:
    return int(text) if _TIME.fullmatch(text) else None


def _identity_domain(signature: Signature) -> str:
    identity = signature.tags.value(b"i").decode("utf-8", "replace")
    return (identity.rpartition("@")[2] or signature.domain).lower()
