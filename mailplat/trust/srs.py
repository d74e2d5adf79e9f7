"""Rewrites the reverse-path of forwarded mail, and finds the way back (SRS).

Who forwards a stranger's message under the stranger's reverse-path fails SPF.
The Sender Rewriting Scheme (Shevek, "The Sender Rewriting Scheme", 2004) puts
the stranger's address into one of the forwarder's own:

    SRS0=HASH=DAY=domain=local@forwarder
    SRS1=HASH=first-forwarder==HASH=DAY=domain=local@second-forwarder

Whoever forwards again writes only the second form, however often, and a report
skips all forwarders between the first and the last.  The hash makes sure that
only what we have rewritten is taken back, and the day that it isn't for ever;
otherwise everybody could send through us to anybody.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32encode
from collections.abc import Callable
from hashlib import sha256

import attrs

from mailplat.mail.address import PATH, Address, domain_of
from mailplat.mail.errors import BadAddress

DAY = 86400  # seconds
DAYS = 1024  # after which the count of days begins anew
LASTS = 21  # days for which a rewritten address leads back

_HASH = 6  # letters: 30 bits, whatever becomes of their case
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # RFC 4648 section 6
_FIRST = re.compile(
    r"SRS0[=+-]([^=]{1,64})=([A-Z2-7]{2})=([^=]{1,255})=(.+)", re.IGNORECASE | re.DOTALL
)
_AGAIN = re.compile(r"SRS1[=+-]([^=]{1,64})=([^=]{1,255})=([=+-].+)", re.IGNORECASE | re.DOTALL)
_INSIDE = re.compile(r"SRS0([=+-].+)", re.IGNORECASE | re.DOTALL)


class BadReturn(ValueError):
    """An address that leads nowhere back; the text says why."""


def is_rewritten(address: Address) -> bool:
    """Say whether an address looks like a rewritten one, whoever wrote it."""
    return bool(_FIRST.fullmatch(address.local) or _AGAIN.fullmatch(address.local))


@attrs.frozen
class Rewriter:
    """Writes addresses of ``domain``, and reads them.

    The first of ``secrets`` makes hashes, and any of them is believed, so that a
    secret can be replaced without losing reports under way.
    """

    domain: str
    secrets: tuple[bytes, ...] = attrs.field(repr=False, validator=attrs.validators.min_len(1))
    lasts: int = LASTS

    def forwarded(self, sender: Address, now: float) -> Address:
        """Return the reverse-path under which a stranger's message is forwarded.

        ``now`` is in seconds since 1970.  Raises `BadAddress` if it would be
        longer than a path may be (RFC 5321 section 4.5.3.1.3).
        """
        if again := _AGAIN.fullmatch(sender.local):
            local = self._again(again[2].lower(), again[3])
        elif first := _INSIDE.fullmatch(sender.local):
            local = self._again(sender.domain, first[1])
        else:
            day = _written(int(now // DAY) % DAYS)
            inside = (day, sender.domain, sender.local)
            local = "=".join(("SRS0", self._hash(self.secrets[0], inside), *inside))
        address = Address(local, self.domain)
        if len(str(address).encode()) > PATH - 2:
            raise BadAddress(f"no room to forward for {sender}")
        return address

    def _again(self, first_forwarder: str, rest: str) -> str:
        inside = (first_forwarder, rest)
        return "=".join(("SRS1", self._hash(self.secrets[0], inside), *inside))

    def returned(self, recipient: Address, now: float) -> Address:
        """Return where a report for a rewritten address is to go.

        Raises `BadReturn` for what we have not written, or too long ago.
        """
        if first := _FIRST.fullmatch(recipient.local):
            day, domain, local = first[2].upper(), first[3].lower(), first[4]
            self._check(first[1], (day, domain, local))
            age = (int(now // DAY) - _read(day)) % DAYS
            if age > self.lasts and age != DAYS - 1:  # a clock may be a day ahead
                raise BadReturn(f"written {age} days ago")
            return _address(local, domain)
        if again := _AGAIN.fullmatch(recipient.local):
            domain, rest = again[2].lower(), again[3]
            self._check(again[1], (domain, rest))
            return _address(f"SRS0{rest}", domain)
        raise BadReturn("no rewritten address")

    def _check(self, found: str, inside: tuple[str, ...]) -> None:
        given = found.upper().encode("utf-8", "replace")
        hashes = (self._hash(secret, inside).encode() for secret in self.secrets)
        if not any(hmac.compare_digest(given, right) for right in hashes):
            raise BadReturn("not written by us")

    @staticmethod
    def _hash(secret: bytes, inside: tuple[str, ...]) -> str:
        """Hash the parts in lower case, since some hosts change the case of a local part."""
        octets = "=".join(inside).lower().encode("utf-8", "surrogatepass")
        return b32encode(hmac.digest(secret, octets, sha256))[:_HASH].decode()


def reverse_path(
    sender: Address | None,
    rewriter: Rewriter,
    is_ours: Callable[[str], bool],
    now: float,
) -> Address | None:
    """Return the reverse-path of a message that an alias or a redirect leads outside.

    The null one stays null, and one in a domain for which we may send (which
    ``is_ours`` knows) stays as it is.  Raises `BadAddress` without room.
    """
    if sender is None or is_ours(sender.domain):
        return sender
    return rewriter.forwarded(sender, now)


def _address(local: str, domain: str) -> Address:
    try:
        if domain.startswith("["):
            return Address(local, domain_of(domain))
        return Address.in_path(str(Address(local, domain)))
    except BadAddress as problem:
        raise BadReturn(str(problem)) from None


def _written(day: int) -> str:
    return _LETTERS[day >> 5] + _LETTERS[day & 31]


def _read(letters: str) -> int:
    return _LETTERS.index(letters[0]) * 32 + _LETTERS.index(letters[1])
