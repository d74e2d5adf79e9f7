"""Brings SASL and twisted.cred together, remembers proven logins, slows down guessers.

For those who write sessions:

- Ask `Logins.mechanisms` what may be offered on a connection, and let
  `Logins.insist_on_privacy` refuse the rest.
- Say each step of SASL to what `Logins.begin` returned, or a name and password
  to `Logins.by_password`.  Both end with the `Account`, or raise.
- Count the `LoginFailed`s yourself, and close after `Limits.login_attempts`.
- `Logins.join` a connection to its account before anything is awaited after the
  login, and `Logins.leave` it at the end: when the credentials change, the
  connection is ended.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import ip_network
from typing import Any, Literal, TypeAlias, cast

import attrs
from pydantic import Field
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.cred.strcred import StrcredException, makeChecker
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import Interface, classImplements, implementer

from mailplat.interfaces import IBus, IDirectory, ILifetime
from mailplat.mail.address import Address
from mailplat.mail.errors import (
    BadAddress,
    EncryptionRequired,
    LoginFailed,
    LoginRequired,
    LoginUnavailable,
    MailError,
)
from mailplat.mail.events import CredentialsChanged
from mailplat.mail.people import Account, AccountId
from mailplat.mail.transit import Peer, network_of
from mailplat.plugin import ConfigError, Settings
from mailplat.portals.connection import Connection
from mailplat.portals.doorkeeper import Doorkeeper, lies_in
from mailplat.portals.guessers import FREE_GUESSES, Guessers
from mailplat.wire.sasl import MECHANISMS, Exchange, Password

PROVEN_FOR = 600.0  # seconds
PROVEN = 10_000  # logins remembered
LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1")]
SHOWN = 100  # characters of a name in the log


class LoginSettings(Settings):
    """Keys of ``[login]``: how accounts prove who they are."""

    login_without_tls: Literal["never", "loopback"] = Field(
        "never",
        description="Who may log in without TLS: nobody, or clients on this machine.",
    )
    checkers: tuple[str, ...] = Field(
        (),
        description="Who else is asked whether a password is right, after the directory: "
        "Twisted's checkers by their strings, such as `file:/etc/mailplat/passwords`.",
    )


class IProven(Interface):
    """An account whose holder has proven who they are: what our realm gives."""


classImplements(Account, IProven)


@attrs.frozen
class _Proven:
    """A login that was right, as long as the account stays as it was."""

    account: Account
    until: float


@implementer(ILifetime)
class Logins:
    """Says whose account a name and its proof belong to.

    A wrong password, a name that nobody has and a disabled account get the
    same words after the same work.  What was right is remembered for ten
    minutes, by a hash that is keyed for this process, and forgotten at once
    when anything about the account changes; what was wrong never is, so that
    each guess costs a hash.
    """

    log = Logger()

    def __init__(
        self,
        settings: LoginSettings,
        directory: IDirectory,
        bus: IBus,
        clock: IReactorTime,
        doorkeeper: Doorkeeper,
    ) -> None:
        self._without_tls = settings.login_without_tls
        self._directory = directory
        self._clock = clock
        self._doorkeeper = doorkeeper
        self._portal = Portal(_Realm(directory), [_checker(directory, settings.checkers)])
        self._key = os.urandom(32)
        self._proven: dict[bytes, _Proven] = {}  # oldest first
        self._inside: dict[AccountId, set[Connection]] = {}
        self._by_network: Guessers[str] = Guessers(clock, free=0, in_turn=True)
        self._by_name: Guessers[str] = Guessers(clock, free=FREE_GUESSES, in_turn=False)
        self._stop_hearing = bus.subscribe(CredentialsChanged, self._forget)

    async def prepare(self) -> None:
        """Nothing to make ready (see `mailplat.interfaces.ILifetime`)."""

    async def finish(self) -> None:
        """Hear of no more changes."""
        self._stop_hearing()

    # What may be offered.

    def is_private(self, connection: Connection) -> bool:
        """Say whether passwords may be said on this connection."""
        if connection.secured:
            return True
        host = connection.peer.host
        return self._without_tls == "loopback" and (not host or lies_in(host, LOOPBACK))

    def insist_on_privacy(self, connection: Connection) -> None:
        """Raise `EncryptionRequired` where passwords may not be said."""
        if not self.is_private(connection):
            raise EncryptionRequired(f"a login without TLS by {connection.peer}")

    def mechanisms(self, connection: Connection) -> tuple[str, ...]:
        """Return the SASL mechanisms to offer on this connection, the best first."""
        return tuple(MECHANISMS) if self.is_private(connection) else ()

    # Proving.

    def begin(self, mechanism: str, *, peer: Peer, protocol: str) -> Proof:
        """Begin a SASL exchange; raises `UnknownMechanism`."""
        return Proof(self, Exchange(mechanism), peer, protocol)

    async def by_password(
        self, name: str, password: bytes, *, peer: Peer, protocol: str, acting_as: str = ""
    ) -> Account:
        """Return the account that ``name`` and ``password`` belong to.

        ``acting_as`` is an authorization identity; it must be the same account.
        Raises `LoginFailed`, or `Overloaded` or `LoginUnavailable` if nobody can
        say now.  Guessers wait here.
        """
        secret = self._digest(name, password)
        account = await self._remembered(secret)
        if account is None:
            account = await self._prove(name, password, secret, peer, protocol)
        if acting_as:
            other = await self._directory.account(acting_as)
            if other is None or other.id != account.id:
                raise LoginFailed(f"{account.name} may not act as {acting_as[:SHOWN]!r}")
        self._doorkeeper.know(peer)
        return account

    async def _prove(
        self, name: str, password: bytes, secret: bytes, peer: Peer, protocol: str
    ) -> Account:
        network = network_of(peer.host)
        counted = not self._doorkeeper.is_uncounted(peer.host)
        written = _one_spelling(name)
        with ExitStack() as turns:
            if counted:
                turns.enter_context(await self._by_network.turn(network))
            turns.enter_context(await self._by_name.turn(written))
            try:
                account = await self._ask_portal(name, password)
            except LoginFailed:
                self.log.info(
                    "{protocol} login of {name} by {peer} failed",
                    protocol=protocol,
                    name=name[:SHOWN],
                    peer=peer,
                )
                if counted:
                    self._by_network.wrong(network, secret)
                self._by_name.wrong(written, secret)
                raise
        self._by_name.right(written)
        self._remember(secret, account)
        return account

    async def _ask_portal(self, name: str, password: bytes) -> Account:
        credentials = UsernamePassword(name.encode(), password)
        before = await self._directory.account(name)
        try:
            _interface, avatar, _logout = await self._portal.login(credentials, None, IProven)
        except UnauthorizedLogin as problem:
            raise LoginFailed(str(problem)) from None
        except MailError:
            raise
        except Exception as problem:
            self.log.failure("a login could not be checked")
            raise LoginUnavailable(repr(problem)) from problem
        account = cast("Account", avatar)
        if before and before.credential_version != account.credential_version:
            raise LoginFailed(f"the credentials of {account.name} changed meanwhile")
        return account

    # Remembering.

    def _digest(self, name: str, password: bytes) -> bytes:
        said = hashlib.blake2b(key=self._key, digest_size=32)
        said.update(hashlib.blake2b(name.encode()).digest())
        said.update(password)
        return said.digest()

    async def _remembered(self, secret: bytes) -> Account | None:
        proven = self._proven.get(secret)
        if proven is None:
            return None
        account = await self._directory.account(proven.account.name)
        if account == proven.account and self._clock.seconds() < proven.until:
            return account
        self._proven.pop(secret, None)
        return None

    def _remember(self, secret: bytes, account: Account) -> None:
        self._proven.pop(secret, None)
        self._proven[secret] = _Proven(account, self._clock.seconds() + PROVEN_FOR)
        if len(self._proven) > PROVEN:
            del self._proven[next(iter(self._proven))]

    # Sessions.

    def join(self, account: AccountId, connection: Connection) -> None:
        """End the connection when the account's credentials change."""
        self._inside.setdefault(account, set()).add(connection)

    def leave(self, account: AccountId, connection: Connection) -> None:
        """Forget a connection that has ended."""
        inside = self._inside.get(account)
        if inside is None:
            return
        inside.discard(connection)
        if not inside:
            del self._inside[account]

    def _forget(self, event: CredentialsChanged) -> None:
        for secret in [s for s, p in self._proven.items() if p.account.id == event.account]:
            del self._proven[secret]
        for connection in tuple(self._inside.get(event.account, ())):
            connection.end(LoginRequired("the account's credentials have changed"))


class Proof:
    """One SASL exchange of one connection."""

    __slots__ = ("_exchange", "_logins", "_peer", "_protocol")

    def __init__(self, logins: Logins, exchange: Exchange, peer: Peer, protocol: str) -> None:
        self._logins = logins
        self._exchange = exchange
        self._peer = peer
        self._protocol = protocol

    async def step(self, octets: bytes | None) -> bytes | Account:
        """Return the next challenge to send, or the account if the login is done.

        ``octets`` is a response already decoded; at the first step the initial
        response, or None where there is none.  Raises `BadSyntax`, and what
        `Logins.by_password` raises; the exchange is over then.
        """
        said = self._exchange.step(octets)
        match said:
            case Password():
                return await self._logins.by_password(
                    said.authcid,
                    said.password,
                    peer=self._peer,
                    protocol=self._protocol,
                    acting_as=said.authzid,
                )
            case _:
                return said


# The pieces of twisted.cred.

Avatar: TypeAlias = tuple[type[Interface], object, Callable[[], None]]


@implementer(IRealm)
@attrs.frozen
class _Realm:
    """Turns the name that a checker has proven into the account of that name."""

    _directory: IDirectory

    def requestAvatar(
        self,
        avatarId: bytes | tuple[()],  # noqa: N803 - Twisted calls us
        mind: object,
        *interfaces: type[Interface],
    ) -> Deferred[Avatar]:
        return Deferred.fromCoroutine(self._account(avatarId))

    async def _account(self, proven: bytes | tuple[()]) -> Avatar:
        account = await self._directory.account(proven.decode()) if proven else None
        if account is None or not account.enabled:
            raise UnauthorizedLogin("no such account, or one that is disabled")
        return IProven, account, _nothing_to_do


def _nothing_to_do() -> None:
    return None


@implementer(ICredentialsChecker)
@attrs.frozen
class _InTurn:
    """Asks several checkers, until one of them says that the password is right."""

    credentialInterfaces = (IUsernamePassword,)  # noqa: N815 - Twisted calls us

    _checkers: tuple[ICredentialsChecker, ...]

    def requestAvatarId(self, credentials: IUsernamePassword) -> Deferred[bytes | tuple[()]]:
        return Deferred.fromCoroutine(self._ask(credentials))

    async def _ask(self, credentials: IUsernamePassword) -> bytes | tuple[()]:
        for checker in self._checkers:
            try:
                return await maybeDeferred(checker.requestAvatarId, credentials)
            except UnauthorizedLogin:
                continue
        raise UnauthorizedLogin("name and password do not belong together")


def _checker(directory: IDirectory, strings: tuple[str, ...]) -> ICredentialsChecker:
    """Return the directory's checker, if it is one, and those that the strings name."""
    checkers = [directory] if ICredentialsChecker.providedBy(directory) else []
    make: Callable[[str], Any] = makeChecker
    for string in strings:
        try:
            checker = make(string)
        except (StrcredException, ValueError, TypeError, OSError) as problem:
            raise ConfigError(f"checkers: {string!r} can't be used: {problem}") from None
        if IUsernamePassword not in checker.credentialInterfaces:
            raise ConfigError(f"checkers: {string!r} does not know about passwords")
        checkers.append(checker)
    if not checkers:
        raise ConfigError("nobody here knows passwords: [login] needs checkers")
    return _InTurn(tuple(checkers))


def _one_spelling(name: str) -> str:
    """Return what all spellings of one login name have in common, so that guesses add up."""
    try:
        return Address.parse(name).key
    except BadAddress:
        return name[:SHOWN].lower()
