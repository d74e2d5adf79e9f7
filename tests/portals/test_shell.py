"""The shell with a toy protocol: lines in, lines out."""

from __future__ import annotations

import attrs
import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mailplat.mail.errors import MailError, ShuttingDown
from mailplat.mail.limits import Limits
from mailplat.mail.transit import Peer
from mailplat.portals.connection import Connection, peer_of
from mailplat.portals.shell import Shell, Terms
from mailplat.wire.engine import After, TimedOut, Woken

LIMITS = Limits(unread=100, unsent=1000)


@attrs.define
class Lines:
    """An engine: each line is an event, ``more`` some content; QUIT's reply is the last."""

    held: int = 0
    in_content: bool = False
    after: After = After.GO_ON
    complaint: str = ""
    _octets: bytes = b""

    def receive(self, octets: bytes) -> None:
        self._octets += octets
        self.held = len(self._octets)

    def next_event(self) -> object | None:
        line, end, rest = self._octets.partition(b"\n")
        if not end:
            return None
        self._octets, self.held = rest, len(rest)
        self.in_content = line == b"more"
        return line

    def send(self, reply: object) -> bytes:
        if reply == b"bye":
            self.after = After.CLOSE
        return reply + b"\n"  # type: ignore[operator]


@attrs.define(eq=False)
class Echo:
    """A session: says each line again; ``wait`` waits, ``more`` is not answered."""

    connection: Connection
    patience: float = 30.0
    waits: list[Deferred[bytes | None]] = attrs.Factory(list)
    heard: list[object] = attrs.Factory(list)
    ends: int = 0
    has_news: bool = True

    async def greet(self) -> object | None:
        return b"hello"

    async def answer(self, event: object) -> object | None:
        self.heard.append(event)
        match event:
            case b"wait" | b"store":
                self.waits.append(Deferred())
                return await self.waits[-1]
            case b"more":
                return None
            case b"big":
                for _ in range(20):
                    await self.connection.write(b"x" * 999 + b"\n")
                return b"done"
            case b"pieces":
                return await self._pieces()
            case b"break":
                raise ZeroDivisionError
            case b"escape":
                raise GeneratorExit
            case b"quit":
                return b"bye"
            case TimedOut():
                return b"too slow"
        return (b"news" if self.has_news else None) if event == Woken() else event

    async def _pieces(self) -> object:
        for _ in range(20):
            self.waits.append(Deferred())
            await self.waits[-1]
            await self.connection.write(b"x" * 999 + b"\n")
        return b"done"

    def lost(self) -> None:
        self.ends += 1


class Writes(StringTransport):
    """A transport that remembers single writes; a narrow one takes one at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborting = False
        self.narrow = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        super().write(data)
        if self.narrow:
            self.producer.pauseProducing()

    def abortConnection(self) -> None:
        self.aborting = True


@attrs.define(eq=False)
class Scene:
    clock: Clock
    transport: Writes
    shell: Shell
    sessions: list[Echo]
    ended: list[Shell]

    @property
    def session(self) -> Echo:
        return self.sessions[-1]

    def said(self) -> list[bytes]:
        writes, self.transport.writes = self.transport.writes, []
        return writes

    def hear(self, octets: bytes) -> list[bytes]:
        self.shell.dataReceived(octets)
        return self.said()

    def finish_waits(self) -> None:
        """Let the session have all that it waits for, as long as it goes on waiting."""
        while not self.session.waits[-1].called:
            self.session.waits[-1].callback(b"y" * 600)
            self.clock.pump([0, 0])


def refusal(error: Exception) -> bytes:
    return type(error).__name__.encode() + b"\n"


@pytest.fixture
def scene() -> Scene:
    sessions: list[Echo] = []

    def connect(connection: Connection) -> tuple[Lines, Echo]:
        sessions.append(Echo(connection))
        return Lines(), sessions[-1]

    clock, transport, ended = Clock(), Writes(), []
    terms = Terms(
        connect=connect, clock=clock, limits=LIMITS, refusal=refusal, ended=ended.append
    )
    shell = Shell(terms, Peer("192.0.2.1", 4000))
    shell.makeConnection(transport)
    return Scene(clock, transport, shell, sessions, ended)


def test_greeting_comes_first(scene: Scene) -> None:
    assert scene.said() == [b"hello\n"]
    assert scene.session.connection.peer == Peer("192.0.2.1", 4000)


def test_answers_to_a_group_leave_in_one_write(scene: Scene) -> None:
    scene.said()
    assert scene.hear(b"a\nb\nc\n") == [b"a\nb\nc\n"]


def test_what_is_ready_leaves_before_a_wait(scene: Scene) -> None:
    scene.said()
    assert scene.hear(b"a\nwait\nb\n") == [b"a\n"]
    scene.session.waits[0].callback(b"waited")
    assert scene.said() == [b"waited\nb\n"]


def test_octets_that_come_while_it_waits_are_answered_in_order(scene: Scene) -> None:
    scene.hear(b"wait\n")
    assert scene.hear(b"a\nb\n") == []
    scene.session.waits[0].callback(b"waited")
    assert scene.said() == [b"waited\na\nb\n"]


def test_reading_pauses_only_when_much_is_held(scene: Scene) -> None:
    scene.hear(b"wait\n")
    scene.hear(b"a\n" * 50)
    assert scene.transport.producerState == "producing"
    scene.hear(b"a\n")
    assert scene.transport.producerState == "paused"
    scene.session.waits[0].callback(b"waited")
    assert scene.transport.producerState == "producing"
    assert scene.said() == [b"waited\n" + b"a\n" * 51]


def test_long_groups_give_others_their_turn(scene: Scene) -> None:
    scene.said()
    scene.hear(b"a\n" * 600)
    assert len(scene.session.heard) < 600
    scene.clock.pump([0] * 5)
    assert scene.session.heard == [b"a"] * 600


def test_long_replies_leave_and_give_others_their_turn(scene: Scene) -> None:
    scene.said()
    line = b"x" * 600 + b"\n"
    assert scene.hear(line * 9) == [line * 2]
    scene.clock.advance(0)
    assert scene.said() == [line * 2, line * 2, line * 2, line]


def test_long_replies_are_made_only_for_who_reads_them(scene: Scene) -> None:
    scene.said()
    scene.transport.narrow = True
    scene.hear((b"x" * 600 + b"\n") * 100)
    scene.clock.pump([0] * 100)
    assert len(scene.session.heard) < 10
    scene.shell.connectionLost()
    assert scene.shell._outgoing.unsent == 0
    scene.clock.pump([0] * 5)
    assert len(scene.session.heard) < 10


def test_the_peer_that_leaves_cancels_the_answer(scene: Scene) -> None:
    scene.hear(b"wait\n")
    waited = scene.session.waits[0]
    scene.shell.connectionLost()
    assert waited.called
    assert scene.session.ends == 1
    assert scene.ended == [scene.shell]
    assert not scene.clock.getDelayedCalls()


def test_quit_closes_after_the_reply(scene: Scene) -> None:
    scene.said()
    assert scene.hear(b"quit\nmore\n") == [b"bye\n"]
    assert scene.transport.disconnecting
    assert scene.session.heard == [b"quit"]


def test_a_session_that_breaks_ends_its_connection(scene: Scene) -> None:
    scene.said()
    assert scene.hear(b"a\nbreak\nb\n") == [b"a\nZeroDivisionError\n"]
    assert scene.transport.disconnecting


def test_a_session_that_raises_what_is_no_exception_ends_its_connection(scene: Scene) -> None:
    scene.said()
    assert scene.hear(b"a\nescape\nb\n") == [b"a\nMailError\n"]
    assert scene.transport.disconnecting


def test_a_slow_peer_is_told(scene: Scene) -> None:
    scene.said()
    scene.clock.advance(29)
    scene.hear(b"half a")
    scene.clock.advance(0.5)
    assert scene.said() == []
    scene.clock.advance(0.5)
    assert scene.said() == [b"too slow\n"]
    assert scene.transport.disconnecting


def test_each_reply_gives_new_patience(scene: Scene) -> None:
    for _ in range(5):
        scene.clock.advance(20)
        scene.hear(b"a\n")
    assert not scene.transport.disconnecting
    assert len(scene.clock.getDelayedCalls()) == 1


def test_patience_does_not_run_while_we_are_at_work(scene: Scene) -> None:
    scene.hear(b"wait\n")
    scene.clock.advance(1000)
    assert not scene.transport.disconnecting
    scene.session.waits[0].callback(b"waited")
    scene.clock.advance(29)
    assert not scene.transport.disconnecting
    scene.clock.advance(1)
    assert scene.session.heard[-1] == TimedOut()


def test_content_must_keep_its_pace(scene: Scene) -> None:
    """At least 500 octets a second in each period of 30 seconds, whether it is used or not."""
    scene.hear(b"more\n")
    for piece in (b"more\n" * 100, b"x" * 500):
        for _ in range(120):
            scene.hear(piece)
            scene.clock.advance(1)
        assert not scene.transport.disconnecting
    scene.hear(b"x" * 14_999)
    scene.clock.advance(30)
    assert scene.session.heard[-1] == TimedOut()
    assert scene.transport.disconnecting


def test_what_we_need_for_content_is_not_the_peers_time(scene: Scene) -> None:
    scene.hear(b"more\nstore\n")
    scene.clock.advance(1000)
    scene.session.waits[0].callback(None)
    scene.clock.advance(29)
    assert not scene.transport.disconnecting
    scene.clock.advance(1)
    assert scene.transport.disconnecting


def test_content_that_begins_slowly_has_its_patience(scene: Scene) -> None:
    scene.hear(b"more\n")
    scene.clock.advance(29)
    assert scene.hear(b"done\n")[-1] == b"done\n"
    scene.clock.advance(29)
    assert not scene.transport.disconnecting


def test_impatience_that_grows_is_honoured(scene: Scene) -> None:
    scene.session.patience = 5
    scene.hear(b"a\n")
    scene.clock.advance(5)
    assert scene.session.heard[-1] == TimedOut()


def test_a_peer_that_does_not_read_is_no_longer_served(scene: Scene) -> None:
    scene.said()
    scene.transport.narrow = True
    assert scene.hear(b"big\na\n") == [(b"x" * 999 + b"\n") * 2]
    scene.clock.advance(0)
    scene.clock.advance(59)
    assert not scene.transport.aborting
    scene.clock.advance(1)
    assert scene.transport.aborting
    assert scene.session.heard == [b"big"]


@pytest.mark.parametrize("asked", [b"pieces\n", b"wait\n" * 100])
def test_what_is_waited_for_is_made_only_for_who_reads_it(scene: Scene, asked: bytes) -> None:
    """Before each wait all that is ready leaves, and what can't leave still counts."""
    scene.transport.narrow = True
    scene.hear(asked)
    scene.finish_waits()
    assert len(scene.session.waits) <= 4
    assert LIMITS.unsent <= scene.shell._outgoing.unsent <= 2 * LIMITS.unsent
    while scene.shell._work:
        scene.shell._outgoing.resumeProducing()
        scene.clock.advance(0)
        scene.finish_waits()
    assert len(scene.session.waits) == (20 if asked == b"pieces\n" else 100)


def test_a_peer_that_reads_slowly_gets_everything(scene: Scene) -> None:
    scene.said()
    scene.transport.narrow = True
    scene.hear(b"big\na\n")
    while scene.session.heard[-1] != b"a":
        scene.clock.advance(50)
        scene.transport.producer.resumeProducing()
    scene.transport.producer.resumeProducing()
    assert scene.transport.value() == b"hello\n" + (b"x" * 999 + b"\n") * 20 + b"done\na\n"


def test_a_session_that_can_not_be_made() -> None:
    def connect(_connection: Connection) -> tuple[Lines, Echo]:
        raise ZeroDivisionError

    transport = Writes()
    Shell(Terms(connect=connect, clock=Clock(), refusal=refusal)).makeConnection(transport)
    assert transport.value() == b"ZeroDivisionError\n"
    assert transport.disconnecting


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (IPv4Address("TCP", "192.0.2.1", 1), Peer("192.0.2.1", 1)),
        (IPv6Address("TCP", "2001:db8::1", 1), Peer("2001:db8::1", 1)),
        (IPv6Address("TCP", "::ffff:192.0.2.1", 1), Peer("192.0.2.1", 1)),
        (IPv6Address("TCP", "::FFFF:c000:201", 1), Peer("192.0.2.1", 1)),
        (IPv6Address("TCP", "fe80::1%eth0", 1), Peer("fe80::1%eth0", 1)),
        (UNIXAddress(b"/run/door"), Peer(path="/run/door")),
        (UNIXAddress(None), Peer()),
    ],
)
def test_peers(address: IAddress, peer: Peer) -> None:
    assert peer_of(address) == peer


def test_farewell_when_idle(scene: Scene) -> None:
    scene.said()
    scene.shell.farewell(ShuttingDown("restart"))
    assert scene.said() == [b"ShuttingDown\n"]
    assert scene.transport.disconnecting


def test_farewell_waits_for_what_is_under_way(scene: Scene) -> None:
    scene.hear(b"more\n")
    scene.shell.farewell(ShuttingDown("restart"))
    assert not scene.transport.disconnecting
    scene.said()
    scene.hear(b"wait\n")
    scene.session.waits[0].callback(b"waited")
    assert scene.said() == [b"waited\nShuttingDown\n"]
    assert scene.transport.disconnecting


def test_end_cuts_off_what_is_under_way(scene: Scene) -> None:
    scene.hear(b"more\n")
    scene.session.connection.end(MailError("password changed"))
    assert scene.transport.aborting


def test_a_peer_that_never_takes_the_last_words_is_dropped(scene: Scene) -> None:
    scene.hear(b"quit\n")
    scene.clock.advance(60)
    assert scene.transport.aborting


# Sessions that speak though nobody asked.


def test_a_session_that_is_woken_speaks_at_once(scene: Scene) -> None:
    scene.said()
    scene.session.connection.wake()
    assert scene.said() == [b"news\n"]
    scene.session.has_news = False
    scene.session.connection.wake()
    assert scene.said() == []
    assert scene.hear(b"a\n") == [b"a\n"]


def test_who_is_woken_while_something_is_under_way_speaks_behind_it(scene: Scene) -> None:
    scene.said()
    scene.hear(b"wait\n")
    scene.session.connection.wake()
    scene.session.connection.wake()
    scene.hear(b"a\n")
    assert scene.said() == []
    scene.session.waits[0].callback(b"waited")
    assert scene.said() == [b"waited\na\nnews\n"]
    assert scene.session.heard == [b"wait", b"a", Woken()]


def test_news_give_the_peer_no_more_time(scene: Scene) -> None:
    scene.hear(b"a\n")
    for _ in range(2):
        scene.clock.advance(14)
        scene.session.connection.wake()
    scene.clock.advance(1)
    assert not scene.transport.disconnecting
    scene.clock.advance(1)
    assert scene.transport.disconnecting
    assert b"too slow\n" in scene.transport.value()


def test_news_that_nobody_reads_are_no_longer_made(scene: Scene) -> None:
    scene.transport.narrow = True
    for _ in range(1000):
        scene.session.connection.wake()
        scene.clock.advance(0)
    assert scene.session.heard.count(Woken()) < 300
    assert scene.shell._outgoing.unsent <= 2 * LIMITS.unsent
    scene.clock.advance(61)
    assert scene.transport.aborting


def test_nobody_is_woken_who_has_gone(scene: Scene) -> None:
    connection = scene.session.connection
    scene.shell.connectionLost()
    connection.wake()
    assert scene.sessions[0].heard == []
