"""What a part's header says, for the one pass in which a message is read."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from mailplat.mail.bodywords import Words, words_of
from mailplat.mail.entity import OPAQUE, Entity, entity_of, read_entity
from mailplat.mail.header import Telling
from mailplat.mail.layout import Kind

_OTHER, _TEXT, _MULTIPART, _MESSAGE = Kind
_SHORT = 512  # octets of a header that may be remembered


class Described(NamedTuple):
    """A part as far as it is needed to find those in it, and to describe it to IMAP.

    ``is_digest`` says whether parts in it that say no type are messages, the
    others are what its header says.
    """

    entity: Entity
    kind: Kind
    is_digest: bool
    is_attachment: bool
    boundary: bytes | None
    words: Words


def describe(entity: Entity) -> Described:
    """Return what there is to know of a part."""
    kind = entity.kind
    words = words_of(entity, kind)
    if kind is not _MULTIPART:
        return _described((entity, kind, False, entity.is_attachment, None, words))
    _, subtype, parameters = entity.media_type
    is_digest = subtype.lower() == b"digest"
    return _described((entity, kind, is_digest, False, parameters.octets(b"boundary"), words))


# Calling a NamedTuple takes thrice as long.
_described: Callable[[tuple[object, ...]], Described] = partial(tuple.__new__, Described)


def describe_fields(telling: Telling, in_digest: bool = False) -> Described:
    """Return what fields of a header say; in a digest a part without a type is a message."""
    return describe(entity_of(telling, in_digest))


def describe_header(header: bytes, in_digest: bool = False) -> Described:
    """Return what a header block says; most of those of parts are one of a few."""
    if len(header) <= _SHORT:
        return _remembered(header, in_digest)
    return describe(read_entity(header, in_digest))


@lru_cache(1024)
def _remembered(header: bytes, in_digest: bool) -> Described:
    return describe(read_entity(header, in_digest))


OPAQUE_PART = describe(OPAQUE)
