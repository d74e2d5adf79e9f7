"""What one client hears, and what several hear of each other."""

from __future__ import annotations

from typing import Any

import pytest

BOTH = pytest.mark.parametrize("scene", ["memory", "sqlite"], indirect=True)

ONE = b"Subject: one\r\nFrom: a@example.org\r\n\r\nfirst\r\n"
TWO = b"Subject: two\r\nFrom: b@example.org\r\n\r\nsecond\r\n"


@BOTH
async def test_a_whole_session(scene: Any) -> None:
    await scene.fill(ONE, TWO)
    client = scene.client()
    await client.log_in("INBOX")
    assert await client.ask("FETCH 1:* (UID FLAGS RFC822.SIZE)") == [
        f"* 1 FETCH (UID 1 FLAGS () RFC822.SIZE {len(ONE)})",
        f"* 2 FETCH (UID 2 FLAGS () RFC822.SIZE {len(TWO)})",
        "OK That is it",
    ]
    assert await client.ask("STORE 1 +FLAGS (\\Deleted)") == [
        "* 1 FETCH (FLAGS (\\Deleted))",
        "OK Flags kept",
    ]
    assert await client.ask("SEARCH DELETED") == ["* SEARCH 1", "OK 1 found"]
    assert await client.ask("EXPUNGE") == ["* 1 EXPUNGE", "OK Expunged"]
    assert await client.ask("UID FETCH 2 BODY[TEXT]") == [
        "* 1 FETCH (FLAGS (\\Seen) UID 2 BODY[TEXT] {8}",
        "second",
        ")",
        "OK That is it",
    ]
    assert (await client.ask("LOGOUT"))[-1] == "OK Gone"
    client.leave()
    assert not len(scene.indexes)


async def two(scene: Any) -> tuple[Any, Any]:
    """Return two clients with the same mailbox of two messages."""
    await scene.fill(ONE, TWO)
    clients = scene.client(), scene.client()
    for client in clients:
        await client.log_in("INBOX")
    return clients


@BOTH
async def test_what_others_have_expunged_is_said_to_be_gone(scene: Any) -> None:
    """Its number stays until the client may hear of it (RFC 9051 section 7.5.1, RFC 5530)."""
    one, other = await two(scene)
    await one.ask("STORE 1 +FLAGS.SILENT (\\Deleted)")
    await one.ask("EXPUNGE")
    scene.tell()
    assert await other.ask("SEARCH ALL") == ["* SEARCH 1 2", "OK 2 found"]
    assert await other.ask("FETCH 1:2 UID") == [
        "* 2 FETCH (UID 2)",
        "NO [EXPUNGEISSUED] No such message: some have been expunged",
    ]
    assert (await other.ask("STORE 1 +FLAGS (x)"))[-1].startswith("NO [EXPUNGEISSUED]")
    assert (await other.ask("COPY 1 INBOX"))[-1].startswith("NO [EXPUNGEISSUED]")
    assert await other.ask("UID SEARCH ALL") == ["* SEARCH 2", "* 1 EXPUNGE", "OK 1 found"]
    assert await other.ask("FETCH 1 UID") == ["* 1 FETCH (UID 2)", "OK That is it"]


@BOTH
async def test_flags_that_others_change_are_told(scene: Any) -> None:
    one, other = await two(scene)
    await one.ask("STORE 2 +FLAGS (\\Flagged)")
    assert await other.ask("NOOP") == ["OK Here"]
    scene.tell()
    assert await other.ask("NOOP") == ["* 2 FETCH (FLAGS (\\Flagged))", "OK Here"]
    assert await one.ask("NOOP") == ["OK Here"]


@BOTH
async def test_a_change_that_meets_another_is_not_made(scene: Any) -> None:
    """RFC 7162 section 3.1.3."""
    one, other = await two(scene)
    assert (await other.ask("FETCH 2 MODSEQ"))[0] == "* 2 FETCH (MODSEQ (2))"
    await one.ask("STORE 2 +FLAGS (\\Seen)")
    said = await other.ask("STORE 1:2 (UNCHANGEDSINCE 2) +FLAGS (\\Flagged)")
    assert said[-1] == "OK [MODIFIED 2] Some have changed since"
    assert "* 1 FETCH (UID 1 FLAGS (\\Flagged) MODSEQ (4))" in said
    assert "* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (3))" in said


async def test_a_client_that_comes_back_is_told_what_it_missed(scene: Any) -> None:
    one, other = await two(scene)
    validity = (await scene.box()).uid_validity
    other.leave()
    await one.ask("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
    await one.ask("EXPUNGE")
    await one.ask("STORE 1 +FLAGS (x)")
    back = scene.client()
    await back.log_in()
    await back.ask("ENABLE QRESYNC")
    said = await back.ask(f"SELECT INBOX (QRESYNC ({validity} 2 1:2 (1,2 1,2)))")
    assert said[-3:-1] == ["* VANISHED (EARLIER) 1", "* 1 FETCH (UID 2 FLAGS (x) MODSEQ (5))"]


async def test_an_account_without_room_is_told_before_the_content(scene: Any) -> None:
    await (await scene.alice()).set_quota({"STORAGE": 100})
    client = scene.client()
    await client.log_in()
    assert await client.say("a APPEND INBOX {101}") == b"a NO [OVERQUOTA] Mailbox full\r\n"
    assert await client.say("a APPEND INBOX {50}") == b"+ Go on\r\n"
    heard = await client.send(b"x" * 50 + b" {51}\r\n")
    assert heard == b"a NO [OVERQUOTA] Mailbox full\r\n"
    assert (await client.ask("STATUS INBOX (MESSAGES)"))[0] == "* STATUS INBOX (MESSAGES 0)"


async def test_content_has_less_time_than_the_next_command(scene: Any) -> None:
    client = scene.client()
    await client.log_in()
    assert client.session.patience == scene.limits.imap_patience
    await client.send(b"a APPEND INBOX {10}\r\n12345")
    assert client.session.patience == scene.limits.imap_content_patience
    assert (await client.time_out()).startswith(b"* BYE [INACTIVE] ")
    client.leave()
    other = scene.client()
    await other.log_in()
    await other.send(b"a APPEND INBOX {3+}\r\n123\r\n")
    assert other.session.patience == scene.limits.imap_patience


async def test_messages_of_one_append_have_a_limit(scene: Any) -> None:
    client = scene.client()
    await client.log_in()
    heard = await client.send(b"a APPEND INBOX" + b" {1+}\r\nx" * 250 + b"\r\n")
    assert b"a OK [APPENDUID" in heard
    heard = await client.send(b"b APPEND INBOX" + b" {1+}\r\nx" * 251 + b"\r\n")
    assert heard == b"b BAD [CLIENTBUG] Syntax error: over 250 messages\r\n"
    assert (await client.ask("STATUS INBOX (MESSAGES)"))[0] == "* STATUS INBOX (MESSAGES 250)"


async def test_a_set_of_all_numbers_is_answered_at_once(scene: Any) -> None:
    """It is one interval, and never expanded."""
    one, _ = await two(scene)
    assert await one.ask("UID FETCH 1:4294967295 UID") == [
        "* 1 FETCH (UID 1)",
        "* 2 FETCH (UID 2)",
        "OK That is it",
    ]
    assert (await one.ask("UID SEARCH UID 1:4294967295"))[0] == "* SEARCH 1 2"
    assert (await one.ask("UID STORE 5:4294967295 +FLAGS (x)")) == ["OK Flags kept"]


async def test_capabilities_can_be_switched_off(scene: Any) -> None:
    client = scene.client(scene.portal(without=["QRESYNC", "IMAP4rev2"]))
    await client.log_in()
    [said, _] = await client.ask("CAPABILITY")
    assert "QRESYNC" not in said
    assert "IMAP4rev2" not in said
    assert (await client.ask("ENABLE QRESYNC"))[0] == "* ENABLED"


async def test_before_a_login_little_is_listened_to(scene: Any) -> None:
    client = scene.client()
    assert b"[TOOBIG]" in await client.send(b"a LOGIN {5000}\r\n")
    assert b"[TOOBIG]" in await client.send(b"a NOOP " + b"x" * 9000 + b"\r\n")
    scene.clock.advance(61)
    assert (await client.say("a NOOP")).startswith(b"* BYE [UNAVAILABLE] Waited too long")
    assert client.closed


@BOTH
async def test_a_new_account_gets_what_clients_look_for(scene: Any) -> None:
    """Once: what it removes later stays removed (RFC 6154)."""
    wanted = {"Sent": "\\Sent", "Trash": "\\Trash"}
    portal = scene.portal(mailboxes=wanted)
    client = scene.client(portal)
    await client.log_in()
    assert await client.ask('LIST (SUBSCRIBED) "" *') == [
        '* LIST (\\HasNoChildren \\Subscribed) "/" INBOX',
        '* LIST (\\HasNoChildren \\Subscribed \\Sent) "/" Sent',
        '* LIST (\\HasNoChildren \\Subscribed \\Trash) "/" Trash',
        "OK These are all",
    ]
    assert await client.ask("DELETE Trash") == ["OK Mailbox removed"]
    other = scene.client(portal)
    await other.log_in()
    assert len(await other.ask('LIST "" *')) == 3
