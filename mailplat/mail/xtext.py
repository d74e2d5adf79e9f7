"""Addresses and identifiers in DSN parameters (RFC 3461 section 4, RFC 6533 section 3)."""

from __future__ import annotations

import re

from mailplat.mail.envelope import OriginalRecipient
from mailplat.mail.errors import BadParameter

LONGEST_PARAMETER = 500  # octets of ORCPT, RFC 3461 section 4.2
LONGEST_ENVELOPE_ID = 100  # octets of ENVID, section 4.4
UTF8 = "utf-8"  # the address type of RFC 6533
RFC822 = "rfc822"

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_HEX = re.compile(r"\+([0-9A-F]{2})")
_TO_HEX = re.compile(r"[^!-*,-<>-~]")
_TYPE = re.compile(r"[A-Za-z0-9.\-]{1,40}")
_NOT_PRINTABLE = re.compile(r"[^ -~]")
_POINT = re.compile(r"\\x\{([0-9A-F]{2,6})\}", re.IGNORECASE)
_TO_POINT = re.compile(r"[^!-*,-<>-\[\]-~]")  # QCHAR of RFC 6533
_TO_POINT_IN_UTF8 = re.compile(r"[^!-*,-<>-\[\]-~\u0080-\U0010ffff]")  # QUCHAR
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def xtext(text: str) -> str:
    """Return printable ASCII as a parameter has it; raises `BadParameter` for other."""
    if _NOT_PRINTABLE.search(text):
        raise BadParameter(f"can't be written as xtext: {text[:LONGEST_PARAMETER]!r}")
    return _TO_HEX.sub(lambda found: f"+{ord(found[0]):02X}", text)


def from_xtext(parameter: str) -> str:
    """Return what xtext says; raises `BadParameter` if it is none or isn't printable."""
    if len(parameter) > LONGEST_PARAMETER or not _XTEXT.fullmatch(parameter):
        raise BadParameter(f"no xtext: {parameter[:LONGEST_PARAMETER]!r}")
    text = _HEX.sub(lambda found: chr(int(found[1], 16)), parameter)
    if _NOT_PRINTABLE.search(text):
        raise BadParameter(f"not printable: {text!r}")
    return text


def envelope_id(parameter: str) -> str:
    """Return what ENVID says; raises `BadParameter` (RFC 3461 section 4.4)."""
    if len(parameter) > LONGEST_ENVELOPE_ID:
        raise BadParameter(f"an ENVID of {len(parameter)} octets")
    return from_xtext(parameter)


def original_recipient(parameter: str) -> OriginalRecipient:
    """Return what ORCPT says; raises `BadParameter`.

    An address of type utf-8 may be written in all three forms of RFC 6533.
    """
    kind, semicolon, encoded = parameter.partition(";")
    if not semicolon or not _TYPE.fullmatch(kind) or len(parameter) > LONGEST_PARAMETER:
        raise BadParameter(f"no ORCPT: {parameter[:LONGEST_PARAMETER]!r}")
    if kind.lower() != UTF8:
        return OriginalRecipient(kind, from_xtext(encoded))
    address = _POINT.sub(_character, encoded)
    if not encoded or " " in encoded or _CONTROL.search(address):
        raise BadParameter(f"no ORCPT: {parameter!r}")
    return OriginalRecipient(kind, address)


def _character(found: re.Match[str]) -> str:
    point = int(found[1], 16)
    return chr(point) if point < 0x110000 else found[0]


def orcpt(original: OriginalRecipient, *, utf8: bool = False) -> str:
    """Return an address as ORCPT has it; with ``utf8`` for a server that offers SMTPUTF8.

    Raises `BadParameter` where it has none that can be written.
    """
    if original.type.lower() != UTF8:
        return f"{original.type};{xtext(original.address)}"
    if utf8 and not _CONTROL.search(original.address):
        return f"{original.type};{_TO_POINT_IN_UTF8.sub(_point, original.address)}"
    return f"{original.type};{utf8_xtext(original.address)}"


def utf8_xtext(address: str) -> str:
    """Return an address in ASCII by the numbers of its characters (``utf-8-addr-xtext``)."""
    if _CONTROL.search(address):
        raise BadParameter(
            f"a control character in an address: {address[:LONGEST_PARAMETER]!r}"
        )
    return _TO_POINT.sub(_point, address)


def _point(found: re.Match[str]) -> str:
    return f"\\x{{{ord(found[0]):02X}}}"
