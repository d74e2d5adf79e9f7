"""The charset that HTML names itself, found as browsers find it.

This is the prescan of the HTML standard (section 13.2.3.2), which decides for
whoever reads a text/html part: display, search and rewriting alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mailplat.mail.characters import GUESSED, codec_of

LOOKED_AT = 1024  # octets

_OPENS = re.compile(
    rb"<(?:(meta)(?=[\t\n\f\r /])|/?[a-z][^\t\n\f\r >]*+|[!/?][^>]*+)", re.IGNORECASE
)
_ATTRIBUTE = re.compile(
    rb"[\t\n\f\r /]*+([^\t\n\f\r />][^\t\n\f\r />=]*+)"
    rb"(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+"
    rb"(?:\"([^\"]*+)(?:\"|\Z)|'([^']*+)(?:'|\Z)|([^\t\n\f\r >\"'][^\t\n\f\r >]*+)?+))?+"
)
_BEHIND_ATTRIBUTES = re.compile(rb"[\t\n\f\r /]*+>")
_CHARSET = re.compile(
    rb"charset[\t\n\f\r ]*+=[\t\n\f\r ]*+"
    rb"(?:\"([^\"]*+)\"|'([^']*+)'|([^\t\n\f\r ;\"'][^\t\n\f\r ;]*+))",
    re.IGNORECASE,
)


def charset_in(html: bytes) -> str:
    """Return the label of the charset that a meta element names, or an empty text.

    It is one that `codec_of` knows.  What lies behind 1024 octets, in a comment
    or in another element's attributes names nothing.
    """
    for attributes in _metas(html[:LOOKED_AT]):
        if label := _named(attributes):
            return label
    return ""


def _metas(html: bytes) -> Iterator[dict[bytes, bytes]]:
    """Yield the attributes of each meta element that ends here, the first of each name."""
    at = 0
    while (at := html.find(b"<", at)) >= 0:
        if html.startswith(b"<!--", at):
            end = html.find(b"-->", at + 2)  # whose dashes may be those that open it
            if end < 0:
                return
            at = end
        elif opens := _OPENS.match(html, at):
            attributes, at = _attributes(html, opens.end())
            if opens[1] and _BEHIND_ATTRIBUTES.match(html, at):
                yield attributes
        else:
            at += 1


def _attributes(html: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """Return the attributes that begin here, and where they end."""
    found: dict[bytes, bytes] = {}
    while attribute := _ATTRIBUTE.match(html, at):
        name, *values = attribute.groups(b"")
        found.setdefault(name.lower(), b"".join(values))
        at = attribute.end()
    return found, at


def _named(attributes: dict[bytes, bytes]) -> str:
    if b"charset" in attributes:
        return _label(attributes[b"charset"])
    if attributes.get(b"http-equiv", b"").lower() != b"content-type":
        return ""
    found = _CHARSET.search(attributes.get(b"content", b""))
    return _label(b"".join(found.groups(b""))) if found else ""


def _label(octets: bytes) -> str:
    """Return a label as browsers take it: no text in UTF-16 could have shown it to us."""
    label = octets.decode("latin-1").strip("\t\n\f\r ").lower()
    if label == "x-user-defined":
        return "windows-1252"
    codec = codec_of(label)
    if codec.startswith(("utf-16", "utf-32")):
        return "utf-8"
    return "" if codec in (GUESSED, "utf-7") else label
