"""Mailboxes, domains, address literals; when two are the same (RFC 5321, 5891, 6531)."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from functools import lru_cache
from typing import Self

import attrs
import idna

from mailplat.mail.errors import BadAddress

LOCAL_PART = 64  # octets, RFC 5321 section 4.5.3.1.1
DOMAIN = 255  # octets, section 4.5.3.1.2
PATH = 256  # octets with the angle brackets, section 4.5.3.1.3

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_DOT_STRING = re.compile(rf"[{_ATEXT}\u0080-\U0010ffff]+(?:\.[{_ATEXT}\u0080-\U0010ffff]+)*")
_DOTTED = re.compile(rf"[{_ATEXT}.\u0080-\U0010ffff]+")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*)"')
_PLAIN_DOMAIN = re.compile(
    r"[a-z0-9](?:[a-z0-9\-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9\-]*[a-z0-9])?)*"
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@lru_cache(maxsize=4096)
def domain_of(text: str) -> str:
    """Return a domain in its one spelling: lower case, A-labels, no final dot.

    Address literals are returned in brackets, addresses in their short form.
    Raises `BadAddress` where the text is no domain (RFC 5321 section 4.1.2,
    RFC 5891 section 4.4).
    """
    if text.startswith("["):
        return _literal(text)
    lowered = text.lower().removesuffix(".")
    if not lowered.isascii():
        lowered = _ascii_domain(lowered)
    labels_fit = all(len(label) <= 63 for label in lowered.split("."))
    if len(lowered) > DOMAIN or not labels_fit or not _PLAIN_DOMAIN.fullmatch(lowered):
        raise BadAddress(f"{text[:DOMAIN]!r} is no domain")
    return lowered


def _ascii_domain(text: str) -> str:
    if len(text) > DOMAIN:
        raise BadAddress("a domain of more than 255 characters")
    try:
        return idna.encode(text, uts46=True).decode("ascii").lower()
    except idna.IDNAError as problem:
        raise BadAddress(f"{text!r} is no domain: {problem}") from None


def _literal(text: str) -> str:
    inside = text[1:-1]
    if not text.endswith("]") or len(text) > DOMAIN:
        raise BadAddress(f"{text[:DOMAIN]!r} is no address literal")
    try:
        if inside[:5].lower() == "ipv6:":
            return f"[IPv6:{ipaddress.IPv6Address(inside[5:])}]"
        return f"[{ipaddress.IPv4Address(inside)}]"
    except ValueError:
        raise BadAddress(f"{text!r} is no address literal") from None


@lru_cache(maxsize=4096)
def shown_domain(domain: str) -> str:
    """Return a domain with its A-labels as U-labels, for people to read.

    A label that is none, or that IDNA 2008 would not have made, stays as it is
    (RFC 5891 section 5.4).  For comparison and log files use `domain_of`.
    """
    if "xn--" not in domain.lower():
        return domain
    return ".".join(map(_shown_label, domain[:DOMAIN].split("."))) + domain[DOMAIN:]


def _shown_label(label: str) -> str:
    if label[:4].lower() != "xn--":
        return label
    try:
        return idna.ulabel(label)
    except UnicodeError:  # idna.IDNAError is one
        return label


def _host_of(text: str) -> str:
    """Return a domain as `domain_of` does, also one that has underscores in its labels."""
    if "_" not in text or not text.isascii():
        return domain_of(text)
    domain_of(text.replace("_", "x"))
    return text.lower().removesuffix(".")


def _divided(text: str, unquoted: re.Pattern[str]) -> tuple[str, str]:
    """Return local part and domain of a Mailbox, out of its quotes; raises `BadAddress`."""
    if quoted := _QUOTED.match(text):
        local, rest = _ESCAPE.sub(r"\1", quoted[1]), text[quoted.end() :]
    else:
        local, at, domain = text.rpartition("@")
        rest = at + domain
        if not unquoted.fullmatch(local):
            raise BadAddress(f"{text[:PATH]!r} has no local part that can be")
    if not local or not rest.startswith("@"):
        raise BadAddress(f"{text[:PATH]!r} lacks a local part or a domain")
    return local, rest[1:]


@attrs.frozen
class Address:
    """A mailbox as the envelope names it: local part, unquoted, and domain.

    ``domain`` is in `domain_of`'s spelling; it is empty for ``<postmaster>``
    alone (RFC 5321 section 4.5.1).
    """

    local: str
    domain: str
    _text: str = attrs.field(init=False, eq=False, repr=False)

    @_text.default
    def _written(self) -> str:
        local = self.local
        if not _DOT_STRING.fullmatch(local):
            escaped = local.replace("\\", "\\\\").replace('"', '\\"')
            local = f'"{escaped}"'
        return f"{local}@{self.domain}" if self.domain else local

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a Mailbox as RFC 5321 section 4.1.2 writes it; raises `BadAddress`."""
        local, domain = _divided(text, _DOT_STRING)
        if len(local.encode(errors="replace")) > LOCAL_PART:
            raise BadAddress(f"a local part of over {LOCAL_PART} octets: {text[:PATH]!r}")
        return cls(local, domain_of(domain))

    @classmethod
    def in_path(cls, text: str) -> Self:
        """Read a Mailbox as other hosts write it in a path; raises `BadAddress`.

        A local part may have dots anywhere, and be as long as a path: what
        forwarders and lists make of an address often is (RFC 5321 section
        4.5.3.1 wants no limits).  A domain may have underscores.
        """
        local, domain = _divided(text, _DOTTED)
        return cls(local, _host_of(domain))

    @property
    def key(self) -> str:
        """What two spellings of one local mailbox have in common."""
        local = self.local
        if not local.isascii():
            local = unicodedata.normalize("NFC", local)  # RFC 6532 section 3.1
        return f"{local.casefold()}@{self.domain}"

    @property
    def is_postmaster(self) -> bool:
        """Whether it is that of a domain's postmaster, in whatever case (RFC 5321 4.5.1)."""
        return self.local.casefold() == "postmaster"

    @property
    def shown(self) -> str:
        """The address for people to read, its domain in U-labels."""
        return self._text.removesuffix(self.domain) + shown_domain(self.domain)

    @property
    def is_ascii(self) -> bool:
        """Whether a host without SMTPUTF8 can be told this address."""
        return self.local.isascii()

    def __str__(self) -> str:
        return self._text


POSTMASTER = Address("postmaster", "")
