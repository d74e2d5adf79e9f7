"""What the header of a part says of its body (RFC 2045 section 3, RFC 2183, 3282, 2557)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from mailplat.mail.encodings import IDENTITIES, encoding_name, is_known
from mailplat.mail.layout import Kind
from mailplat.mail.parameters import (
    LONGEST_BODY,
    TEXT_PLAIN,
    Disposition,
    MediaType,
    disposition,
    media_type,
    token,
    tokens,
)

# Classes of two letters instead of IGNORECASE, which would cost a search three times its time.
_FIELDS = re.compile(
    rb"\n[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-([^\x00-\x20\x7f:]++)[ \t]*+:[ \t]*+"
    rb"([^\n]*+(?:\n[ \t][^\n]*+)*+)"
)
_WHOLE_FIELDS = re.compile(rb"\n[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[^\n]*+(?:\n[ \t][^\n]*+)*+")
_UNFOLD = re.compile(rb"\r?\n")


class Entity(NamedTuple):
    """The Content-* fields of one part; of several with the same name the first counts.

    ``encoding``, ``id``, ``description``, ``md5`` and ``location`` are as they
    stand in their fields, unfolded; None where there is no such field.
    """

    media_type: MediaType = TEXT_PLAIN
    encoding: bytes = b"7bit"
    id: bytes | None = None
    description: bytes | None = None
    md5: bytes | None = None
    disposition: Disposition | None = None
    language: tuple[bytes, ...] = ()
    location: bytes | None = None
    kind: Kind = Kind.TEXT  # as far as the header alone says


_entity: Callable[[tuple[object, ...]], Entity] = partial(tuple.__new__, Entity)  # quicker


def _kind(type_: MediaType, encoding: bytes) -> Kind:
    """Return what a part is; a message that is encoded is none that can be looked into.

    Multiparts are looked into whatever encoding they claim to have: none is
    allowed (RFC 2045 section 6.4), and many have one.
    """
    kind = _KINDS.get(type_.type.lower(), Kind.OTHER)
    if kind is Kind.MESSAGE and not (
        type_.subtype.lower() in MESSAGES and encoding.lower() in IDENTITIES
    ):
        return Kind.OTHER
    return kind


# Subtypes of message/* that have a message in them.
MESSAGES = frozenset((b"rfc822", b"global"))
_KINDS = {b"text": Kind.TEXT, b"multipart": Kind.MULTIPART, b"message": Kind.MESSAGE}

TEXT = Entity()
OPAQUE = Entity(MediaType(b"application", b"octet-stream"), kind=Kind.OTHER)
MESSAGE = Entity(MediaType(b"message", b"rfc822"), kind=Kind.MESSAGE)
"""What a part of a digest is if it says nothing (RFC 2046 section 5.1.5)."""


def content_fields(header: bytes) -> bytes:
    """Return the fields of a header block that say something of the body, and no others."""
    return b"".join(_WHOLE_FIELDS.findall(b"\n" + header))


def read_entity(header: bytes, in_digest: bool = False) -> Entity:
    """Return what a header block says; in a digest a part without a type is a message."""
    otherwise = MESSAGE if in_digest else TEXT
    fields = _FIELDS.findall(b"\n" + header)
    if not fields:
        return otherwise
    found: dict[bytes, bytes] = {}
    for name, body in fields:
        found.setdefault(name.lower(), _unfolded(body))
    get = found.get
    said = get(b"type")
    type_ = otherwise.media_type if said is None else media_type(said)
    said = get(b"transfer-encoding")
    encoding = b"7bit" if said is None else _encoding(said)
    disposed = get(b"disposition")
    language = get(b"language")
    return _entity(
        (
            type_,
            encoding,
            get(b"id"),
            get(b"description"),
            get(b"md5"),
            None if disposed is None else disposition(disposed),
            () if language is None else tokens(language),
            get(b"location"),
            _kind(type_, encoding),
        )
    )


def _unfolded(body: bytes) -> bytes:
    if len(body) > LONGEST_BODY:
        body = body[:LONGEST_BODY]
    body = body.removesuffix(b"\r")
    return _UNFOLD.sub(b"", body) if b"\n" in body else body


def _encoding(body: bytes) -> bytes:
    """Return the encoding that is named, or else 7bit (RFC 2045 section 6.1)."""
    name = body.strip(b" \t")
    if is_known(name):
        return name
    return encoding_name(name) if is_known(encoding_name(name)) else token(body) or b"7bit"
