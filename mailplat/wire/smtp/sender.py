"""The client half of SMTP and LMTP: what is said when, and what the answers mean.

Whoever carries the octets begins one order after the other (`greet`, `start_tls`,
`login`, `send`, `quit`), gives what arrives to `receive` and what has gone wrong
to `lost`, takes what is to be sent by `take`, and reads ``result`` once the order
is done.  While ``wants_content`` the message's octets are asked for, by `feed`.
"""

from __future__ import annotations

import enum
from collections.abc import Generator, Sequence
from typing import TypeAlias

import attrs

from mailplat.mail.envelope import Recipient
from mailplat.mail.errors import MailError
from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import Status
from mailplat.wire.sasl import challenge
from mailplat.wire.smtp.heard import BadReply, Heard, Hearing
from mailplat.wire.smtp.offered import Offered
from mailplat.wire.smtp.transaction import Transaction

CLOSING = 421  # what a server says that hangs up, whatever it was asked (RFC 5321 4.2.3)
TOO_MANY = Status(4, 5, 3)  # recipients in this transaction; the next may have them
LOST = Status(4, 4, 2)  # connection
BROKEN = Status(4, 5, 0)  # protocol
NEVER_MAIL = 521  # what a host greets with that takes no mail at all (RFC 7504)


class Awaited(enum.Enum):
    """What the server has to do next, each with a time of its own (RFC 5321 4.5.3.2)."""

    NOTHING = "nothing"
    GREETING = "greeting"
    COMMAND = "answer to a command"
    START = "answer to DATA"
    CONTENT = "taking of the content"
    END = "answer to the content"


@attrs.frozen
class Failed:
    """An order that came to nothing, and why; the connection is of no more use."""

    outcome: Outcome


@attrs.frozen
class Carried:
    """What became of a transaction: one outcome a recipient, in their order."""

    outcomes: tuple[Outcome, ...]


@attrs.frozen
class Credentials:
    """With what to log in."""

    name: str
    password: str = attrs.field(repr=False)


Result: TypeAlias = Offered | Carried | Failed


class _Broken(Exception):
    """The connection is over, in the middle of an order."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


@attrs.frozen
class _Piece:
    """Octets of the content."""

    octets: bytes
    is_last: bool


_Order: TypeAlias = Generator[Awaited, Heard | _Piece, Result]
_Step: TypeAlias = Generator[Awaited, Heard | _Piece, Heard]


@attrs.define
class Sender:
    """The engine of one connection.

    ``closing`` says that nothing more can be asked of the server; an order that is
    begun then fails at once.  ``name`` is what we call ourselves, ``host`` what the
    server is called, and ``address`` where it is, for the log.
    """

    name: str
    host: str = "the server"
    lmtp: bool = False
    address: str = ""
    offered: Offered = attrs.field(factory=Offered, init=False)
    result: Result | None = attrs.field(default=None, init=False)
    awaited: Awaited = attrs.field(default=Awaited.NOTHING, init=False)
    closing: bool = attrs.field(default=False, init=False)
    steps: int = attrs.field(default=0, init=False)  # that orders have made: time begins anew
    _hearing: Hearing = attrs.field(factory=Hearing, init=False)
    _order: _Order | None = attrs.field(default=None, init=False)
    _say: list[bytes] = attrs.field(factory=list, init=False)
    _dirty: bool = attrs.field(default=False, init=False)  # a transaction was left open
    _over: Outcome | None = attrs.field(default=None, init=False)  # why nothing can be asked

    @property
    def who(self) -> str:
        """The server, for the log."""
        return f"{self.host}[{self.address}]" if self.address else self.host

    # Octets.

    def receive(self, octets: bytes) -> None:
        """Take what has arrived."""
        if self._over:
            return
        self._hearing.receive(octets)
        try:
            while not self._over and (reply := self._hearing.next_reply()):
                self._hear(reply)
        except BadReply as problem:
            self._end(BROKEN, f"{self.who} can't be understood: {problem}")

    def lost(self, why: str = "the connection was lost", status: Status = LOST) -> None:
        """Hear that the connection is over, or is to be given up: the order fails for now."""
        self._end(status, f"{self.who}: {why}, waiting for {self.awaited.value}")

    def take(self) -> bytes:
        """Return what is to be sent now."""
        octets = b"".join(self._say)
        self._say.clear()
        return octets

    @property
    def wants_content(self) -> bool:
        """Whether more of the content is to be fed."""
        return self.awaited is Awaited.CONTENT

    def feed(self, octets: bytes, *, is_last: bool) -> None:
        """Take the next octets of the content."""
        self._go_on(_Piece(octets, is_last))

    # Orders.

    def greet(self) -> None:
        """Hear the greeting and say EHLO; the result is what is `Offered`."""
        self._begin(self._greet())

    def start_tls(self) -> None:
        """Ask for TLS; with the result `Offered` begin it and go on with `hello`."""
        self._begin(self._start_tls())

    def hello(self) -> None:
        """Say EHLO, and LHLO for LMTP."""
        self._begin(self._hello())

    def login(self, credentials: Credentials) -> None:
        """Log in by the best mechanism that is offered (RFC 4954)."""
        self._begin(self._login(credentials))

    def send(self, transaction: Transaction) -> None:
        """Send a message; the result is `Carried`, or `Failed` if no transaction was begun."""
        self._begin(self._send(transaction))

    def quit(self) -> None:
        """Take leave."""
        self._begin(self._quit())

    # How they go on.

    def _begin(self, order: _Order) -> None:
        assert self._order is None, "one order after the other"
        self.result, self._order = None, order
        if self._hearing.held and not self._over:
            self._order = None
            self._end(BROKEN, f"{self.who} spoke without being asked")
            self._order = order
        self._go_on(None)

    def _hear(self, reply: Heard) -> None:
        if reply.code == CLOSING:
            self._over = self._outcome(reply, "hangs up")
            self.closing = True
        if self._order is None:
            if reply.code != CLOSING:
                self._end(BROKEN, f"{self.who} spoke without being asked: {reply}")
            return
        self._go_on(reply)

    def _end(self, status: Status, detail: str) -> None:
        """Ask nothing more of the server; an order that is under way ends with it."""
        if self._over is None:
            self._over = Outcome(status, detail, remote=self.host)
        self.closing = True
        if self._order is not None:
            self._go_on(None)

    def _go_on(self, what: Heard | _Piece | None) -> None:
        order = self._order
        assert order is not None
        self.steps += 1
        try:
            if self._over is not None:
                self.awaited = order.throw(_Broken(self._over))
            elif what is None:
                self.awaited = next(order)
            else:
                self.awaited = order.send(what)
        except StopIteration as end:
            self._finish(end.value)
        except _Broken as broken:
            self._finish(Failed(broken.outcome))

    def _finish(self, result: Result) -> None:
        self._order, self.result, self.awaited = None, result, Awaited.NOTHING
        self.closing = self.closing or isinstance(result, Failed)

    def _ask(self, command: bytes, awaited: Awaited = Awaited.COMMAND) -> _Step:
        self._say.append(command)
        return (yield from self._answer(awaited))

    def _answer(self, awaited: Awaited = Awaited.COMMAND) -> _Step:
        reply = yield awaited
        assert isinstance(reply, Heard)
        return reply

    def _outcome(self, reply: Heard, what: str) -> Outcome:
        """Return what a reply that is no success means for recipients."""
        return Outcome(
            reply.status, f"{self.who} {what}: {reply}", remote=self.host, reply=str(reply)
        )

    def _refused(self, reply: Heard, what: str, *, passing: bool = False) -> Failed:
        outcome = self._outcome(reply, what)
        if passing and not outcome.status.is_transient:
            status = Status(4, outcome.status.subject, outcome.status.detail)
            outcome = attrs.evolve(outcome, status=status)
        return Failed(outcome)

    # Greeting.

    def _greet(self) -> _Order:
        reply = yield from self._answer(Awaited.GREETING)
        if reply.code == NEVER_MAIL:
            return self._refused(reply, "takes no mail")
        if reply.code != 220:
            return self._refused(reply, "doesn't greet us", passing=True)
        return (yield from self._hello())

    def _hello(self) -> _Order:
        verb = b"LHLO" if self.lmtp else b"EHLO"
        reply = yield from self._ask(b"%b %b\r\n" % (verb, self.name.encode("ascii")))
        if reply.code // 100 == 5 and not self.lmtp:  # RFC 5321 section 3.2
            reply = yield from self._ask(b"HELO %b\r\n" % self.name.encode("ascii"))
            reply = Heard(reply.code, reply.lines[:1])
        if not reply.is_success:
            return self._refused(reply, "doesn't take our greeting", passing=True)
        self.offered, self._dirty = Offered.read(reply.lines), False
        return self.offered

    def _start_tls(self) -> _Order:
        reply = yield from self._ask(b"STARTTLS\r\n")
        if reply.code != 220:
            return self._refused(reply, "doesn't start TLS", passing=True)
        if self._hearing.held:  # would be believed to have come under TLS
            return Failed(Outcome(BROKEN, f"{self.who} spoke behind STARTTLS"))
        self.offered = Offered()
        return self.offered

    def _quit(self) -> _Order:
        yield from self._ask(b"QUIT\r\n")
        self.closing = True
        return self.offered

    # Login.

    def _login(self, credentials: Credentials) -> _Order:
        """A login that fails fails for now: it is the operator's fault and not the sender's."""
        name, password = credentials.name.encode(), credentials.password.encode()
        if "PLAIN" in self.offered.mechanisms:
            words = challenge(b"\0%b\0%b" % (name, password))
            reply = yield from self._ask(b"AUTH PLAIN %b\r\n" % words)
        elif "LOGIN" in self.offered.mechanisms:
            reply = yield from self._ask(b"AUTH LOGIN\r\n")
            for word in (name, password):
                if reply.code == 334:
                    reply = yield from self._ask(challenge(word) + b"\r\n")
        else:
            detail = f"{self.who} offers no login that we know"
            return Failed(Outcome(Status(4, 7, 0), detail, remote=self.host))
        if reply.code != 235:
            return self._refused(reply, "refuses our login", passing=True)
        return self.offered

    # Transactions.

    def _send(self, transaction: Transaction) -> _Order:
        sending = _Sending(transaction, self.host, self.who)
        try:
            yield from self._carry(sending)
        except _Broken as broken:
            if not sending.begun:
                raise
            sending.rest(broken.outcome)
        return Carried(sending.outcomes())

    def _carry(self, sending: _Sending) -> Generator[Awaited, Heard | _Piece, None]:
        transaction, offered = sending.transaction, self.offered
        sending.refuse_what_can_not_be_said(offered)
        recipients = sending.undecided
        if not recipients:
            return
        chunked = transaction.is_chunked(offered)
        replies = self._commands(sending, recipients, chunked=chunked)
        if "PIPELINING" in offered:
            self._say.append(b"".join(replies))
            replies = [b""] * len(replies)
        asked = iter(replies)
        if self._dirty:
            yield from self._ask(next(asked))
        self._dirty = True
        mail = yield from self._say_in_step(next(asked))
        sending.begun = True
        if not mail.is_success:
            sending.rest(self._outcome(mail, "refuses the sender"))
        for number in recipients:
            if not mail.is_success and "PIPELINING" not in offered:
                return
            reply = yield from self._say_in_step(next(asked))
            if mail.is_success:
                sending.recipient_answered(number, reply)
        yield from self._content(sending, next(asked, None))

    def _say_in_step(self, command: bytes) -> _Step:
        """Ask what is answered by yes or no: anything else is an answer to something else."""
        reply = yield from self._ask(command)
        if reply.code // 100 == 3:
            raise self._out_of_step(reply)
        return reply

    def _out_of_step(self, reply: Heard) -> _Broken:
        self._over, self.closing = _now(self._outcome(reply, "is out of step")), True
        return _Broken(self._over)

    def _commands(
        self, sending: _Sending, recipients: Sequence[int], *, chunked: bool
    ) -> list[bytes]:
        transaction, offered = sending.transaction, self.offered
        everyone = transaction.envelope.recipients
        utf8 = transaction.is_utf8(tuple(everyone[number] for number in recipients))
        return [
            *([b"RSET\r\n"] if self._dirty else []),
            transaction.mail(offered, utf8=utf8),
            *(transaction.rcpt(everyone[number], offered, utf8=utf8) for number in recipients),
            *([] if chunked else [b"DATA\r\n"]),
        ]

    def _content(
        self, sending: _Sending, data: bytes | None
    ) -> Generator[Awaited, Heard | _Piece, None]:
        """Send the content if anybody is to have it; ``data`` is None where it goes by BDAT."""
        accepted = bool(sending.accepted)
        if data == b"" or (data and accepted):
            reply = yield from self._ask(data, Awaited.START)
            if reply.code < 400 and reply.code != 354:
                raise self._out_of_step(reply)
            if reply.code != 354:
                sending.rest(self._outcome(reply, "refuses to take content"))
                return
            if not accepted:  # RFC 2920 section 3.1
                yield from self._ask(b".\r\n", Awaited.END)
                return
        if accepted:
            yield from self._pieces(sending, counted=data is None)

    def _pieces(
        self, sending: _Sending, *, counted: bool
    ) -> Generator[Awaited, Heard | _Piece, None]:
        writer = sending.transaction.writer(self.offered)
        while True:
            piece = yield Awaited.CONTENT
            if isinstance(piece, Heard):  # it doesn't want to hear the rest
                self._over, self.closing = self._outcome(piece, "refuses the content"), True
                raise _Broken(_now(self._over) if piece.code < 400 else self._over)
            if piece.is_last:
                self._say.append(writer.finish(piece.octets))
                break
            octets = writer.feed(piece.octets)
            self._say.append(octets)
            if counted and octets:
                reply = yield from self._answer(Awaited.END)
                if not reply.is_success:
                    sending.rest(self._outcome(reply, "refuses the content"))
                    return
        yield from self._final_answers(sending)

    def _final_answers(self, sending: _Sending) -> Generator[Awaited, Heard | _Piece, None]:
        """Hear what becomes of the message, for each who was accepted or for all of them."""
        self._dirty = False
        reports = "DSN" in self.offered
        for group in (
            [[number] for number in sending.accepted] if self.lmtp else [list(sending.accepted)]
        ):
            reply = yield from self._answer(Awaited.END)
            outcome = self._outcome(reply, "refuses the content")
            if reply.is_success:
                outcome = Outcome(
                    outcome.status,
                    f"{self.who} has it: {reply}",
                    remote=self.host,
                    reply=str(reply),
                    relayed=True,
                    reports=reports,
                )
            elif reply.code < 400:
                outcome = _now(outcome)
            sending.decide(group, outcome)


def _now(outcome: Outcome) -> Outcome:
    """Return the outcome as one that may be another later."""
    return attrs.evolve(outcome, status=BROKEN)


@attrs.define
class _Sending:
    """A transaction under way: what has become of each recipient."""

    transaction: Transaction
    host: str
    who: str
    accepted: list[int] = attrs.field(factory=list)
    begun: bool = False  # MAIL was answered
    _decided: dict[int, Outcome] = attrs.field(factory=dict)

    @property
    def _recipients(self) -> tuple[Recipient, ...]:
        return self.transaction.envelope.recipients

    @property
    def undecided(self) -> list[int]:
        """Those of whom nothing is known yet, by their place in the envelope."""
        return [n for n in range(len(self._recipients)) if n not in self._decided]

    def outcomes(self) -> tuple[Outcome, ...]:
        return tuple(self._decided[number] for number in range(len(self._recipients)))

    def decide(self, numbers: Sequence[int], outcome: Outcome) -> None:
        for number in numbers:
            self._decided[number] = outcome

    def rest(self, outcome: Outcome) -> None:
        """Give this outcome to everybody who has none; no success means a passing failure."""
        if outcome.status.is_success:
            outcome = _now(outcome)
        self.decide(self.undecided, outcome)
        self.accepted.clear()

    def refuse_what_can_not_be_said(self, offered: Offered) -> None:
        """Decide of those whom this server can't be told of, and of those over its limit."""
        if problem := self.transaction.obstacle(offered):
            self.rest(self._by_us(problem))
            return
        for number, recipient in enumerate(self._recipients):
            if problem := self.transaction.obstacle(offered, recipient):
                self.decide([number], self._by_us(problem))
        if most := offered.limits.get("RCPTMAX"):
            detail = f"{self.who} takes {most} recipients at once"
            self.decide(self.undecided[most:], Outcome(TOO_MANY, detail, remote=self.host))

    def recipient_answered(self, number: int, reply: Heard) -> None:
        if reply.is_success:
            self.accepted.append(number)
            return
        status = reply.status
        if reply.code == 552 and status in (Status(5, 0, 0), Status(5, 5, 3)):
            status = TOO_MANY  # RFC 5321 section 4.5.3.1.10
        elif reply.code == 452 and status == Status(4, 0, 0):
            status = TOO_MANY
        detail = f"{self.who} refuses the recipient: {reply}"
        self.decide([number], Outcome(status, detail, remote=self.host, reply=str(reply)))

    def _by_us(self, problem: MailError) -> Outcome:
        detail = f"{self.who}: {problem}"
        return Outcome(problem.status, detail, problem, remote=self.host)
