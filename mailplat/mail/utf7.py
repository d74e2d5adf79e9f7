"""Mailbox names in the modified UTF-7 of IMAP4rev1 (RFC 3501 section 5.1.3)."""

from __future__ import annotations

import base64
import binascii
import re

_SHIFTED = re.compile(r"&([A-Za-z0-9+,]{0,2000}+)-")
_NOT_ASCII = re.compile(r"[^\x20-\x7e]+|&")


def from_utf7(text: str) -> str:
    """Read modified UTF-7; what is none stays as it is."""
    return _SHIFTED.sub(_unshifted, text)


def _unshifted(found: re.Match[str]) -> str:
    if not (words := found[1]):
        return "&"
    try:
        octets = base64.b64decode(words.replace(",", "/") + "=" * (-len(words) % 4))
        return octets.decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return found[0]


def to_utf7(text: str) -> str:
    """Write modified UTF-7."""
    return _NOT_ASCII.sub(_shifted, text)


def _shifted(found: re.Match[str]) -> str:
    if found[0] == "&":
        return "&-"
    octets = base64.b64encode(found[0].encode("utf-16-be", "surrogatepass"))
    return f"&{octets.decode().rstrip('=').replace('/', ',')}-"
