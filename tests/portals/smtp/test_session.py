"""What a session does that no transcript shows: traces, records, spool, hang-ups."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent

from mailplat.mail.errors import DiskFull, Refused
from mailplat.mail.events import CredentialsChanged, MessageSettled
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import Outcome
from mailplat.mail.people import AccountId
from mailplat.mail.status import DELIVERED, Status
from mailplat.mail.transit import KEEP, Disposition, Job, Peer, Stage, Verdict
from mailplat.portals.shell import Shell, Terms
from mailplat.portals.smtp.session import SmtpSession, decisive
from mailplat.testing.dialogues import Player
from mailplat.testing.disk import FakeDisk, Tape, Trouble
from mailplat.wire.smtp.receiver import Receiver

ALICE, BOB = "alice@example.org", "bob@example.org"
LOGIN = b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\r\n"
ENVELOPE = b"MAIL FROM:<carol@example.net>\r\nRCPT TO:<alice@example.org>\r\n"
HELLO = b"EHLO client\r\n"
MESSAGE = b"Subject: hello\r\n\r\nhello\r\n.\r\n"


async def talk(player: Player, *groups: bytes) -> list[str]:
    """Say these groups after the greeting; return the last line of each answer."""
    await player.greet()
    for group in groups:
        await player.send(group)
    said, player.said = player.said[1:], []
    return [line for line in said if line[3:4] == " "]


# The trace field.


@pytest.mark.parametrize(
    ("terms", "implicit", "groups", "protocol"),
    [
        ({}, False, [b"HELO c\r\n", ENVELOPE], "SMTP"),
        ({}, False, [HELLO, ENVELOPE], "ESMTP"),
        ({}, False, [HELLO, b"STARTTLS\r\n", HELLO, ENVELOPE], "ESMTPS"),
        ({"starttls": False}, True, [HELLO, ENVELOPE], "ESMTPS"),
        ({"lmtp": True}, False, [b"LHLO c\r\n", ENVELOPE], "LMTP"),
        ({"lmtp": True, "starttls": False}, True, [b"LHLO c\r\n", ENVELOPE], "LMTPS"),
        ({"login": "offered", "starttls": False}, True,
         [HELLO, LOGIN, ENVELOPE.replace(b"carol@example.net", b"alice@example.org")], "ESMTPSA"),
    ],
)  # fmt: skip
async def test_the_trace_field_names_the_protocol(
    make_house: Any, terms: dict[str, Any], implicit: bool, groups: list[bytes], protocol: str
) -> None:
    """RFC 3848."""
    house = make_house(**terms)
    await talk(house.player(implicit=implicit), *groups, b"DATA\r\n", MESSAGE)
    [message] = await house.messages(ALICE)
    assert f"with {protocol} ".encode() in message


async def test_the_trace_field_names_a_recipient_only_if_there_is_one(house: Any) -> None:
    both = ENVELOPE + b"RCPT TO:<bob@example.org>\r\n"
    await talk(
        house.player(), HELLO, ENVELOPE, b"DATA\r\n", MESSAGE, both, b"DATA\r\n", MESSAGE
    )
    single, shared = await house.messages(ALICE)
    assert b"for <alice@example.org>;" in single
    assert b"for <" not in shared


async def test_a_name_in_the_greeting_cannot_forge_a_field(house: Any) -> None:
    hello = b'EHLO x;(\x7e)<>@"forged\\\r\n'
    await talk(house.player(), hello, ENVELOPE, b"DATA\r\n", MESSAGE)
    [message] = await house.messages(ALICE)
    field = message[message.index(b"Received:") :].partition(b"\r\n")[0]
    assert field.startswith(b"Received: from x?")
    assert b"forged\\" not in field


async def test_what_was_sent_is_what_is_kept(house: Any) -> None:
    body = bytes(range(128, 256)) + b"\x01 \t\r\n..\r\n.x\r\n\r\n"
    stuffed = body.replace(b"\r\n.", b"\r\n..")
    sent = b"A: b\r\n\r\n" + stuffed + b".\r\n"
    await talk(house.player(), HELLO, ENVELOPE, b"DATA\r\n", sent)
    [message] = await house.messages(ALICE)
    assert message.endswith(b"A: b\r\n\r\n" + body)


@pytest.mark.parametrize("content", [b"Sub\0ject: x\r\n\r\n", b"A: b\r\n\r\n\0\r\n"])
async def test_a_nul_is_no_text(house: Any, content: bytes) -> None:
    """RFC 5322 section 4 has it in no message since 2001, RFC 2045 in no transfer encoding."""
    said = await talk(house.player(), HELLO, ENVELOPE, b"DATA\r\n", content + b".\r\n")
    assert said[-1] == "554 5.6.0 Message malformed"
    assert await house.messages(ALICE) == []


@pytest.mark.parametrize(("hops", "code"), [(100, "250 2.0.0"), (101, "554 5.4.6")])
async def test_a_message_may_have_come_a_long_way(house: Any, hops: int, code: str) -> None:
    content = b"Received: by x; now\r\n" * hops + b"\r\n.\r\n"
    said = await talk(house.player(), HELLO, ENVELOPE, b"DATA\r\n", content)
    assert said[-1].startswith(code)


# Large contents.


async def test_a_large_content_waits_in_a_file(make_house: Any) -> None:
    house = make_house(limits=Limits(spool_above=1000))
    lines = (b"%077d\r\n" * 1000) % tuple(range(1000))
    assert len(lines) == 79_000
    asked = await talk(
        house.player(), HELLO, ENVELOPE, b"DATA\r\n", b"A: b\r\n\r\n",
        *(lines[at : at + 777] for at in range(0, len(lines), 777)), b".\r\n",
    )  # fmt: skip
    assert asked[-1].startswith("250 2.0.0")
    [message] = await house.messages(ALICE)
    assert message.endswith(b"\r\n\r\n" + lines)


async def test_a_full_disk_is_told_at_the_end(make_house: Any) -> None:
    house = make_house(limits=Limits(spool_above=10))

    async def full(*_args: object) -> object:
        raise DiskFull("no room")

    house.spool.write = full
    said = await talk(
        house.player(), HELLO, ENVELOPE, b"DATA\r\n", b"x" * 99, b"\r\n" + MESSAGE
    )
    assert said[-1].startswith("452 4.3.1 ")
    assert await house.messages(ALICE) == []


# What is given up leaves no file open, not even until garbage is collected.


LARGE = b"A: b\r\n\r\n" + b"x" * 70 + b"\r\n" + b"y" * 70 + b"\r\n"
REFUSED: dict[str, list[bytes]] = {
    "a bare LF": [LARGE, b"\n", b"\r\n.\r\n"],
    "too large": [LARGE, b"x" * 998 + b"\r\n.\r\n"],
    "a header too large": [b"A: b\r\n" * 30 + LARGE, b".\r\n"],
    "hung up on": [LARGE],
    "reset": [LARGE, b".\r\n", ENVELOPE, b"DATA\r\n", LARGE],
    "refused by a filter": [b"Bad: yes\r\n" + LARGE, b".\r\n"],
    "refused for one": [b"Half: yes\r\n" + LARGE, b".\r\n"],
    "broken": [b"Broken: yes\r\n" + LARGE, b".\r\n"],
    "accepted": [LARGE, b".\r\n"],
}


class ByField:
    """A filter that does what a field says."""

    async def judge(self, transit: Any) -> Verdict:
        refused = Verdict.reject(Refused("it says so"))
        if transit.header.all(b"Broken"):
            raise ZeroDivisionError
        if transit.header.all(b"Half"):
            return Verdict(recipients={ALICE: refused})
        return refused if transit.header.all(b"Bad") else KEEP


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def no_garbage_collected() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collected")
@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("lmtp", [False, True])
async def test_what_was_sent_leaves_no_file(
    make_house: Any, content: list[bytes], lmtp: bool
) -> None:
    limits = Limits(spool_above=100, message_size=1000, header_fields=10)
    house = make_house(limits=limits, lmtp=lmtp)
    house.filters.append(ByField())
    before = open_files()
    for _ in range(3):
        player = house.player()
        hello = b"LHLO client\r\n" if lmtp else HELLO
        await talk(player, hello, ENVELOPE, b"DATA\r\n", *content)
        player.hang_up()
        assert open_files() == before


@pytest.mark.usefixtures("no_garbage_collected")
@pytest.mark.parametrize("at", [2, 3, 4])
async def test_a_disk_that_fails_leaves_no_file(
    make_house: Any, tmp_path: Path, at: int
) -> None:
    house = make_house(limits=Limits(spool_above=20))
    house.spool._disk = FakeDisk(Tape(tmp_path), Trouble(at, errno.ENOSPC))
    before = open_files()
    said = await talk(house.player(), HELLO, ENVELOPE, b"DATA\r\n", LARGE, LARGE + b".\r\n")
    assert said[-1].startswith("452 4.3.1 ")
    assert open_files() == before


@pytest.mark.usefixtures("no_garbage_collected")
async def test_a_file_is_there_until_all_is_delivered(make_house: Any) -> None:
    house = make_house(limits=Limits(spool_above=20))
    house.agent = slow = Slow(house.agent)
    before = open_files()
    served, _ = shell(house)
    for group in (HELLO, ENVELOPE, b"DATA\r\n", LARGE, b".\r\n"):
        served.dataReceived(group)
    served.connectionLost()
    assert open_files() == before + 1
    slow.going_on.callback(None)
    assert open_files() == before
    [message] = await house.messages(ALICE)
    assert message.endswith(LARGE)


# The record.


def records(house: Any) -> list[Any]:
    return [event.record for event in house.bus.events if isinstance(event, MessageSettled)]


async def test_refused_content_is_on_record(house: Any) -> None:
    await talk(house.player(), HELLO, ENVELOPE, b"DATA\r\n", b"a\nb\r\n.\r\n")
    [record] = records(house)
    [decision] = [d for d in record.decisions if d.stage is Stage.CONTENT]
    assert (decision.component, decision.disposition) == ("mx", Disposition.REJECT)
    assert decision.detail.startswith("BareLineEnd")


@pytest.mark.parametrize("end", [b"RSET\r\n", b"EHLO again\r\n", b"QUIT\r\n", None])
async def test_a_refused_recipient_is_on_record(house: Any, end: bytes | None) -> None:
    player = house.player()
    refused = b"MAIL FROM:<>\r\nRCPT TO:<nobody@example.org>\r\n"
    await talk(player, HELLO, refused, *([end] if end else []))
    player.hang_up()
    [record] = records(house)
    assert [d.recipient for d in record.decisions if d.recipient] == ["nobody@example.org"]


async def test_what_connect_and_greeting_taught_goes_with_every_message(house: Any) -> None:
    class Teacher:
        stages = tuple(Stage)

        async def judge(self, stage: Stage, _transit: Any) -> Verdict:
            return Verdict.keep(None, **{stage.value: True})

    house.policies.insert(0, Teacher())
    await talk(house.player(), HELLO, b"STARTTLS\r\n", HELLO, ENVELOPE, b"DATA\r\n", MESSAGE)
    [record] = records(house)
    stages = [d.stage for d in record.decisions if d.component == "Teacher"]
    assert stages == [Stage.CONNECT, Stage.GREETING, Stage.SENDER, Stage.RECIPIENT]


# Logins.


async def test_a_changed_password_ends_the_session(make_house: Any) -> None:
    house = make_house(login="required", starttls=False)
    player = house.player(implicit=True)
    await talk(player, HELLO, LOGIN)
    house.bus.publish([CredentialsChanged(AccountId(f"id of {ALICE}"))])
    assert player.line.farewell


async def test_a_session_that_has_ended_is_not_ended_again(make_house: Any) -> None:
    house = make_house(login="required", starttls=False)
    player = house.player(implicit=True)
    await talk(player, HELLO, LOGIN)
    player.hang_up()
    house.bus.publish([CredentialsChanged(AccountId(f"id of {ALICE}"))])
    assert not player.line.farewell


async def test_on_loopback_one_may_log_in_without_tls_if_the_house_says_so(
    make_house: Any,
) -> None:
    house = make_house(login="required")
    said = await talk(house.player(peer=Peer("127.0.0.1", 4000)), HELLO, LOGIN)
    assert said[-1] == "235 2.7.0 Logged in"


# Time and hang-ups, through the real shell.


@attrs.define
class Slow:
    """A delivery that takes until it is told to go on."""

    agent: Any
    going_on: Deferred[None] = attrs.field(factory=Deferred)
    errors: dict[str, Exception] = attrs.field(factory=dict)

    async def attempt(self, job: Job) -> Sequence[Outcome]:
        await self.going_on
        outcomes: Sequence[Outcome] = await self.agent.attempt(job)
        return outcomes


def shell(house: Any) -> tuple[Shell, StringTransport]:
    desk = house.desk()

    def connect(connection: Any) -> tuple[Receiver, SmtpSession]:
        offer = desk.offer(connection)
        return Receiver(offer, desk.limits), SmtpSession(desk, connection, offer)

    made = Shell(Terms(connect=connect, clock=house.clock, limits=house.limits))
    transport = StringTransport()
    made.makeConnection(transport)
    return made, transport


async def test_who_hangs_up_during_delivery_misses_only_the_answer(house: Any) -> None:
    house.agent = slow = Slow(house.agent)
    served, transport = shell(house)
    for group in (HELLO, ENVELOPE, b"DATA\r\n", MESSAGE):
        served.dataReceived(group)
    assert transport.value().endswith(b"lone dot\r\n")
    served.connectionLost()
    slow.going_on.callback(None)
    assert len(await house.messages(ALICE)) == 1


async def test_who_hangs_up_while_a_filter_thinks_has_sent_nothing(house: Any) -> None:
    cancelled: list[object] = []
    thinking: Deferred[None] = Deferred(cancelled.append)

    class Thinker:
        async def judge(self, _transit: Any) -> Verdict:
            await thinking
            return KEEP

    house.filters.insert(0, Thinker())
    served, _transport = shell(house)
    for group in (HELLO, ENVELOPE, b"DATA\r\n", MESSAGE):
        served.dataReceived(group)
    served.connectionLost()
    assert cancelled
    assert await house.messages(ALICE) == []


async def test_a_silent_client_is_told_goodbye(house: Any) -> None:
    served, transport = shell(house)
    served.dataReceived(HELLO)
    house.clock.advance(house.limits.smtp_patience - 1)
    assert b"421" not in transport.value()
    house.clock.advance(2)
    assert transport.value().endswith(b"421 4.4.2 Waited too long for you, goodbye\r\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (b"GET / HTTP/1.1\r\n", "500 5.5"),
        (b"XYZZY\r\n" * 11, "421 4.7.0"),
        (b"QUIT\r\n", None),
    ],
)
async def test_who_is_hung_up_on_is_named_in_the_log(
    house: Any, words: bytes, complaint: str | None
) -> None:
    served, _ = shell(house)
    with capturedLogs() as events:
        served.dataReceived(words)
    said = [formatEvent(event) for event in events if "detail" in event]
    assert len(said) == (1 if complaint else 0)
    assert all(f"was hung up on: {complaint}" in line for line in said)


async def test_content_that_only_trickles_ends(house: Any) -> None:
    """Less than the slowest rate is not patience that starts anew with each octet."""
    served, transport = shell(house)
    for group in (HELLO, ENVELOPE, b"DATA\r\n"):
        served.dataReceived(group)
    for _ in range(100):
        served.dataReceived(b"x")
        house.clock.advance(10)
    assert b"421 4.4.2" in transport.value()
    assert await house.messages(ALICE) == []


async def test_content_that_is_refused_has_its_time_while_it_flows(house: Any) -> None:
    served, transport = shell(house)
    for group in (HELLO, ENVELOPE, b"DATA\r\n", b"a bare\nLF\r\n"):
        served.dataReceived(group)
    for _ in range(100):
        served.dataReceived(b"x" * 5000 + b"\r\n")
        house.clock.advance(10)
    assert b"421" not in transport.value()
    served.dataReceived(b".\r\n")
    assert b"550 5.5.2 " in transport.value()


@pytest.mark.parametrize("begun", [b"a bare\nLF\r\n", b"x" * 1001 + b"\r\n"])
async def test_content_without_an_end_is_not_read_for_ever(
    make_house: Any, begun: bytes
) -> None:
    house = make_house(limits=Limits(message_size=1000))
    served, transport = shell(house)
    for group in (HELLO, ENVELOPE, b"DATA\r\n", begun):
        served.dataReceived(group)
    for _ in range(25):
        assert b"421" not in transport.value()
        served.dataReceived(b"x" * 78 + b"\r\n")
        if transport.disconnecting:
            break
    assert transport.value().endswith(b"421 4.7.0 Too many mistakes, goodbye\r\n")
    assert transport.disconnecting
    [record] = records(house)
    assert record.decisions[-1].disposition is Disposition.REJECT


async def test_in_a_crowd_there_is_less_patience(make_house: Any) -> None:
    house = make_house(limits=Limits(connections=2))
    desk = house.desk()
    line = house.player().line
    session = SmtpSession(desk, line, desk.offer(line))
    assert session.patience == house.limits.smtp_patience
    for port in (1, 2):
        house.doorkeeper.enter(Peer("127.0.0.1", port))
    assert session.patience == house.limits.smtp_patience_crowded


# Outcomes.


@pytest.mark.parametrize(
    ("classes", "decides"),
    [("2", 0), ("22", 0), ("25", 0), ("52", 1), ("24", 1), ("54", 1), ("55", 0), ("254", 2)],
)
def test_which_outcome_answers_for_all(classes: str, decides: int) -> None:
    outcomes = [
        Outcome(DELIVERED if digit == "2" else Status(int(digit), 2, 0)) for digit in classes
    ]
    assert decisive(outcomes) is outcomes[decides]


# Whatever is said.

words = st.sampled_from(
    [HELLO, ENVELOPE, b"DATA\r\n", MESSAGE, LOGIN, b"STARTTLS\r\n", b"AUTH LOGIN\r\n", b"*\r\n",
     b"YQ==\r\n", b"RSET\r\n", b"\r\n", b"\n", b"\0", b".\r\n", b"QUIT\r\n", b"VRFY x\r\n"]
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(words, st.binary(max_size=30)), max_size=12))
def test_no_octets_end_a_session_with_an_exception(
    make_house: Any, groups: list[bytes]
) -> None:
    for terms in ({}, {"login": "offered"}, {"lmtp": True}):
        with pytest.raises(StopIteration):  # nothing here really waits
            talk(make_house(**terms).player(), *groups).send(None)


def test_the_session_knows_no_twisted() -> None:
    script = (
        "import sys, mailplat.portals.smtp.session; "
        "sys.exit(any(name.split('.')[0] in ('twisted', 'zope') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
