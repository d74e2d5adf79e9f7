"""Plays transcripts that anyone can read against an engine and its session, without a socket.

A dialogue is a text file::

    # QUIT ends a session (RFC 5321 section 4.1.1.10)
    portal: mx

    S: 220 ...
    C: QUIT
    S: 221 2.0.0 ...
    [closed]

Lines before the first empty one are the title, behind ``#``, and settings that
whoever builds the house understands.  Then:

``C: text``     the client says this line; lines that follow each other come together
``R: text``     the client sends these octets, escaped as in Python, and no line end
``S: text``     the server says this line; ``...`` in it stands for any text, and
                alone for any number of lines
``[TLS]``       both go on under TLS
``[late]``      the client says nothing until its time is over
``[hangs up]``  the client has gone
``[closed]``    the server has closed
``# text``      a remark
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import attrs

from mailplat.mail.errors import MailError
from mailplat.mail.transit import Peer
from mailplat.wire.engine import After, Engine, TimedOut

ANY = "..."
_STEP = re.compile(r"(?:([CRS]):(?: (.*))?|\[(TLS|late|hangs up|closed)\])")


class Session(Protocol):
    """What the player asks of a session (see `mailplat.portals.shell`)."""

    async def greet(self) -> object | None: ...
    async def answer(self, event: object) -> object | None: ...
    def lost(self) -> None: ...


@attrs.frozen
class Step:
    """One line of a dialogue; ``who`` is C, R, S, or what happens."""

    who: str
    text: str
    line: int


@attrs.frozen
class Dialogue:
    """A transcript: its settings, and what is said."""

    title: str
    settings: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]

    @classmethod
    def read(cls, path: Path) -> Dialogue:
        """Read a file; raises `ValueError` for a line that has no meaning."""
        head, _, body = path.read_text("utf-8").partition("\n\n")
        remarks = [line.lstrip("# ") for line in head.splitlines() if line.startswith("#")]
        settings = [line.split(":", 1) for line in head.splitlines() if line[:1] != "#"]
        pairs = tuple((name.strip(), value.strip()) for name, value in settings)
        return cls(" ".join(remarks), pairs, tuple(_steps(body, head.count("\n") + 3)))


def _steps(body: str, first: int) -> Iterator[Step]:
    for number, line in enumerate(body.splitlines(), first):
        if not line or line.startswith("#"):
            continue
        match = _STEP.fullmatch(line)
        if not match:
            raise ValueError(f"line {number} has no meaning: {line!r}")
        yield Step(match[1] or match[3], match[2] or "", number)


@attrs.define(eq=False)
class Line:
    """What a session sees as its connection: what it writes is kept."""

    peer: Peer
    local: Peer
    secured: object | None = None
    written: bytearray = attrs.field(factory=bytearray)
    farewell: MailError | None = None
    woken: bool = False

    def wake(self) -> None:
        """Note that the session wants to be heard."""
        self.woken = True

    async def turn(self) -> None:
        """Let others go on; there are none."""

    async def write(self, octets: bytes) -> None:
        self.written += octets

    def end(self, error: MailError) -> None:
        self.farewell = error


Connect: TypeAlias = Callable[[Line], tuple[Engine, Session]]


class Player:
    """Speaks for the client, as the shell would carry it.

    ``tls`` is what the connection is secured with once STARTTLS has succeeded;
    with ``implicit`` it is so from the beginning.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        peer: Peer = Peer("192.0.2.1", 4000),  # noqa: B008 - a frozen value
        tls: object = "TLS",
        implicit: bool = False,
    ) -> None:
        self._connect = connect
        self._tls = tls
        self.line = Line(peer, Peer("192.0.2.25", 25), tls if implicit else None)
        self.said: list[str] = []  # by the server, and not yet expected by the dialogue
        self.closed = False
        self._engine, self._session = connect(self.line)

    async def greet(self) -> None:
        """Let the server speak first."""
        self._say(await self._session.greet())

    async def send(self, octets: bytes) -> None:
        """Send octets, and let everything be answered that they complete."""
        engine = self._engine
        engine.receive(octets)
        while not self.closed and engine is self._engine and (event := engine.next_event()):
            self._say(await self._session.answer(event))

    async def be_late(self) -> None:
        """Let the client's time run out; the answer, if there is one, is the last."""
        self._say(await self._session.answer(TimedOut()))
        self.hang_up()

    def hang_up(self) -> None:
        """End the connection, for whatever cause."""
        if not self.closed:
            self.closed = True
            self._session.lost()

    def _say(self, reply: object | None) -> None:
        if reply is not None:
            self.line.written += self._engine.send(reply)
            octets = bytes(self.line.written)
            self.line.written.clear()
            finished = not octets or octets.endswith(b"\r\n")
            assert finished, f"an unfinished line: {octets!r}"
            self.said += octets.decode("utf-8", "backslashreplace").split("\r\n")[:-1]
        if self._engine.after is After.START_TLS:
            self._start_tls()
        elif self._engine.after is After.CLOSE:
            self.hang_up()

    def _start_tls(self) -> None:
        assert not self._engine.held, "words in front of the handshake"
        self._session.lost()
        self.line = attrs.evolve(self.line, secured=self._tls, written=bytearray())
        self._engine, self._session = self._connect(self.line)


async def play(dialogue: Dialogue, player: Player) -> None:
    """Play a dialogue to its end; fails where the server says something else."""
    await player.greet()
    steps = list(dialogue.steps)
    while steps:
        step = steps[0]
        if step.who == "S":
            expected = _leading(steps, "S")
            _compare(expected, player.said)
            player.said.clear()
            continue
        assert not player.said, f"before line {step.line} nobody expected {player.said!r}"
        if step.who in "CR":
            await player.send(b"".join(_octets(one) for one in _leading(steps, "CR")))
            continue
        del steps[0]
        await _happen(step, player)
    assert not player.said, f"nobody expected {player.said!r}"
    player.hang_up()


async def _happen(step: Step, player: Player) -> None:
    match step.who:
        case "late":
            await player.be_late()
        case "hangs up":
            player.hang_up()
        case "TLS":
            assert player.line.secured, f"line {step.line}: there is no TLS"
        case "closed":
            assert player.closed, f"line {step.line}: the server has not closed"


def _leading(steps: list[Step], kinds: str) -> list[Step]:
    """Take the first steps off that are of these kinds."""
    count = next((at for at, step in enumerate(steps) if step.who not in kinds), len(steps))
    taken = steps[:count]
    del steps[:count]
    return taken


def _octets(step: Step) -> bytes:
    if step.who == "R":
        return step.text.encode().decode("unicode_escape").encode("latin-1")
    return step.text.encode() + b"\r\n"


def _compare(expected: Sequence[Step], said: Sequence[str]) -> None:
    """Fail at the first line that is another than expected."""
    rest = list(said)
    for at, step in enumerate(expected):
        if step.text == ANY:
            behind = len(expected) - at - 1
            del rest[: max(len(rest) - behind, 0)]
            continue
        assert rest, f"line {step.line}: nothing more was said"
        assert _fits(step.text, rest[0]), f"line {step.line}: {rest[0]!r} was said"
        del rest[0]
    assert not rest, f"behind line {expected[-1].line} was said {rest!r}"


def _fits(pattern: str, text: str) -> bool:
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split(ANY))), text))
