"""Domains and aliases: which addresses are ours, and where they lead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mailplat.app.newhouse import dns_records
from mailplat.app.operations import dkim
from mailplat.app.operations.desk import Desk
from mailplat.mail.address import Address, domain_of
from mailplat.mail.errors import (
    AlreadyExists,
    BadAddress,
    BadParameter,
    NoSuchAddress,
    NotPermitted,
)
from mailplat.mail.people import Alias

Row = dict[str, Any]


def _row(alias: Alias) -> Row:
    return {"source": alias.source, "targets": list(alias.targets)}


async def list_aliases(desk: Desk) -> list[Row]:
    """Return every alias."""
    return [_row(alias) for alias in await desk.people.aliases()]


async def add_alias(desk: Desk, source: str, targets: list[str]) -> Row:
    """Make an address lead to others; the same alias again changes nothing.

    Refused are targets that nobody here has: mail for them would be refused for good.
    """
    for target in targets:
        await _check_end(desk, target, source)
    try:
        return _row(await desk.people.add_alias(source, targets))
    except AlreadyExists:
        for alias in await desk.people.aliases():
            if alias.source == _source_key(source) and _keys(alias.targets) == _keys(targets):
                return _row(alias)
        raise


async def _check_end(desk: Desk, target: str, source: str) -> None:
    """Refuse an address that no mail can be carried to."""
    address = Address.parse(target)
    places = await desk.directory.places(address)
    if elsewhere := [str(place.address) for place in places if place.address]:
        raise NotPermitted(
            f"{source} can't lead to {', '.join(elsewhere)}: nothing is sent to other hosts yet"
        )
    if not places:
        raise NoSuchAddress(
            f"{source} can't lead to {address}: no account and no alias has that address"
        )


def _source_key(source: str) -> str:
    if source.startswith("@"):
        return f"@{domain_of(source[1:])}"
    return Address.parse(source).key


def _keys(addresses: Iterable[str]) -> set[str]:
    return {Address.parse(address).key for address in addresses}


async def remove_alias(desk: Desk, source: str) -> Row:
    """Forget an alias."""
    try:
        return _row(await desk.people.remove_alias(source))
    except NoSuchAddress:
        if not desk.repeated:
            raise
        return {"source": source, "targets": []}


async def list_domains(desk: Desk) -> list[Row]:
    """Return every domain whose mail is kept here."""
    return [{"name": domain.name} for domain in await desk.people.domains()]


async def add_domain(desk: Desk, name: str, postmaster: str = "") -> Row:
    """Take mail for a domain; its postmaster and abuse lead to ``postmaster``.

    Left out, they lead to the postmaster of the house's first domain.
    """
    if not postmaster:
        domains = await desk.people.domains()
        postmaster = f"postmaster@{domains[0].name if domains else name}"
    where = Address.parse(postmaster).domain
    if where != domain_of(name) and not await desk.directory.domain(where):
        raise NotPermitted(
            f"its postmaster can't be {postmaster}: nothing is sent to other hosts yet"
        )
    try:
        name = (await desk.people.add_domain(name, postmaster)).name
    except AlreadyExists:
        if not desk.repeated:
            raise
    return {"name": name, "postmaster": postmaster}


async def records_of_domain(desk: Desk, name: str) -> list[Row]:
    """Return the records to publish for a domain of ours, those of its keys among them."""
    try:
        known = domain_of(name)
    except BadAddress as problem:
        raise BadParameter(str(problem)) from None
    if known not in [domain.name for domain in await desk.people.domains()]:
        raise BadParameter(f"{name} is no domain of ours; `mailplat domain list` shows them")
    keys = await dkim.records(desk, known)
    return [
        *dns_records(desk.tree.configuration, known),
        *(
            {column: key[column] for column in ("name", "type", "value")}
            for key in keys
            if key["phase"] != "retired"
        ),
    ]


async def remove_domain(desk: Desk, name: str) -> Row:
    """Take no more mail for a domain."""
    try:
        return {"name": (await desk.people.remove_domain(name)).name}
    except NoSuchAddress:
        if not desk.repeated:
            raise
        return {"name": name}
