"""The IMAP portal on real sockets: pushes, back-pressure, limits, the end."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mailplat.bus import Bus
from mailplat.interfaces import IPortal
from mailplat.mail.events import CredentialsChanged
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import UidSet
from mailplat.portals.imap.service import ImapPortalSettings
from mailplat.store.memory import MemoryStore
from mailplat.testing.fixtures import async_fixture

ONE = b"Subject: one\r\n\r\nfirst\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcde\r\n" * 60_000


@async_fixture
async def live(scene: Any, reactor: Any) -> Any:
    """The scene in real time."""
    bus = Bus(reactor)
    store = MemoryStore(bus, reactor)
    limits = Limits(spool_above=1024)
    return attrs.evolve(scene, clock=reactor, bus=bus, store=store, limits=limits)


async def begin(live: Any, portal: Any, certificates: Any, serve: Any, call: Any) -> Any:
    """Return a client that has logged in and selected INBOX."""
    client = await call(serve(portal).places[0])
    client.start_tls()
    await client.until(b"ready\r\n")
    client.say(b"x LOGIN alice sesame\r\ny SELECT INBOX\r\n")
    await client.until(b"y OK ")
    await client.until(b"\r\n")
    return client


def test_what_may_be_set() -> None:
    settings = ImapPortalSettings.model_validate({"port": 143, "without": ["QRESYNC"]})
    assert settings.without == {"QRESYNC"}
    with pytest.raises(ValidationError):
        ImapPortalSettings.model_validate({"port": 143, "idle": True})


@pytest.mark.parametrize(
    ("mailboxes", "words"),
    [
        ({"Sent": "\\Odd"}, "is none of"),
        ({"inbox": "\\Sent"}, "there already"),
        ({"a//b": "\\Sent"}, "no mailbox can be called"),
    ],
)
def test_what_no_account_can_get(mailboxes: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ImapPortalSettings.model_validate({"port": 143, "mailboxes": mailboxes})


def test_the_portal_is_one(scene: Any) -> None:
    verifyObject(IPortal, scene.portal())


async def test_an_idle_client_is_told_at_once(
    live: Any, certificates: Any, serve: Any, call: Any
) -> None:
    portal = live.portal(certificates, tls="implicit")
    client = await begin(live, portal, certificates, serve, call)
    client.say(b"a IDLE\r\n")
    await client.until(b"+ Listening\r\n")
    await live.fill(ONE)
    assert await client.until(b"EXISTS\r\n") == b"* 1 EXISTS\r\n"
    account, inbox = await live.alice(), await live.box()
    await account.expunge(inbox.id, UidSet.of(1))
    assert await client.until(b"EXPUNGE\r\n") == b"* 1 EXPUNGE\r\n"
    client.say(b"DONE\r\n")
    assert await client.until(b"\r\n") == b"a OK Idle no more\r\n"


async def test_many_idle_clients_of_one_account(
    live: Any, certificates: Any, serve: Any, call: Any
) -> None:
    portal = live.portal(tls="off")
    live.logins._without_tls = "loopback"
    place = serve(portal).places[0]
    clients = []
    for _ in range(20):
        client = await call(place)
        client.say(b"x LOGIN alice sesame\r\ny SELECT INBOX\r\nz IDLE\r\n")
        await client.until(b"+ Listening\r\n")
        clients.append(client)
    assert len(live.indexes) == 1
    await live.fill(ONE)
    for client in clients:
        assert await client.until(b"EXISTS\r\n") == b"* 1 EXISTS\r\n"


async def test_a_large_message_comes_and_goes_in_pieces(
    live: Any, certificates: Any, serve: Any, call: Any
) -> None:
    """Twenty megabytes are not in memory while nobody takes them."""
    portal = live.portal(certificates, tls="implicit")
    client = await begin(live, portal, certificates, serve, call)
    client.say(b"a APPEND INBOX {%d+}\r\n" % len(LARGE) + LARGE + b"\r\n")
    await client.until(b"a OK [APPENDUID")
    await client.until(b"Kept\r\n")
    client.transport.pauseProducing()
    client.say(b"b FETCH 1 BODY.PEEK[]\r\n" * 20 + b"c LOGOUT\r\n")
    [shell] = portal._shells
    for _ in range(20):
        await until(live.clock, 0.01)
        assert shell._outgoing.unsent < 3_000_000
    client.transport.resumeProducing()
    await client.closed
    assert client.heard.count(LARGE) == 20
    assert client.heard.endswith(b"c OK Gone\r\n")


async def test_a_removed_mailbox_ends_the_session(
    live: Any, certificates: Any, serve: Any, call: Any
) -> None:
    portal = live.portal(certificates, tls="implicit")
    client = await begin(live, portal, certificates, serve, call)
    client.say(b"a CREATE work\r\nb SELECT work\r\nc IDLE\r\n")
    await client.until(b"+ Listening\r\n")
    await (await live.alice()).remove((await live.box("work")).id)
    await client.closed
    assert client.heard == b"* BYE The selected mailbox has been removed\r\n"


async def test_changed_credentials_end_the_session(
    live: Any, certificates: Any, serve: Any, call: Any
) -> None:
    portal = live.portal(certificates, tls="implicit")
    client = await begin(live, portal, certificates, serve, call)
    live.logins._forget(CredentialsChanged(live.people.accounts["alice"].id))
    await client.closed
    assert client.heard == b"* BYE [NOPERM] Log in first\r\n"


async def test_a_portal_that_closes_says_goodbye(
    live: Any, certificates: Any, serve: Any, call: Any
) -> None:
    portal = live.portal(certificates, tls="implicit")
    client = await begin(live, portal, certificates, serve, call)
    client.say(b"a IDLE\r\n")
    await client.until(b"+ Listening\r\n")
    await portal.drain(1)
    await client.closed
    assert client.heard == b"* BYE [UNAVAILABLE] Closing down, come back soon\r\n"
    assert not len(live.indexes)


async def test_nothing_is_kept_of_a_message_that_was_cut_off(
    live: Any, certificates: Any, serve: Any, call: Any, settled: Any
) -> None:
    portal = live.portal(certificates, tls="implicit")
    client = await begin(live, portal, certificates, serve, call)
    client.say(b"a APPEND INBOX {%d+}\r\n" % len(LARGE) + LARGE[:500_000])
    await until(live.clock, 0.1)
    client.transport.abortConnection()
    await client.closed
    while portal.sessions:
        await until(live.clock, 0.01)
    assert not (await (await live.alice()).index((await live.box()).id)).uids


async def until(clock: Any, seconds: float) -> None:
    over: Deferred[None] = Deferred()
    clock.callLater(seconds, over.callback, None)
    await over
