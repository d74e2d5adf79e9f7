"""What each command means in each state, without a transport."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from twisted.internet.testing import StringTransport

from mailplat.mail.errors import DiskFull, LoginUnavailable, Overloaded, StoreFailed
from mailplat.mail.mailbox import INBOX, SEEN, Change, FlagChange, UidSet
from mailplat.mail.summary import VERSION
from mailplat.portals.pop3 import reader, session, views
from mailplat.portals.shell import Shell, Terms
from mailplat.testing.fixtures import async_fixture

pytestmark = pytest.mark.parametrize("scene", ["memory", "sqlite"], indirect=True)

ONE = b"Subject: one\r\n\r\nfirst\r\n"
TWO = b"Subject: two\r\n\r\n.\r\nsecond\r\n.x\r\n"
THREE = "Subject: drei\r\nFrom: Zoë <zoe@example.org>\r\n\r\nGrüße\r\n".encode()
ALL = len(ONE) + len(TWO) + len(THREE)
DAY = 86400


def plain(text: str) -> str:
    return b64encode(text.encode()).decode()


@async_fixture
async def client(scene: Any) -> Any:
    await scene.fill(ONE, TWO, THREE)
    client = scene.client()
    assert await client.log_in() == b"+OK 3 messages (%d octets)\r\n" % ALL
    return client


async def uids_of(scene: Any) -> list[int]:
    account = await scene.alice()
    return list((await account.index(await scene.inbox())).uids)


# The TRANSACTION state ----------------------------------------------------------


async def test_stat(client: Any) -> None:
    assert await client.say("STAT") == b"+OK 3 %d\r\n" % ALL


async def test_list(client: Any) -> None:
    sizes = len(ONE), len(TWO), len(THREE)
    assert await client.say("LIST") == (
        b"+OK 3 messages (%d octets)\r\n1 %d\r\n2 %d\r\n3 %d\r\n.\r\n" % (ALL, *sizes)
    )
    assert await client.say("LIST 2") == b"+OK 2 %d\r\n" % len(TWO)
    assert await client.say("LIST 4") == b"-ERR No such message\r\n"


async def test_uidl(scene: Any, client: Any) -> None:
    heard = await client.say("UIDL")
    first, *lines, end = heard.splitlines()
    assert first.startswith(b"+OK")
    assert end == b"."
    assert [line.split()[0] for line in lines] == [b"1", b"2", b"3"]
    names = [line.split()[1] for line in lines]
    assert len(set(names)) == 3
    assert all(1 <= len(name) <= 70 and name.isascii() for name in names)
    assert await client.say("UIDL 2") == b"+OK 2 %s\r\n" % names[1]
    assert await client.say("UIDL 9") == b"-ERR No such message\r\n"
    again = scene.client()
    await again.log_in()
    assert await again.say("UIDL") == heard


async def test_a_unique_identifier_is_never_given_twice(scene: Any, client: Any) -> None:
    """Not even to the same octets after the newest message has gone (RFC 1939 section 7)."""
    first = (await client.say("UIDL 3")).split()[2]
    await client.say("DELE 3", "QUIT")
    await scene.fill(THREE)
    again = scene.client()
    await again.log_in()
    assert (await again.say("UIDL 3")).split()[2] != first


async def test_retr(client: Any) -> None:
    assert await client.say("RETR 1") == b"+OK %d octets\r\n" % len(ONE) + ONE + b".\r\n"
    assert await client.say("RETR 2") == (
        b"+OK %d octets\r\n" % len(TWO) + b"Subject: two\r\n\r\n..\r\nsecond\r\n..x\r\n.\r\n"
    )
    assert await client.say("RETR 0") == b"-ERR Bad argument or parameter\r\n"
    assert await client.say("RETR 4") == b"-ERR No such message\r\n"


async def test_retr_in_ascii_and_in_utf8(scene: Any, client: Any) -> None:
    """RFC 6858 for those who did not ask for UTF-8, the message itself for those who did."""
    shown = THREE.replace("Zoë".encode(), b"=?utf-8?q?Zo=C3=AB?=")
    assert await client.say("RETR 3") == b"+OK %d octets\r\n" % len(shown) + shown + b".\r\n"
    assert await client.say("TOP 3 0") == (
        b"+OK The top of the message\r\n" + shown.partition(b"Gr")[0] + b".\r\n"
    )
    other = scene.client()
    assert await other.say("UTF8") == b"+OK UTF-8 from now on\r\n"
    await other.log_in()
    assert await other.say("RETR 3") == b"+OK %d octets\r\n" % len(THREE) + THREE + b".\r\n"
    assert await other.say("LIST 3") == await client.say("LIST 3")


async def test_top(client: Any) -> None:
    top = b"+OK The top of the message\r\n"
    assert await client.say("TOP 2 0") == top + b"Subject: two\r\n\r\n.\r\n"
    assert await client.say("TOP 2 1") == top + b"Subject: two\r\n\r\n..\r\n.\r\n"
    assert await client.say("TOP 2 99") == top + TWO.replace(b"\n.", b"\n..") + b".\r\n"
    assert await client.say("TOP 9 0") == b"-ERR No such message\r\n"


async def test_dele_and_rset(scene: Any, client: Any) -> None:
    assert await client.say("DELE 2") == b"+OK Message 2 is marked\r\n"
    assert await client.say("DELE 2") == b"-ERR No such message\r\n"
    assert await client.say("RETR 2") == b"-ERR No such message\r\n"
    assert await client.say("LIST 2") == b"-ERR No such message\r\n"
    assert await client.say("STAT") == b"+OK 2 %d\r\n" % (ALL - len(TWO))
    assert b"\r\n2 " not in await client.say("LIST")
    assert b"\r\n2 " not in await client.say("UIDL")
    assert b"\r\n3 " in await client.say("UIDL")
    assert await client.say("RSET") == b"+OK 3 messages (%d octets)\r\n" % ALL
    assert (await client.say("RETR 2")).startswith(b"+OK")
    assert await client.say("QUIT") == b"+OK Goodbye, 3 messages left\r\n"
    assert await uids_of(scene) == [1, 2, 3]


async def test_only_quit_removes_what_is_marked(scene: Any, client: Any) -> None:
    await client.say("DELE 1", "DELE 3")
    assert await uids_of(scene) == [1, 2, 3]
    assert await client.say("QUIT") == b"+OK Goodbye, 1 messages left\r\n"
    assert client.closed
    assert await uids_of(scene) == [2]


async def test_a_session_that_ends_otherwise_removes_nothing(scene: Any, client: Any) -> None:
    await client.say("DELE 1")
    client.leave()
    assert await uids_of(scene) == [1, 2, 3]


async def test_a_session_that_times_out_removes_nothing(scene: Any, client: Any) -> None:
    """And hears nothing either (RFC 1939 section 3)."""
    await client.say("DELE 1")
    assert await client.time_out() is None
    client.leave()
    assert await uids_of(scene) == [1, 2, 3]


@pytest.mark.parametrize("failure", [StoreFailed("broken"), DiskFull("full")])
async def test_a_quit_that_fails_says_so(
    scene: Any, client: Any, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = type(await scene.alice())

    async def expunge(*_: object) -> None:
        raise failure

    monkeypatch.setattr(account, "expunge", expunge)
    await client.say("DELE 1", "DELE 2")
    assert (await client.say("QUIT")).startswith(b"-ERR [SYS/TEMP] ")
    assert client.closed
    assert await uids_of(scene) == [1, 2, 3]


async def test_noop(client: Any) -> None:
    assert await client.say("NOOP") == b"+OK Here\r\n"


async def test_a_pipelined_group_is_answered_in_order(client: Any) -> None:
    heard = await client.say("STAT", "LIST 1", "XYZZY", "DELE 1", "NOOP", "QUIT")
    assert [line.split()[0] for line in heard.splitlines()] == [
        b"+OK", b"+OK", b"-ERR", b"+OK", b"+OK", b"+OK",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "command", ["USER bob", "PASS open", "AUTH PLAIN", "STLS", "UTF8", "APOP a b"]
)
async def test_what_belongs_before_the_login_is_refused_after_it(
    client: Any, command: str
) -> None:
    assert (await client.say(command)).startswith(b"-ERR ")


# Others in the same INBOX --------------------------------------------------------


async def test_what_others_expunge_can_be_read_until_quit(scene: Any, client: Any) -> None:
    other = await scene.alice()
    await other.expunge(await scene.inbox(), UidSet.of(1, 2))
    await scene.fill(b"Subject: four\r\n\r\n")
    assert await client.say("STAT") == b"+OK 3 %d\r\n" % ALL
    assert ONE in await client.say("RETR 1")
    assert await client.say("LIST 4") == b"-ERR No such message\r\n"
    await client.say("DELE 1", "DELE 3")
    assert await client.say("QUIT") == b"+OK Goodbye, 1 messages left\r\n"
    assert await uids_of(scene) == [4]


async def test_each_login_sees_what_has_changed(scene: Any) -> None:
    """The columns that are remembered follow what others do."""
    portal = scene.portal()
    account, inbox = await scene.alice(), await scene.inbox()

    async def seen() -> bytes:
        client = scene.client(portal)
        await client.log_in()
        listed = await client.say("LIST")
        assert await scene.client().log_in() == listed.partition(b"\n")[0] + b"\n"
        return listed.partition(b"\n")[2]

    assert await seen() == b".\r\n"
    await scene.fill(ONE, TWO)
    assert await seen() == b"1 %d\r\n2 %d\r\n.\r\n" % (len(ONE), len(TWO))
    await account.expunge(inbox, UidSet.of(1))
    await scene.fill(THREE)
    assert await seen() == b"1 %d\r\n2 %d\r\n.\r\n" % (len(TWO), len(THREE))
    await account.flag(inbox, UidSet.of(2), FlagChange(Change.ADD, frozenset({SEEN})))
    assert await seen() == b"1 %d\r\n2 %d\r\n.\r\n" % (len(TWO), len(THREE))
    await account.expunge(inbox, UidSet.all())
    assert await seen() == b".\r\n"


async def test_exclusive_lets_one_session_in(scene: Any) -> None:
    portal = scene.portal(exclusive=True)
    first, second = scene.client(portal), scene.client(portal)
    await first.log_in()
    assert await second.log_in() == b"-ERR [IN-USE] In use by another session\r\n"
    assert (await scene.client(portal).log_in("bob", "open")).startswith(b"+OK")
    elsewhere = scene.client(scene.portal(exclusive=True))
    assert (await elsewhere.log_in()).startswith(b"-ERR [IN-USE]")
    await first.say("QUIT")
    first.leave()
    assert (await second.log_in()).startswith(b"+OK")


async def test_shared_is_the_default(scene: Any) -> None:
    portal = scene.portal()
    assert (await scene.client(portal).log_in()).startswith(b"+OK")
    assert (await scene.client(portal).log_in()).startswith(b"+OK")


async def test_changed_credentials_end_the_session(scene: Any, client: Any) -> None:
    from mailplat.mail.events import CredentialsChanged

    scene.logins._forget(CredentialsChanged(scene.people.accounts["alice"].id))
    assert client.connection.ended


# What becomes of messages ----------------------------------------------------------


async def test_keep_hides_from_pop3_alone(scene: Any) -> None:
    await scene.fill(ONE, TWO, THREE)
    portal = scene.portal(on_delete="keep")
    client = scene.client(portal)
    await client.log_in()
    await client.say("DELE 2", "QUIT")
    assert await uids_of(scene) == [1, 2, 3]
    for again in (scene.client(portal), scene.client(on_delete="keep")):
        assert (await again.log_in()).startswith(b"+OK 2 messages")
        listed = await again.say("LIST")
        assert listed.endswith(b"1 %d\r\n2 %d\r\n.\r\n" % (len(ONE), len(THREE)))


async def test_what_is_shown_again_comes_back_in_its_place(scene: Any) -> None:
    await scene.fill(ONE, TWO, THREE)
    portal = scene.portal(on_delete="keep")
    client = scene.client(portal)
    await client.log_in()
    await client.say("DELE 1", "QUIT")
    account, inbox = await scene.alice(), await scene.inbox()
    change = FlagChange(Change.REPLACE, frozenset({SEEN}))
    hidden = scene.client(portal)
    assert (await hidden.log_in()).startswith(b"+OK 2 messages")
    await account.flag(inbox, UidSet.all(), change)
    shown = scene.client(portal)
    assert (await shown.log_in()).startswith(b"+OK 3 messages")
    assert ONE in await shown.say("RETR 1")
    assert [line.split()[1].split(b"-")[1] for line in (await shown.say("UIDL")).splitlines()[1:-1]] == [b"1", b"2", b"3"]  # fmt: skip


async def test_move_puts_into_another_mailbox(scene: Any) -> None:
    await scene.fill(ONE, TWO)
    portal = scene.portal(on_delete="move:Trash")
    for _ in range(2):
        client = scene.client(portal)
        await client.log_in()
        await client.say("DELE 1", "QUIT")
    boxes = {box.name: box for box in await (await scene.alice()).mailboxes()}
    assert boxes[INBOX].messages == 0
    assert boxes["Trash"].messages == 2


async def test_expire_after(scene: Any) -> None:
    await scene.fill(ONE, TWO)
    scene.clock.advance(6 * DAY)
    await scene.fill(THREE)
    portal = scene.portal(expire_after="7 days")
    assert (await scene.client(portal).log_in()).startswith(b"+OK 3 messages")
    scene.clock.advance(2 * DAY)
    client = scene.client(portal)
    assert (await client.log_in()).startswith(b"+OK 1 messages")
    assert await uids_of(scene) == [3]
    assert THREE[:10] in await client.say("RETR 1")


async def test_a_clock_a_year_ahead_empties_no_maildrop(scene: Any) -> None:
    await scene.fill(ONE, TWO)
    scene.clock.advance(365 * DAY)
    portal = scene.portal(expire_after="30 days")
    assert (await scene.client(portal).log_in()).startswith(b"+OK 2 messages")
    await scene.fill(THREE)
    assert (await scene.client(portal).log_in()).startswith(b"+OK 3 messages")
    assert await uids_of(scene) == [1, 2, 3]


async def test_what_can_not_expire_is_still_shown(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.fill(ONE)
    scene.clock.advance(8 * DAY)

    async def expunge(*_: object) -> None:
        raise DiskFull("full")

    monkeypatch.setattr(type(await scene.alice()), "expunge", expunge)
    client = scene.client(expire_after="7 days")
    assert (await client.log_in()).startswith(b"+OK 1 messages")
    assert ONE in await client.say("RETR 1")


async def test_expire_0_takes_what_was_retrieved(scene: Any) -> None:
    """An implicit DELE, at QUIT and not before (RFC 2449 section 6.7)."""
    await scene.fill(ONE, TWO, THREE)
    portal = scene.portal(expire_after="0 days")
    gone = scene.client(portal)
    await gone.log_in()
    await gone.say("RETR 1")
    gone.leave()
    assert await uids_of(scene) == [1, 2, 3]
    client = scene.client(portal)
    await client.log_in()
    await client.say("RETR 2", "TOP 3 1", "RSET")
    assert await client.say("QUIT") == b"+OK Goodbye, 2 messages left\r\n"
    assert await uids_of(scene) == [1, 3]


async def test_login_delay(scene: Any) -> None:
    portal = scene.portal(login_delay="2 min")
    assert (await scene.client(portal).log_in()).startswith(b"+OK")
    scene.clock.advance(119)
    late = scene.client(portal)
    assert await late.log_in() == b"-ERR [LOGIN-DELAY] Too soon after the last login\r\n"
    assert (await scene.client(portal).log_in("bob", "open")).startswith(b"+OK")
    scene.clock.advance(1)
    assert (await late.log_in()).startswith(b"+OK")


async def test_portals_with_other_login_delays_do_not_shorten_one(scene: Any) -> None:
    slow, quick = scene.portal(login_delay="10 min"), scene.portal(login_delay="10 s")
    assert (await scene.client(slow).log_in()).startswith(b"+OK")
    scene.clock.advance(60)
    assert (await scene.client(quick).log_in()).startswith(b"+OK")
    assert (await scene.client(quick).log_in("bob", "open")).startswith(b"+OK")
    early = scene.client(slow)
    assert (await early.log_in()).startswith(b"-ERR [LOGIN-DELAY]")
    scene.clock.advance(540)
    assert (await scene.client(slow).log_in()).startswith(b"+OK")


# The AUTHORIZATION state ------------------------------------------------------------


async def test_the_greeting(scene: Any) -> None:
    client = scene.client()
    assert (
        client.engine.send(await client.session.greet())
        == b"+OK pop.example.org POP3 ready\r\n"
    )


@pytest.mark.parametrize(
    "command",
    ["STAT", "LIST", "LIST 1", "RETR 1", "TOP 1 0", "DELE 1", "UIDL", "RSET", "NOOP"],
)
async def test_nothing_is_shown_before_the_login(scene: Any, command: str) -> None:
    await scene.fill(ONE)
    heard = await scene.client().say(command)
    assert heard == b"-ERR Not now: bad sequence of commands\r\n"


async def test_quit_before_the_login(scene: Any) -> None:
    client = scene.client()
    assert await client.say("QUIT", "NOOP") == b"+OK Goodbye\r\n"
    assert client.closed


async def test_user_and_pass(scene: Any) -> None:
    client = scene.client()
    assert await client.say("USER alice") == b"+OK Send the password\r\n"
    assert await client.say("PASS wrong") == b"-ERR [AUTH] Wrong name or password\r\n"
    assert (await client.say("PASS sesame")).startswith(b"-ERR Not now")
    assert await client.say("USER bob", "USER alice") == b"+OK Send the password\r\n" * 2
    assert await client.say("PASS sesame") == b"+OK 0 messages (0 octets)\r\n"


async def test_passwords_have_spaces_and_utf8(scene: Any) -> None:
    scene.people.add("zoë@example.org", "öffne dich ".encode())
    client = scene.client()
    assert (await client.log_in("zoë@example.org", "öffne dich ")).startswith(b"+OK")
    assert (await scene.client().log_in("zoë@example.org", "öffne dich")).startswith(b"-ERR")


async def test_a_name_that_is_no_utf8(scene: Any) -> None:
    heard = await scene.client().say(b"USER zo\xeb", "PASS sesame")
    assert heard.endswith(b"-ERR [AUTH] Wrong name or password\r\n")


async def test_three_wrong_passwords_end_the_connection(scene: Any) -> None:
    client = scene.client()
    for attempt in range(3):
        assert not client.closed, attempt
        assert (await client.log_in("alice", f"wrong{attempt}")).startswith(b"-ERR [AUTH]")
    assert client.closed


async def test_a_login_for_which_there_is_no_time(scene: Any) -> None:
    scene.people.trouble = Overloaded("all hashing")
    assert await scene.client().log_in() == b"-ERR [SYS/TEMP] Too busy, try again later\r\n"


async def test_a_login_that_can_not_be_checked(scene: Any) -> None:
    scene.people.trouble = LoginUnavailable("down")
    assert (await scene.client().log_in()).startswith(b"-ERR [SYS/TEMP]")


async def test_a_maildrop_that_can_not_be_opened(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mailboxes(_: object) -> None:
        raise StoreFailed("broken")

    monkeypatch.setattr(type(await scene.alice()), "mailboxes", mailboxes)
    portal = scene.portal(exclusive=True)
    client = scene.client(portal)
    assert (await client.log_in()).startswith(b"-ERR [SYS/TEMP]")
    monkeypatch.undo()
    assert (await client.log_in()).startswith(b"+OK")


@pytest.mark.parametrize("command", ["USER alice", "PASS sesame", "AUTH PLAIN"])
async def test_no_password_is_heard_without_tls(scene: Any, command: str) -> None:
    client = scene.client()
    client.connection.secured = None
    assert (await client.say(command)) == b"-ERR [AUTH] Start TLS first\r\n"


async def test_user_can_be_switched_off(scene: Any) -> None:
    client = scene.client(user_command=False)
    assert await client.say("USER alice") == b"-ERR Unknown command\r\n"
    assert b"\r\nUSER\r\n" not in await client.say("CAPA")
    heard = await client.say(f"AUTH PLAIN {plain(chr(0) + 'alice' + chr(0) + 'sesame')}")
    assert heard.startswith(b"+OK")


async def test_auth_with_and_without_an_initial_response(scene: Any) -> None:
    words = plain("\0alice\0sesame")
    assert (await scene.client().say(f"AUTH PLAIN {words}")).startswith(b"+OK 0 ")
    client = scene.client()
    assert await client.say("AUTH PLAIN") == b"+ \r\n"
    assert (await client.say(words)).startswith(b"+OK 0 ")
    login = scene.client()
    assert await login.say("AUTH LOGIN") == b"+ VXNlcm5hbWU6\r\n"
    assert await login.say(plain("alice")) == b"+ UGFzc3dvcmQ6\r\n"
    assert (await login.say(plain("sesame"))).startswith(b"+OK 0 ")


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        (["AUTH PLAIN", "*"], b"-ERR Login given up"),
        (["AUTH PLAIN", "not base64!"], b"-ERR Syntax error"),
        (["AUTH PLAIN ="], b"-ERR Syntax error"),
        (["AUTH PLAIN *"], b"-ERR Login given up"),
        (["AUTH PLAIN", "c3R1ZmY="], b"-ERR Syntax error"),
        (["AUTH LOGIN", "YWxpY2U=", "*"], b"-ERR Login given up"),
        (["AUTH NONSENSE"], b"-ERR Mechanism not offered here"),
        (["AUTH PLAIN", plain("\0alice\0wrong")], b"-ERR [AUTH] Wrong name or password"),
        (["AUTH PLAIN", plain("bob\0alice\0sesame")], b"-ERR [AUTH] Wrong name or password"),
    ],
)
async def test_auth_that_fails(scene: Any, lines: list[str], last: bytes) -> None:
    client = scene.client()
    for line in lines[:-1]:
        assert (await client.say(line)).startswith(b"+ ")
    assert await client.say(lines[-1]) == last + b"\r\n"
    assert (await client.log_in()).startswith(b"+OK")


async def test_failed_auth_counts_as_a_failed_login(scene: Any) -> None:
    client = scene.client()
    await client.say(f"AUTH PLAIN {plain(chr(0) + 'alice' + chr(0) + 'a')}")
    await client.log_in("alice", "b")
    await client.log_in("alice", "c")
    assert client.closed


TOO_MANY = b"-ERR [SYS/TEMP] Too many mistakes, goodbye\r\n"


@pytest.mark.parametrize(
    "line", ["XYZZY", "RETR 1", "LANG xx", "PASS x", "AUTH XYZZY", "AUTH PLAIN !", "STLS"]
)
async def test_too_many_refusals_end_the_connection(scene: Any, line: str) -> None:
    client = scene.client()
    for _ in range(10):
        heard = await client.say(line)
        assert heard.startswith(b"-ERR")
        assert heard != TOO_MANY
        assert not client.closed
    assert await client.say(line) == TOO_MANY
    assert client.closed


async def test_names_that_may_not_be_said_count(scene: Any) -> None:
    client = scene.client(user_command=False)
    assert (await client.say(*["USER alice"] * 99)).endswith(TOO_MANY)
    assert client.closed


@pytest.mark.parametrize("line", ["RETR 99999", "LIST 7", "DELE 7", "XYZZY", "LANG xx", "STLS"])
async def test_too_many_refusals_after_the_login_end_the_connection(
    client: Any, line: str
) -> None:
    heard = await client.say(*[line] * 99)
    assert heard.count(b"-ERR") == 21
    assert heard.endswith(TOO_MANY)
    assert client.closed


async def test_no_command_buys_more_time_for_the_login(scene: Any) -> None:
    client = scene.client()
    assert client.session.patience == 60
    scene.clock.advance(40)
    await client.say("USER alice")
    assert client.session.patience == 20
    scene.clock.advance(20)
    assert client.session.patience == 0
    late = b"-ERR [SYS/TEMP] Waited too long for you, goodbye\r\n"
    assert await client.say("PASS sesame", "USER alice") == late
    assert client.closed


async def test_who_talks_all_the_time_without_a_login_is_left(scene: Any) -> None:
    terms = Terms(connect=scene.portal().connect, clock=scene.clock, limits=scene.limits)
    served, transport = Shell(terms), StringTransport()
    served.makeConnection(transport)
    for _ in range(5):
        scene.clock.advance(11)
        served.dataReceived(b"USER alice\r\nCAPA\r\n")
    assert not transport.disconnecting
    scene.clock.advance(5)
    assert transport.disconnecting


# Capabilities and languages -----------------------------------------------------------


async def test_capabilities(scene: Any) -> None:
    client = scene.client()
    heard = await client.say("CAPA")
    assert heard.splitlines() == [
        b"+OK What I can do",
        b"TOP",
        b"UIDL",
        b"RESP-CODES",
        b"AUTH-RESP-CODE",
        b"PIPELINING",
        b"LANG",
        b"IMPLEMENTATION mailplat",
        b"USER",
        b"SASL PLAIN LOGIN",
        b"EXPIRE NEVER",
        b"UTF8 USER",
        b".",
    ]
    await client.log_in()
    assert await client.say("CAPA") == heard


async def test_capabilities_without_tls(scene: Any) -> None:
    """What can't be used yet isn't announced; what would make it possible is."""
    rules = scene.portal()._rules
    import attrs

    connection = scene.client().connection
    connection.secured = None
    plain_session = session.Pop3Session(attrs.evolve(rules, tls=True), connection)
    from mailplat.wire.pop3 import Capa, Stls

    listing = await plain_session.answer(Capa())
    lines = listing.octets.splitlines()
    assert b"STLS" in lines
    assert b"USER" not in lines
    assert not [line for line in lines if line.startswith(b"SASL")]
    assert (await plain_session.answer(Stls())).text == "Begin TLS now"
    connection.secured = object()
    assert b"STLS" not in (await plain_session.answer(Capa())).octets.splitlines()
    assert (await plain_session.answer(Stls())).text == "Not now: bad sequence of commands"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"expire_after": "30 days"}, b"EXPIRE 30"),
        ({"expire_after": "0 days"}, b"EXPIRE 0"),
        ({"login_delay": "15 min"}, b"LOGIN-DELAY 900"),
        ({"user_command": False}, b"UTF8"),
    ],
)
async def test_what_settings_announce(scene: Any, settings: Any, line: bytes) -> None:
    assert line in (await scene.client(**settings).say("CAPA")).splitlines()


async def test_stls_where_there_is_no_tls(scene: Any) -> None:
    assert await scene.client().say("STLS") == b"-ERR Unknown command\r\n"


async def test_languages(scene: Any) -> None:
    client = scene.client()
    assert await client.say("LANG") == (
        b"+OK Languages\r\nen English\r\nde Deutsch\r\ni-default Default language\r\n.\r\n"
    )
    assert await client.say("LANG xx") == b"-ERR Not spoken here\r\n"
    assert await client.say("LANG DE") == b"+OK de Das ist Deutsch\r\n"
    assert await client.say("LANG xx") == b"-ERR Diese Sprache kann ich nicht\r\n"
    assert (await client.log_in("alice", "x")).startswith(b"-ERR [AUTH] Name oder")
    assert await client.log_in() == b"+OK 0 Nachrichten (0 Oktette)\r\n"
    assert await client.say("LANG *") == b"+OK en This is English\r\n"
    assert await client.say("NOOP") == b"+OK Here\r\n"


# Many and large messages ------------------------------------------------------------


async def test_long_listings_come_in_pieces(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LINES", 10)
    await scene.fill(*[b"X: %d\r\n\r\n" % number for number in range(25)])
    client = scene.client()
    await client.log_in()
    await client.say("DELE 11")
    lines = (await client.say("LIST")).splitlines()
    assert lines[-1] == b"."
    assert [int(line.split()[0]) for line in lines[1:-1]] == [*range(1, 11), *range(12, 26)]
    assert len((await client.say("UIDL")).splitlines()) == 26


@pytest.mark.parametrize("size", [0, 1, 30000, 65536, 65537, 200_000])
async def test_large_messages_are_streamed(scene: Any, size: int) -> None:
    body = (b".0123456789abcd\r\n" * (size // 16 + 1))[:size]
    message = b"Subject: large\r\n\r\n" + body
    await scene.fill(message)
    client = scene.client()
    await client.log_in()
    sent = message + (b"" if message.endswith(b"\r\n") else b"\r\n")
    stuffed = sent.replace(b"\n.", b"\n..")
    assert (
        await client.say("RETR 1") == b"+OK %d octets\r\n" % len(message) + stuffed + b".\r\n"
    )
    heard = await client.say("TOP 1 4000")
    top = b"Subject: large\r\n\r\n" + b"\r\n".join(body.split(b"\r\n")[:4000])
    top = top if top.endswith(b"\r\n") else top + b"\r\n"
    assert heard.partition(b"\r\n")[2] == top.replace(b"\n.", b"\n..") + b".\r\n"


LARGE = b"x\r\n" * 100_000
IN_PARTS = b"Content-Type: multipart/mixed; boundary=b\r\n%b\r\n--b\r\n%b\r\n%b\r\n--b--\r\n"
SUBJECT, SHOWN = "Subject: ü\r\n".encode(), b"Subject: =?utf-8?b?w7w=?=\r\n"


@pytest.mark.parametrize("known", [True, False])
async def test_of_large_messages_only_headers_are_shown_in_another_form(
    scene: Any, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.fill(IN_PARTS % (SUBJECT, SUBJECT, LARGE))
    if not known:  # the summary is one of another version
        monkeypatch.setattr("mailplat.mail.summary.VERSION", VERSION + 1)
    client = scene.client()
    await client.log_in()
    expected = IN_PARTS % (SHOWN, SHOWN, LARGE)
    assert await client.say("RETR 1") == (
        b"+OK %d octets\r\n" % len(expected) + expected + b".\r\n"
    )
    for lines in (0, 1, 3, 5000):
        end = expected.index(b"\r\n\r\n") + 4
        for _ in range(lines):
            end = expected.index(b"\r\n", end) + 2
        top = b"+OK The top of the message\r\n" + expected[:end] + b".\r\n"
        assert await client.say(f"TOP 1 {lines}") == top


async def test_large_messages_with_headers_in_ascii_are_not_looked_into(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [
        IN_PARTS % (b"", b"X: y\r\n", LARGE),
        b"Subject: x\r\n\r\n" + LARGE + "ü\r\n".encode(),
    ]
    await scene.fill(*messages)
    monkeypatch.setattr(views, "changes", None)
    monkeypatch.setattr(views, "findings_of", None)
    client = scene.client()
    await client.log_in()
    for number, message in enumerate(messages, 1):
        assert message in await client.say(f"RETR {number}")
        assert b"Content-Type" in await client.say(f"TOP {number} 1") or number == 2


async def test_reading_in_turn_asks_the_store_seldom(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [b"X: %d\r\n\r\n%s\r\n" % (n, b"x" * 900) for n in range(200)]
    await scene.fill(*messages)
    client = scene.client()
    await client.log_in()
    account, asked = type(await scene.alice()), []
    records = account.records

    def counted(self: Any, mailbox: Any, uids: UidSet, wanted: Any) -> Any:
        asked.append(len(uids))
        return records(self, mailbox, uids, wanted)

    monkeypatch.setattr(account, "records", counted)
    await client.say("DELE 50", "DELE 51")
    for number, message in enumerate(messages, 1):
        if number not in (50, 51):
            assert message in await client.say(f"RETR {number}")
    assert sum(asked) == 198
    assert len(asked) < 8
    asked.clear()
    for number in (100, 7, 150, 3):
        assert messages[number - 1] in await client.say(f"RETR {number}")
    assert asked == [1, 1, 1, 1]


async def test_no_more_is_fetched_ahead_than_allowed(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "FIRST", 1000)
    monkeypatch.setattr(reader, "AHEAD", 3000)
    await scene.fill(*[b"X: %d\r\n\r\n%s\r\n" % (n, b"x" * 900) for n in range(20)])
    client = scene.client()
    await client.log_in()
    for number in range(1, 21):
        await client.say(f"RETR {number}")
        assert sum(map(len, client.session._drop.reader._here.values())) <= 4500


# The log ------------------------------------------------------------------------------


async def test_a_session_is_told_of_once(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.fill(ONE, TWO, THREE)
    portal = scene.portal()
    told: list[Any] = []
    object.__setattr__(portal._rules, "tell", told.append)
    stranger = scene.client(portal)
    await stranger.log_in("alice", "wrong")
    stranger.leave()
    assert told == []
    client = scene.client(portal)
    await client.log_in()
    await client.say("RETR 1", "RETR 2", "TOP 3 1", "DELE 2")
    await client.say("QUIT")
    client.leave()
    [visit] = told
    assert (visit.login, visit.messages, visit.end) == ("alice", 3, "QUIT")
    assert (visit.retrieved, visit.retrieved_octets) == (2, len(ONE) + len(TWO))
    assert (visit.deleted, visit.deleted_octets) == (1, len(TWO))
