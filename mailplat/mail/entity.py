"""What the header of a part says of its body (RFC 2045 section 3, RFC 2183, 3282, 2557)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from mailplat.mail.encodings import IDENTITIES, encoding_name, is_known
from mailplat.mail.header import Telling, telling_fields
from mailplat.mail.layout import Kind
from mailplat.mail.parameters import (
    LONGEST_BODY,
    TEXT_PLAIN,
    Disposition,
    MediaType,
    Parameters,
    disposition,
    media_type,
    token,
    tokens,
)

_OTHER, _TEXT, _MULTIPART, _MESSAGE = Kind


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
    kind: Kind = _TEXT  # as far as the header alone says

    @property
    def is_attachment(self) -> bool:
        """Whether it is to be saved rather than shown with the message (RFC 2183).

        It is if it says so, has the name of a file, or is a message itself.
        """
        if self.kind is _MESSAGE:
            return True
        disposed = self.disposition
        return _names_file(self.media_type.parameters) or (
            disposed is not None
            and (disposed.is_attachment or _names_file(disposed.parameters))
        )


def _names_file(parameters: Parameters) -> bool:
    for name, _ in parameters:
        if name.lower().partition(b"*")[0] in (b"filename", b"name"):
            return True
    return False


_entity: Callable[[tuple[object, ...]], Entity] = partial(tuple.__new__, Entity)  # quicker


def _kind(type_: MediaType, encoding: bytes) -> Kind:
    """Return what a part is; a message that is encoded is none that can be looked into.

    Multiparts are looked into whatever encoding they claim to have: none is
    allowed (RFC 2045 section 6.4), and many have one.
    """
    kind = _KINDS.get(type_.type.lower(), _OTHER)
    if kind is _MESSAGE and not (
        type_.subtype.lower() in MESSAGES and encoding.lower() in IDENTITIES
    ):
        return _OTHER
    return kind


# Subtypes of message/* that have a message in them.
MESSAGES = frozenset((b"rfc822", b"global"))
_KINDS = {b"text": _TEXT, b"multipart": _MULTIPART, b"message": _MESSAGE}

OPAQUE = Entity(MediaType(b"application", b"octet-stream"), kind=_OTHER)
_IN_DIGESTS = MediaType(b"message", b"rfc822")  # of what says nothing (RFC 2046 section 5.1.5)


def read_entity(header: bytes, in_digest: bool = False) -> Entity:
    """Return what a header block says; in a digest a part without a type is a message."""
    return entity_of(telling_fields(header), in_digest)


def entity_of(telling: Telling, in_digest: bool = False) -> Entity:
    """Return the same of a header whose fields have been found."""
    said = telling.get(b"content-type")
    type_ = media_type(said[0]) if said else _IN_DIGESTS if in_digest else TEXT_PLAIN
    said = telling.get(b"content-transfer-encoding")
    encoding = _encoding(said[0]) if said else b"7bit"
    said = telling.get(b"content-disposition")
    disposed = disposition(said[0]) if said else None
    said = telling.get(b"content-language")
    language = tokens(said[0]) if said else ()
    id_, description, md5, location = map(telling.get, _AS_THEY_STAND)
    return _entity(
        (
            type_,
            encoding,
            id_[0][:LONGEST_BODY] if id_ else None,
            description[0][:LONGEST_BODY] if description else None,
            md5[0][:LONGEST_BODY] if md5 else None,
            disposed,
            language,
            location[0][:LONGEST_BODY] if location else None,
            _kind(type_, encoding),
        )
    )


_AS_THEY_STAND = (b"content-id", b"content-description", b"content-md5", b"content-location")


def _encoding(body: bytes) -> bytes:
    """Return the encoding that is named, or else 7bit (RFC 2045 section 6.1)."""
    name = body.strip(b" \t")
    if is_known(name):
        return name
    return encoding_name(name) if is_known(encoding_name(name)) else token(body) or b"7bit"
