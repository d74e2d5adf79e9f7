"""The directory that keeps its people in the database."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

import attrs
from pydantic import Field
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.directory import audit, queries
from mailplat.directory.memory import Remembered
from mailplat.directory.passwords import Passwords
from mailplat.interfaces import House, IBus, IDirectory, IDirectoryAdmin, IVerified
from mailplat.mail.address import Address, domain_of
from mailplat.mail.errors import BadAddress
from mailplat.mail.events import CredentialsChanged
from mailplat.mail.finding import Finding
from mailplat.mail.people import Account, AccountId, Alias, Domain, Place
from mailplat.plugin import Settings
from mailplat.sql import Database, steps_of
from mailplat.workers import Workers

T = TypeVar("T")


class DirectorySettings(Settings):
    """Keys of ``[directory]``."""

    delimiter: str = Field(
        "+",
        max_length=1,
        description="What cuts a subaddress off a local part: name+tag; empty for none.",
    )


@implementer(IDirectory, IDirectoryAdmin, IVerified, ICredentialsChecker)
class Directory:
    """Domains, accounts and aliases, with the passwords that prove who is who.

    Nobody else changes the tables, so answers stay at hand until this object
    changes something: a recipient that was asked for before costs no thread.

    The name of the server itself is local too, and has a postmaster: reports come from
    there, and may be answered (RFC 5321 section 4.5.1).
    """

    log = Logger()
    credentialInterfaces = (IUsernamePassword,)  # noqa: N815 - Twisted calls us

    def __init__(
        self,
        settings: DirectorySettings,
        database: Database,
        workers: Workers,
        bus: IBus,
        house: House | None = None,
    ) -> None:
        self._delimiter = settings.delimiter
        self._hostname = house.hostname.lower() if house else ""
        self._database = database
        self._bus = bus
        self._passwords = Passwords(workers)
        self._ways: Remembered[Sequence[Place]] = Remembered()
        self._domains: Remembered[Domain | None] = Remembered()
        self._accounts: Remembered[Account | None] = Remembered()
        self._holders: Remembered[Account | None] = Remembered()

    async def prepare(self) -> None:
        """Bring the tables up to date; before anything else is asked."""
        steps = steps_of("mailplat.directory", self._database.dialect)
        await self._database.migrate("directory", steps)

    # Asking.

    async def domain(self, name: str) -> Domain | None:
        try:
            known = domain_of(name)
        except BadAddress:
            return None
        found = await self._domains.get(
            known, lambda: self._database.read(queries.domain, known)
        )
        return Domain(known) if found is None and known == self._hostname else found

    async def places(self, address: Address) -> Sequence[Place]:
        return await self._ways.get(address.key, lambda: self._follow(address))

    async def account(self, name: str) -> Account | None:
        try:
            key = _key(name)
        except BadAddress:
            return None
        return await self._accounts.get(key, lambda: self._database.read(queries.account, key))

    async def holder(self, account: AccountId) -> Account | None:
        return await self._holders.get(
            account, lambda: self._database.read(queries.holder, account)
        )

    async def may_send_as(self, account: Account, address: Address) -> bool:
        places = await self.places(address)
        return any(place.account and place.account.id == account.id for place in places)

    async def _follow(self, address: Address) -> Sequence[Place]:
        if address.domain == self._hostname and not await self._database.read(
            queries.domain, address.domain
        ):
            if not address.is_postmaster:
                return ()
            address = attrs.evolve(address, domain="")
        way = await self._database.read(queries.way, address, self._delimiter)
        for circle in way.circles:
            self.log.warn(
                "{address} leads in a circle by {circle}", address=address, circle=circle
            )
        return way.places

    async def verify(
        self, mend: bool, accounts: Collection[AccountId] | None = None
    ) -> Sequence[Finding]:
        findings: list[Finding] = []
        for rule in audit.RULES:
            try:
                findings += await self._database.read(audit.broken, rule)
            except Exception as problem:  # noqa: BLE001 - damage may do anything
                findings.append(Finding(f"can't tell whether {rule}", detail=str(problem)))
        return findings

    # Proving.

    def requestAvatarId(self, credentials: IUsernamePassword) -> Deferred[bytes | tuple[()]]:
        """Return the name of the account whose password was given (see `ICredentialsChecker`).

        Raises `UnauthorizedLogin` after the same work for a wrong password, a
        name that nobody has and an account that is disabled, and `Overloaded`
        when too many wait.
        """
        return Deferred.fromCoroutine(self._prove(credentials.username, credentials.password))

    async def _prove(self, username: bytes, password: bytes) -> bytes | tuple[()]:
        try:
            name = _key(username.decode())
        except (BadAddress, UnicodeDecodeError):
            name = ""
        account, stored = await self._database.read(queries.password, name) or (None, None)
        proven = await self._passwords.matches(stored, password)
        if not (proven and account and account.enabled):
            raise UnauthorizedLogin("name and password do not belong together")
        return account.name.encode()

    # Changing.

    async def accounts(self) -> Sequence[Account]:
        return await self._database.read(queries.accounts)

    async def add_account(self, name: str, password: bytes) -> Account:
        stored = await self._passwords.hash(password)
        return await self._change(queries.add_account, secrets.token_hex(8), _key(name), stored)

    async def set_password(self, name: str, password: bytes) -> Account:
        stored = await self._passwords.hash(password)
        return await self._change_account(queries.set_password, _key(name), stored)

    async def enable_account(self, name: str, enabled: bool) -> Account:
        return await self._change_account(queries.enable_account, _key(name), enabled)

    async def why_needed(self, name: str) -> str:
        return await self._database.read(queries.why_needed, _key(name), self._delimiter)

    async def remove_account(self, name: str) -> Account:
        return await self._change_account(queries.remove_account, _key(name))

    async def aliases(self) -> Sequence[Alias]:
        return await self._database.read(queries.aliases)

    async def add_alias(self, source: str, targets: Sequence[str]) -> Alias:
        written = [str(Address.parse(target)) for target in targets]
        if not written:
            raise BadAddress(f"{source} would lead nowhere")
        return await self._change(queries.add_alias, _source(source), written, self._delimiter)

    async def remove_alias(self, source: str) -> Alias:
        return await self._change(queries.remove_alias, _source(source))

    async def domains(self) -> Sequence[Domain]:
        return await self._database.read(queries.domains)

    async def add_domain(self, name: str, postmaster: str) -> Domain:
        written = str(Address.parse(postmaster))
        return await self._change(queries.add_domain, domain_of(name), written)

    async def remove_domain(self, name: str) -> Domain:
        return await self._change(queries.remove_domain, domain_of(name))

    def _change(self, unit: Callable[..., T], *args: Any) -> Deferred[T]:
        return _to_its_end(self._write(unit, *args))

    def _change_account(self, unit: Callable[..., Account], *args: Any) -> Deferred[Account]:
        return _to_its_end(self._write_account(unit, *args))

    async def _write(self, unit: Callable[..., T], *args: Any) -> T:
        try:
            return await self._database.write(unit, *args)
        finally:
            for remembered in (self._ways, self._domains, self._accounts, self._holders):
                remembered.forget()

    async def _write_account(self, unit: Callable[..., Account], *args: Any) -> Account:
        account = await self._write(unit, *args)
        self._bus.publish([CredentialsChanged(account.id)])
        return account


def _to_its_end(change: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """Begin a change that goes on though nobody waits for it any more.

    Otherwise what was known before it would stay at hand.
    """
    changed: Deferred[T] = Deferred()
    Deferred.fromCoroutine(change).chainDeferred(changed)
    return changed


def _key(name: str) -> str:
    return Address.parse(name).key


def _source(text: str) -> str:
    """Return an alias's source in its one spelling; ``@domain`` catches all the rest."""
    return f"@{domain_of(text[1:])}" if text.startswith("@") else _key(text)
