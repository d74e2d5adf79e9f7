"""Bodies that are elsewhere, described and never fetched (RFC 2046 section 5.2.3, RFC 2017)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mailplat.mail.content import Octets
from mailplat.mail.fields import identifier_field, one_line, parameter_field
from mailplat.mail.header import Header, body_begins
from mailplat.mail.multipart import MimePart
from mailplat.mail.parameters import MediaType, media_type

LONGEST_SHOWN = 500  # characters of what is shown of a place
_OF_ACCESS = {"ftp": "ftp", "anon-ftp": "ftp", "tftp": "tftp"}


@attrs.frozen
class ExternalBody:
    """What a message/external-body says: where a body can be had, and what it is.

    ``header`` are the fields that the body would have; ``note`` the octets
    behind them, which only say something for the access type mail-server.
    """

    access: str  # in small letters
    type: MediaType
    header: Header
    note: bytes

    @property
    def content_type(self) -> MediaType:
        """What the body would be."""
        return media_type(self.header.body(b"Content-Type"))

    @property
    def place(self) -> str:
        """Where it is, as one line of text for people; programs never follow it unasked."""
        return one_line(self._place(), LONGEST_SHOWN)

    def _place(self) -> str:
        if self.access == "url":  # RFC 2017 section 3.1: white space in it is none of it
            return "".join(self._said("url").split())
        if scheme := _OF_ACCESS.get(self.access):
            path = [one.strip("/") for one in (self._said("directory"), self._said("name"))]
            return f"{scheme}://{'/'.join(filter(None, [self._said('site'), *path]))}"
        if self.access == "mail-server":
            return f"mailto:{self._said('server')}"
        return self._said("name")

    def _said(self, name: str) -> str:
        return self.type.parameters.text(name.encode()) or ""


def external_body(type_: MediaType, body: bytes) -> ExternalBody | None:
    """Return what a part of that type and body says; None if it is of another type."""
    access = type_.parameters.text(b"access-type")
    if type_.name != "message/external-body" or not access:
        return None
    return ExternalBody(
        one_line(access.strip().lower(), LONGEST_SHOWN),
        type_,
        Header.parse(body),
        body[body_begins(body) :],
    )


def external_part(
    access: str, parameters: Mapping[str, str], content_type: str, content_id: bytes
) -> MimePart:
    """Return a part that says where a body of some type can be had.

    Raises `ValueError` for controls, and for an identifier that is none, which
    such a part must have.
    """
    identifier = identifier_field(b"Content-ID", [content_id])
    if not identifier:
        raise ValueError(f"no identifier: {content_id!r}")
    fields = parameter_field(
        b"Content-Type", "message/external-body", {"access-type": access, **parameters}
    )
    inner = parameter_field(b"Content-Type", content_type, {}) + identifier + b"\r\n"
    return MimePart(fields, Octets(inner), bare=(Octets(inner),))
