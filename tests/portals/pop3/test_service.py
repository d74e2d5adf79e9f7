"""The POP3 portal: its settings, and its sessions on real sockets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mailplat.interfaces import IPortal
from mailplat.mail.events import CredentialsChanged
from mailplat.portals.pop3.reader import Reader
from mailplat.portals.pop3.service import Pop3PortalSettings
from mailplat.testing.fakes import FakeContent
from mailplat.testing.fixtures import async_fixture

LARGE = b"Subject: large\r\n\r\n" + b".0123456789abcd\r\n" * 60_000


@async_fixture
async def live(scene: Any, reactor: Any) -> Any:
    """The scene in real time."""
    return attrs.evolve(scene, clock=reactor)


async def log_in(client: Any) -> bytes:
    client.say(b"USER alice\r\nPASS sesame\r\n")
    await client.until(b"Send the password\r\n")
    heard: bytes = await client.until(b"\r\n")
    return heard


# Settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("on_delete", "burn", 'expected "remove", "keep" or "move:"'),
        ("on_delete", "move:", 'expected "remove", "keep" or "move:"'),
        ("on_delete", "move:inbox", "a mailbox other than INBOX"),
        ("on_delete", "Trash", 'expected "remove", "keep" or "move:"'),
        ("on_delete", "move:a//b", 'expected "remove", "keep" or "move:"'),
        ("expire_after", "36 h", "expected whole days"),
        ("expire_after", 30, "expected a duration"),
        ("login_delay", "1500 ms", "expected whole seconds"),
        ("languages", ["en"], "Extra inputs"),
    ],
)
def test_what_may_not_be_set(key: str, value: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Pop3PortalSettings.model_validate({"port": 110, key: value})


def test_what_may_be_set() -> None:
    settings = Pop3PortalSettings.model_validate(
        {"port": 110, "on_delete": "move:Old/Mail", "expire_after": "30 days"}
    )
    assert settings.on_delete == "move:Old/Mail"
    assert settings.expire_after == timedelta(days=30)
    assert all(field.description for field in Pop3PortalSettings.model_fields.values())


# Sockets ------------------------------------------------------------------------------


async def test_a_session_under_stls(
    live: Any, certificates: Any, serve: Any, call: Any
) -> None:
    await live.fill(b"Subject: one\r\n\r\n", LARGE)
    portal = live.portal(certificates, tls="starttls")
    assert verifyObject(IPortal, portal)
    client = await call(serve(portal).places[0])
    assert await client.until(b"\r\n") == b"+OK pop.example.org POP3 ready\r\n"
    client.say(b"STLS\r\n")
    await client.until(b"+OK Begin TLS now\r\n")
    client.start_tls()
    assert (await log_in(client)).startswith(b"+OK 2 messages")
    client.say(b"RETR 2\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
    heard = await client.until(b"\r\n.\r\n")
    assert heard.partition(b"\r\n")[2] == LARGE.replace(b"\n.", b"\n..") + b".\r\n"
    assert await client.until(b".\r\n") == b"+OK 16 octets\r\nSubject: one\r\n\r\n.\r\n"
    await client.closed
    assert client.heard == b"+OK Message 1 is marked\r\n+OK Goodbye, 1 messages left\r\n"


async def test_implicit_tls(live: Any, certificates: Any, serve: Any, call: Any) -> None:
    portal = live.portal(certificates, tls="implicit")
    client = await call(serve(portal).places[0])
    client.start_tls()
    assert (await client.until(b"\r\n")).startswith(b"+OK")
    assert await log_in(client) == b"+OK 0 messages (0 octets)\r\n"
    client.say(b"STLS\r\n")
    assert (await client.until(b"\r\n")).startswith(b"-ERR")


async def test_a_client_that_does_not_read_is_waited_for(
    live: Any, certificates: Any, serve: Any, call: Any
) -> None:
    """Twenty large messages are not in memory while nobody takes them."""
    await live.fill(LARGE)
    portal = live.portal(certificates, tls="implicit")
    client = await call(serve(portal).places[0])
    client.start_tls()
    await client.until(b"\r\n")
    await log_in(client)
    client.transport.pauseProducing()
    client.say(b"RETR 1\r\n" * 20 + b"QUIT\r\n")
    [shell] = portal._shells
    for _ in range(20):
        await until(live.clock, 0.01)
        assert shell._outgoing.unsent < 200_000
    client.transport.resumeProducing()
    await client.closed
    assert client.heard.count(b"\r\n.\r\n") == 20


@pytest.mark.parametrize("command", [b"RETR 1", b"TOP 1 60000"])
async def test_nothing_is_answered_behind_a_message_that_was_cut_short(
    live: Any,
    certificates: Any,
    serve: Any,
    call: Any,
    monkeypatch: pytest.MonkeyPatch,
    command: bytes,
) -> None:
    """A pipelined DELE behind it would remove what the client never had."""
    await live.fill(LARGE, b"Subject: two\r\n\r\n")

    async def content(*_: object) -> FakeContent:
        return FakeContent(LARGE, fails_at=len(LARGE) // 2)

    monkeypatch.setattr(Reader, "content", content)
    portal, left = live.portal(certificates, tls="implicit"), Deferred[Any]()
    portal._rules = attrs.evolve(portal._rules, tell=left.callback)
    client = await call(serve(portal).places[0])
    client.start_tls()
    client.say(b"UTF8\r\n")
    await log_in(client)
    client.say(command + b"\r\nRETR 2\r\nDELE 1\r\nDELE 2\r\nQUIT\r\n")
    await client.closed
    assert client.heard.count(b"\r\n..0123456789abcd") > 10_000
    assert b"\r\n.\r\n" not in client.heard
    assert b"marked" not in client.heard
    assert (await left).end == "a message was cut short"
    index = await (await live.alice()).index(await live.inbox())
    assert list(index.uids) == [1, 2]


async def until(clock: Any, seconds: float) -> None:
    over: Deferred[None] = Deferred()
    clock.callLater(seconds, over.callback, None)
    await over


async def test_quit_counts_even_if_nobody_waits_for_its_answer(
    live: Any, certificates: Any, serve: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What QUIT has begun goes on when the client has hung up."""
    await live.fill(b"Subject: one\r\n\r\n")
    account = type(await live.alice())
    expunge, begun, go_on = account.expunge, Deferred(), Deferred()
    done: Deferred[None] = Deferred()

    async def slow(*arguments: Any) -> None:
        begun.callback(None)
        await go_on
        await expunge(*arguments)
        done.callback(None)

    monkeypatch.setattr(account, "expunge", slow)
    portal, left = live.portal(certificates, tls="implicit"), Deferred[Any]()
    portal._rules = attrs.evolve(portal._rules, tell=left.callback)
    client = await call(serve(portal).places[0])
    client.start_tls()
    await log_in(client)
    client.say(b"DELE 1\r\nQUIT\r\n")
    await begun
    client.transport.abortConnection()
    await left
    go_on.callback(None)
    await done
    index = await (await live.alice()).index(await live.inbox())
    assert not index.uids


async def test_changed_credentials_end_the_session(
    live: Any, certificates: Any, serve: Any, call: Any
) -> None:
    portal = live.portal(certificates, tls="implicit")
    client = await call(serve(portal).places[0])
    client.start_tls()
    await log_in(client)
    live.logins._forget(CredentialsChanged(live.people.accounts["alice"].id))
    await client.closed
    assert client.heard == b"-ERR [AUTH] Log in first\r\n"


async def test_a_portal_that_closes_says_goodbye(
    live: Any, certificates: Any, serve: Any, call: Any
) -> None:
    await live.fill(b"Subject: one\r\n\r\n")
    portal = live.portal(certificates, tls="implicit")
    client = await call(serve(portal).places[0])
    client.start_tls()
    await log_in(client)
    client.say(b"DELE 1\r\n")
    await client.until(b"marked\r\n")
    await portal.drain(1)
    await client.closed
    assert client.heard == b"-ERR [SYS/TEMP] Closing down, come back soon\r\n"
    index = await (await live.alice()).index(await live.inbox())
    assert list(index.uids) == [1]
