"""Logins: who is proven, what is remembered, who waits."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailplat.bus import Bus
from mailplat.interfaces import IDirectory
from mailplat.mail.address import Address
from mailplat.mail.errors import (
    EncryptionRequired,
    LoginFailed,
    LoginUnavailable,
    MailError,
    Overloaded,
    UnknownMechanism,
)
from mailplat.mail.events import CredentialsChanged
from mailplat.mail.limits import Limits
from mailplat.mail.people import Account, AccountId, Domain, Place
from mailplat.mail.transit import Peer
from mailplat.plugin import ConfigError
from mailplat.portals.connection import Connection, Secured
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.login import IProven, Logins, LoginSettings

STRANGER = Peer("192.0.2.1", 4000)
LOCAL = Peer("127.0.0.1", 4000)


@implementer(IDirectory, ICredentialsChecker)
@attrs.define(eq=False)
class People:
    """A directory in memory that counts how often it had to compare."""

    credentialInterfaces = (IUsernamePassword,)

    accounts: dict[str, Account] = attrs.Factory(dict)
    passwords: dict[str, bytes] = attrs.Factory(dict)
    compared: int = 0
    trouble: Exception | None = None
    hold: Deferred[None] | None = None

    def add(self, name: str, password: bytes) -> Account:
        self.passwords[name] = password
        version = self.accounts[name].credential_version + 1 if name in self.accounts else 0
        self.accounts[name] = Account(AccountId(f"id-{name}"), name, credential_version=version)
        return self.accounts[name]

    async def account(self, name: str) -> Account | None:
        return self.accounts.get(name.lower())

    async def domain(self, name: str) -> Domain | None:
        return None

    async def places(self, address: Address) -> tuple[Place, ...]:
        return ()

    async def holder(self, account: AccountId) -> Account | None:
        raise NotImplementedError

    async def may_send_as(self, account: Account, address: Address) -> bool:
        return False

    def requestAvatarId(self, credentials: IUsernamePassword) -> Deferred[bytes]:
        return Deferred.fromCoroutine(self._prove(credentials))

    async def _prove(self, credentials: IUsernamePassword) -> bytes:
        self.compared += 1
        if self.trouble:
            raise self.trouble
        name = credentials.username.decode().lower()
        right = self.passwords.get(name) == credentials.password
        if self.hold:
            await self.hold
        if not right or not self.accounts[name].enabled:
            raise UnauthorizedLogin
        return name.encode()


@attrs.define(eq=False)
class Scene:
    clock: Clock
    people: People
    bus: Bus
    doorkeeper: Doorkeeper
    logins: Logins

    def login(self, name: str, password: bytes, peer: Peer = LOCAL) -> Deferred[Account]:
        return Deferred.fromCoroutine(
            self.logins.by_password(name, password, peer=peer, protocol="SMTP")
        )


def new_scene(**settings: object) -> Scene:
    clock, people = Clock(), People()
    people.add("alice@example.org", b"secret")
    bus, doorkeeper = Bus(clock), Doorkeeper(Limits(), clock)
    logins = Logins(LoginSettings(**settings), people, bus, clock, doorkeeper)
    return Scene(clock, people, bus, doorkeeper, logins)


@pytest.fixture
def scene() -> Scene:
    return new_scene()


async def test_the_right_password(scene: Scene) -> None:
    account = await scene.login("Alice@example.org", b"secret")
    assert account == scene.people.accounts["alice@example.org"]
    assert verifyObject(IProven, account)


@pytest.mark.parametrize(
    ("name", "password"),
    [("alice@example.org", b"wrong"), ("nobody@example.org", b"secret"), ("", b"secret")],
)
async def test_wrong_ones_get_the_same_words_and_work(
    scene: Scene, name: str, password: bytes
) -> None:
    with pytest.raises(LoginFailed):
        await scene.login(name, password)
    assert scene.people.compared == 1


async def test_a_disabled_account(scene: Scene) -> None:
    account = scene.people.accounts["alice@example.org"]
    scene.people.accounts["alice@example.org"] = attrs.evolve(account, enabled=False)
    with pytest.raises(LoginFailed):
        await scene.login("alice@example.org", b"secret")


async def test_what_was_right_is_remembered_for_a_while(scene: Scene) -> None:
    for _ in range(3):
        await scene.login("alice@example.org", b"secret")
    assert scene.people.compared == 1
    scene.clock.advance(599)
    await scene.login("alice@example.org", b"secret")
    assert scene.people.compared == 1
    scene.clock.advance(1)
    await scene.login("alice@example.org", b"secret")
    assert scene.people.compared == 2


async def test_what_was_wrong_is_never_remembered(scene: Scene) -> None:
    for _ in range(3):
        with pytest.raises(LoginFailed):
            await scene.login("alice@example.org", b"wrong")
    assert scene.people.compared == 3


async def test_a_changed_password_is_forgotten_at_once(scene: Scene) -> None:
    """Even before the event has been told: the account's version has changed."""
    await scene.login("alice@example.org", b"secret")
    scene.people.add("alice@example.org", b"new")
    with pytest.raises(LoginFailed):
        await scene.login("alice@example.org", b"secret")
    await scene.login("alice@example.org", b"new")


async def test_the_event_forgets(scene: Scene) -> None:
    account = await scene.login("alice@example.org", b"secret")
    scene.bus.publish([CredentialsChanged(account.id)])
    scene.clock.advance(0)
    await scene.login("alice@example.org", b"secret")
    assert scene.people.compared == 2


async def test_a_password_that_changes_while_it_is_compared(scene: Scene) -> None:
    scene.people.hold = Deferred()
    login = scene.login("alice@example.org", b"secret")
    scene.people.add("alice@example.org", b"new")
    scene.people.hold.callback(None)
    with pytest.raises(LoginFailed):
        await login


class Ends(Connection):
    """A connection that remembers why it was ended."""

    __slots__ = ("why",)

    def __init__(self, peer: Peer = STRANGER, secured: Secured | None = None) -> None:
        super().__init__(peer, Peer(), secured)
        self.why: MailError | None = None

    def end(self, error: MailError) -> None:
        self.why = error


async def test_changed_credentials_end_sessions(scene: Scene) -> None:
    account = await scene.login("alice@example.org", b"secret")
    stays, leaves = Ends(), Ends()
    scene.logins.join(account.id, stays)
    scene.logins.join(account.id, leaves)
    scene.logins.leave(account.id, leaves)
    scene.bus.publish(
        [CredentialsChanged(AccountId("another")), CredentialsChanged(account.id)]
    )
    scene.clock.advance(0)
    assert stays.why
    assert leaves.why is None
    scene.logins.leave(account.id, stays)
    scene.logins.leave(account.id, stays)


async def test_an_overload_is_no_failed_login(scene: Scene) -> None:
    scene.people.trouble = Overloaded("full")
    with pytest.raises(Overloaded):
        await scene.login("alice@example.org", b"secret")


async def test_a_checker_that_breaks(scene: Scene) -> None:
    scene.people.trouble = ZeroDivisionError()
    with pytest.raises(LoginUnavailable):
        await scene.login("alice@example.org", b"secret")


async def test_acting_as_somebody_else(scene: Scene) -> None:
    scene.people.add("bob@example.org", b"secret")

    async def act_as(name: str) -> Account:
        proof = scene.logins.begin("PLAIN", peer=LOCAL, protocol="POP3")
        account = await proof.step(name.encode() + b"\0alice@example.org\0secret")
        assert isinstance(account, Account)
        return account

    assert (await act_as("ALICE@example.org")).name == "alice@example.org"
    for other in ("bob@example.org", "nobody@example.org"):
        with pytest.raises(LoginFailed):
            await act_as(other)


async def test_sasl_step_by_step(scene: Scene) -> None:
    proof = scene.logins.begin("LOGIN", peer=LOCAL, protocol="SMTP")
    assert await proof.step(None) == b"Username:"
    assert await proof.step(b"alice@example.org") == b"Password:"
    assert isinstance(await proof.step(b"secret"), Account)
    with pytest.raises(UnknownMechanism):
        scene.logins.begin("GSSAPI", peer=LOCAL, protocol="SMTP")


# Guessers.


async def guess(
    scene: Scene, password: bytes, peer: Peer, name: str = "alice@example.org"
) -> None:
    with pytest.raises(LoginFailed):
        await scene.login(name, password, peer)


async def test_guessers_wait_longer_and_longer(scene: Scene) -> None:
    await guess(scene, b"wrong 0", STRANGER)
    for number, seconds in enumerate([1, 2, 4, 8, 15], 1):
        login = scene.login("alice@example.org", b"wrong %d" % number, STRANGER)
        scene.clock.advance(seconds - 0.01)
        assert not login.called
        scene.clock.advance(0.01)
        with pytest.raises(LoginFailed):
            await login


async def test_more_connections_buy_no_more_guesses(scene: Scene) -> None:
    await guess(scene, b"wrong", STRANGER)
    reasons: list[type[Exception] | None] = []
    for number in range(100):
        login = scene.login(f"{number}@example.org", b"x", STRANGER)
        login.addErrback(lambda failure: reasons.append(failure.type))
    tries = []
    for second in range(1, 61):
        before = scene.people.compared
        scene.clock.advance(1)
        tries += [second] * (scene.people.compared - before)
    assert tries == [1, 2, 3, 4, 6, 10, 18, 33, 48]
    assert reasons.count(LoginFailed) == 9
    scene.clock.advance(0)
    assert reasons.count(LoginUnavailable) == 91
    assert not scene.clock.getDelayedCalls()


async def test_a_burst_of_first_tries_is_not_free(scene: Scene) -> None:
    scene.people.hold = Deferred()
    logins = [scene.login(f"{number}@example.org", b"x", STRANGER) for number in range(20)]
    assert scene.people.compared == 4
    scene.people.hold.callback(None)
    scene.clock.advance(0)
    assert scene.people.compared == 4
    scene.clock.advance(8)
    assert scene.people.compared == 5
    for login in logins:
        login.addErrback(lambda _: None)
        login.cancel()
    scene.clock.advance(0)
    assert not scene.clock.getDelayedCalls()
    assert not scene.logins._by_network._tries
    assert not scene.logins._by_name._tries


async def test_many_who_log_in_at_once_wait_only_for_each_other(scene: Scene) -> None:
    names = [f"{number}@example.org" for number in range(20)]
    for name in names:
        scene.people.add(name, b"right")
    scene.people.hold = Deferred()
    logins = [scene.login(name, b"right", STRANGER) for name in names]
    hold, scene.people.hold = scene.people.hold, None
    hold.callback(None)
    scene.clock.advance(0)
    assert all(login.called for login in logins)
    assert not scene.logins._by_network._tries


async def test_a_burst_of_tries_of_one_name_is_not_free(scene: Scene) -> None:
    scene.people.hold = Deferred()
    for number in range(100):
        login = scene.login("alice@example.org", b"%d" % number, Peer(f"198.51.100.{number}"))
        login.addErrback(lambda _: None)
    assert scene.people.compared == 6
    scene.clock.pump([1] * 8)
    assert scene.people.compared == 10


@pytest.mark.parametrize("turns", [0, 1])
async def test_who_leaves_the_line_leaves_no_gap(scene: Scene, turns: int) -> None:
    names = [f"{number}@example.org" for number in range(9)]
    for name in names:
        scene.people.add(name, b"right")
    scene.people.hold = Deferred()
    logins = [scene.login(name, b"right", STRANGER) for name in names]
    hold, scene.people.hold = scene.people.hold, Deferred()
    if turns:
        hold.callback(None)
    logins[4].addErrback(lambda _: None)
    logins[4].cancel()
    if not turns:
        hold.callback(None)
    scene.clock.advance(0)
    assert scene.people.compared == 8
    scene.people.hold.callback(None)
    scene.clock.advance(0)
    assert all(login.called for login in logins)
    assert not scene.logins._by_network._tries


async def test_neighbours_and_proven_ones_do_not_wait(scene: Scene) -> None:
    await scene.login("alice@example.org", b"secret", STRANGER)
    for number in range(3):
        login = scene.login("alice@example.org", b"%d" % number, STRANGER)
        scene.clock.advance(15)
        with pytest.raises(LoginFailed):
            await login
    assert scene.login("alice@example.org", b"secret", STRANGER).called
    scene.people.add("bob@example.org", b"bob")
    assert scene.login("bob@example.org", b"bob", Peer("192.0.2.2", 1)).called


async def test_a_device_with_an_old_password_is_no_guesser(scene: Scene) -> None:
    await guess(scene, b"old", STRANGER)
    for _ in range(20):
        login = scene.login("alice@example.org", b"old", STRANGER)
        scene.clock.advance(1)
        with pytest.raises(LoginFailed):
            await login


async def test_many_networks_that_guess_one_account_wait_too(scene: Scene) -> None:
    for number in range(6):
        await guess(scene, b"%d" % number, Peer(f"198.51.100.{number}", 1))
    assert not scene.login("alice@example.org", b"secret", STRANGER).called
    scene.clock.advance(1)
    assert scene.people.compared == 7


async def test_another_spelling_of_a_name_buys_no_more_guesses(scene: Scene) -> None:
    for number, name in enumerate(["alice", "Alice", '"alice"', r'"\alice"', r'"a\lice"']):
        peer = Peer(f"198.51.100.{number}", 1)
        login = scene.login(f"{name}@example.org", b"%d" % number, peer)
        scene.clock.advance(15)
        with pytest.raises(LoginFailed):
            await login
    await guess(scene, b"5", Peer("198.51.100.5", 1))
    assert not scene.login("alice@example.org", b"secret", STRANGER).called


async def test_an_ipv6_network_is_one_guesser(scene: Scene) -> None:
    await guess(scene, b"wrong", Peer("2001:db8::1", 1))
    login = scene.login("alice@example.org", b"secret", Peer("2001:db8::2", 1))
    assert not login.called
    login.cancel()
    assert not scene.clock.getDelayedCalls()
    login.addErrback(lambda _: None)


async def test_guesses_are_forgiven(scene: Scene) -> None:
    await guess(scene, b"wrong", STRANGER)
    scene.clock.advance(900)
    assert scene.login("alice@example.org", b"secret", STRANGER).called


async def test_guesses_on_this_machine_count_for_the_account_only(scene: Scene) -> None:
    for number in range(6):
        await guess(scene, b"%d" % number, LOCAL)
    assert not scene.login("alice@example.org", b"secret", LOCAL).called
    scene.people.add("bob@example.org", b"bob")
    assert scene.login("bob@example.org", b"bob", LOCAL).called


# What is offered.


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", ""])
def test_without_tls(host: str) -> None:
    never, loopback = new_scene(), new_scene(login_without_tls="loopback")
    here, there = Ends(Peer(host, 1)), Ends(STRANGER)
    secured = Ends(STRANGER, Secured("TLSv1.3", "TLS_AES_128_GCM_SHA256"))
    assert never.logins.mechanisms(here) == ()
    assert never.logins.mechanisms(secured) == ("PLAIN", "LOGIN")
    assert loopback.logins.mechanisms(here) == ("PLAIN", "LOGIN")
    assert loopback.logins.mechanisms(there) == ()
    loopback.logins.insist_on_privacy(here)
    with pytest.raises(EncryptionRequired):
        loopback.logins.insist_on_privacy(there)


# Other checkers.


async def test_checkers_by_their_strings(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("alice@example.org:from the file\n")
    scene = new_scene(checkers=(f"file:{passwords}",))
    assert await scene.login("alice@example.org", b"secret")
    assert await scene.login("alice@example.org", b"from the file")
    await guess(scene, b"neither", LOCAL)


@pytest.mark.parametrize("string", ["nonsense:", "anonymous", "memory:a"])
def test_checkers_that_can_not_be_used(string: str) -> None:
    with pytest.raises(ConfigError):
        new_scene(checkers=(string,))


async def test_an_end(scene: Scene) -> None:
    await scene.logins.prepare()
    await scene.logins.finish()
