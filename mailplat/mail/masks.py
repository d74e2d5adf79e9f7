"""Shows addresses of hosts inside as those of the house: masquerading."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mailplat.mail.address import Address
from mailplat.mail.addresslist import NamedAddress, address_field, addresses_in
from mailplat.mail.header import Header, name_of

FIELDS = frozenset(
    b"from sender reply-to to cc bcc resent-from resent-sender resent-to resent-cc"
    b" resent-bcc resent-reply-to".split()
)
"""Fields in which addresses are shown (RFC 5322 sections 3.6.2, 3.6.3 and 3.6.6)."""


@attrs.frozen
class Mask:
    """Which addresses are shown as others.

    ``addresses`` says it of single ones, by `Address.key`, and of all of a domain
    by ``@domain``.  Else whoever is below one of ``domains`` is shown as in it,
    unless the local part is among ``spared``.
    """

    domains: tuple[str, ...] = ()
    spared: frozenset[str] = frozenset()
    addresses: Mapping[str, str] = attrs.field(factory=dict)

    def of(self, address: Address) -> Address:
        """Return the address as it is to be shown."""
        if known := self.addresses.get(address.key):
            return Address.parse(known)
        if known := self.addresses.get(f"@{address.domain}"):
            return Address(address.local, known.removeprefix("@"))
        if address.local.casefold() in self.spared:
            return address
        for domain in self.domains:
            if address.domain.endswith(f".{domain}"):
                return Address(address.local, domain)
        return address


@attrs.frozen
class MaskFields:
    """Writes every field anew in which an address is to be shown as another.

    A field that can't be read as a plain list stays as it is.
    """

    mask: Mask

    def __str__(self) -> str:
        return "masks addresses"

    def __call__(self, lines: list[bytes]) -> list[bytes]:
        return [
            self._masked(line) if name_of(line).lower() in FIELDS else line for line in lines
        ]

    def _masked(self, line: bytes) -> bytes:
        [field] = Header(line).fields
        found = addresses_in(field.body)
        if found.groups or found.broken or found.cut:
            return line
        masked = [self._shown(one) for one in found.addresses]
        if masked == list(found.addresses):
            return line
        try:
            return address_field(field.name, masked)
        except ValueError:  # one of them could be in no envelope
            return line

    def _shown(self, named: NamedAddress) -> NamedAddress:
        address = named.address
        shown = self.mask.of(address) if address else None
        if shown is None or shown == address:
            return named
        local, domain = shown.local.encode(), shown.domain.encode()
        return attrs.evolve(named, route=None, local=local, domain=domain)
