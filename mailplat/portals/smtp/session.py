"""Gives SMTP's commands their meaning: one client, from the greeting to the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from mailplat.mail.compose import received
from mailplat.mail.content import Octets, join
from mailplat.mail.envelope import Envelope
from mailplat.mail.errors import (
    BadSequence,
    LoginFailed,
    LoginRequired,
    MailError,
    NotOffered,
    Refused,
    TooManyErrors,
    TooSlow,
    bare,
)
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import Status
from mailplat.mail.transit import Decision, Disposition, Stage, Transit, Verdict
from mailplat.wire.engine import TimedOut
from mailplat.wire.replies import Moment
from mailplat.wire.smtp import reply
from mailplat.wire.smtp.commands import (
    Auth,
    Data,
    Hello,
    Help,
    Mail,
    Noop,
    Offer,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Verify,
)
from mailplat.wire.smtp.data import Body, EndOfData
from mailplat.wire.smtp.receiver import Mistake, Response
from mailplat.wire.smtp.reply import Reply

if TYPE_CHECKING:  # a session knows no Twisted, and these do
    from mailplat.files import Incoming, Spool
    from mailplat.interfaces import IPipeline
    from mailplat.mail.people import Account
    from mailplat.portals.connection import Connection
    from mailplat.portals.login import Logins, Proof

ACCEPTED = Status(2, 0, 0)


@attrs.frozen(kw_only=True)
class Desk:
    """What all sessions of one portal have in common."""

    portal: str  # its name, for the record
    hostname: str
    greeting: Reply
    pipeline: IPipeline
    logins: Logins
    spool: Spool
    limits: Limits
    login: Literal["off", "offered", "required"]
    lmtp: bool
    starttls: bool
    seconds: Callable[[], float]  # the wall clock
    random: Callable[[int], bytes]
    crowded: Callable[[], bool]

    def offer(self, connection: Connection) -> Offer:
        """Return what this connection is offered."""
        may_log_in = self.login != "off"
        return _offer(
            self.hostname,
            self.limits.message_size,
            self.lmtp,
            self.starttls and not connection.secured,
            self.logins.mechanisms(connection) if may_log_in else (),
        )

    def new_id(self) -> str:
        """Return a message's id: its milliseconds since 1970, then 40 random bits."""
        return f"{int(self.seconds() * 1000):011x}{self.random(5).hex()}"


_offer = lru_cache(64)(Offer)  # connections share it


@lru_cache(64)
def _offering(offer: Offer) -> Reply:
    return Reply.of_lines(250, offer.lines)


class SmtpSession:
    """One client of an SMTP or LMTP portal.

    The engine has seen to the order of commands.  Here policies are asked, the
    content is kept while it arrives, and the pipeline's outcomes become the
    answer.  A positive answer to content is made of outcomes and nothing else.
    """

    __slots__ = (
        "_connection",
        "_desk",
        "_failed_logins",
        "_failure",
        "_guest",
        "_incoming",
        "_login",
        "_offer",
        "_proof",
        "_transit",
    )

    def __init__(self, desk: Desk, connection: Connection, offer: Offer) -> None:
        self._desk = desk
        self._connection = connection
        self._offer = offer
        self._guest: Transit | None = None  # what is known before there is a message
        self._transit: Transit | None = None
        self._incoming: Incoming | None = None
        self._failure: MailError | None = None  # why the content can't be kept
        self._login: Account | None = None
        self._proof: Proof | None = None  # a login under way
        self._failed_logins = 0

    # What the shell asks.

    @property
    def patience(self) -> float:
        limits = self._desk.limits
        return limits.smtp_patience_crowded if self._desk.crowded() else limits.smtp_patience

    async def greet(self) -> Reply:
        try:
            await self._meet()
        except MailError as error:
            return Reply.refusing(error, Moment.CONNECT)
        return self._desk.greeting

    async def answer(self, event: object) -> Reply | None:
        kind = type(event)
        simple = _SIMPLE.get(kind)
        if simple:
            return simple
        try:
            return await self._meanings[kind](self, event)
        except MailError as error:
            return Reply.refusing(error, _MOMENTS.get(kind, Moment.COMMAND))

    def lost(self) -> None:
        self._give_up()
        if self._login:
            self._desk.logins.leave(self._login.id, self._connection)

    # Who is there.

    async def _meet(self) -> Transit:
        """Ask whether the client may connect at all; once in a session."""
        if self._guest is None:
            guest = self._new_transit("", Envelope(None))
            await self._ask(Stage.CONNECT, guest)
            self._guest = guest
        return self._guest

    async def _hello(self, event: Hello) -> Reply:
        self._give_up()
        guest = await self._meet()
        guest.greeting = event.name
        guest.protocol = self._protocol(event.verb)
        await self._ask(Stage.GREETING, guest)
        if event.verb == b"HELO":
            return Reply.of(250, self._desk.hostname)
        return _offering(self._offer)

    def _protocol(self, verb: bytes) -> str:
        """Return what the trace field calls this (RFC 3848)."""
        if verb == b"HELO":
            return "SMTP"
        secured = "S" if self._connection.secured else ""
        return ("LMTP" if verb == b"LHLO" else "ESMTP") + secured + "A" * bool(self._login)

    async def _start_tls(self, _event: StartTls) -> Reply:
        if self._connection.secured:
            raise BadSequence("there is TLS already")
        if not self._desk.starttls:
            raise NotOffered("STARTTLS")
        return reply.READY_FOR_TLS

    async def _auth(self, event: Auth) -> Reply:
        if self._desk.login == "off":
            raise NotOffered("AUTH")
        logins, connection = self._desk.logins, self._connection
        logins.insist_on_privacy(connection)
        self._proof = logins.begin(event.mechanism, peer=connection.peer, protocol="smtp")
        return await self._prove(self._proof, event.initial)

    async def _response(self, event: Response) -> Reply:
        assert self._proof
        return await self._prove(self._proof, event.octets)

    async def _prove(self, proof: Proof, octets: bytes | None) -> Reply:
        try:
            said = await proof.step(octets)
        except LoginFailed as error:
            self._failed_logins += 1
            if self._failed_logins >= self._desk.limits.login_attempts:
                raise TooManyErrors(f"failed login {self._failed_logins}: {error}") from None
            raise
        if isinstance(said, bytes):
            return Reply.challenge(said)
        self._desk.logins.join(said.id, self._connection)
        self._login, self._proof = said, None
        guest = await self._meet()
        guest.login, guest.protocol = said, f"{guest.protocol}A"
        return reply.LOGGED_IN

    # The envelope.

    async def _mail(self, event: Mail) -> Reply:
        if self._desk.login == "required" and not self._login:
            self._desk.logins.insist_on_privacy(self._connection)
            raise LoginRequired("MAIL before AUTH")
        self._desk.spool.insist_on_room(self._desk.limits.message_size)
        transit = self._new_transit(self._desk.new_id(), event.envelope)
        self._transit = transit
        try:
            await self._ask(Stage.SENDER, transit)
        except MailError:
            self._give_up()
            raise
        return reply.SENDER_OK

    def _new_transit(self, name: str, envelope: Envelope) -> Transit:
        connection, guest = self._connection, self._guest
        transit = Transit(
            id=name,
            peer=connection.peer,
            portal=self._desk.portal,
            local=connection.local,
            secured=connection.secured.version if connection.secured else "",
            envelope=envelope,
        )
        if guest:
            transit.protocol = guest.protocol
            transit.greeting = guest.greeting
            transit.login = guest.login
            transit.verdict = guest.verdict
            transit.edits = guest.edits
            transit.facts.update(guest.facts)
            transit.decisions.extend(guest.decisions)
        return transit

    async def _rcpt(self, event: Rcpt) -> Reply:
        transit = self._transit
        assert transit
        transit.recipient = event.recipient
        await self._ask(Stage.RECIPIENT, transit)
        transit.envelope = transit.envelope.with_recipient(event.recipient)
        return reply.RECIPIENT_OK

    async def _ask(self, stage: Stage, transit: Transit) -> None:
        """Raise what refuses at this stage; the pipeline remembers the rest."""
        verdict: Verdict = await self._desk.pipeline.ask(stage, transit)
        if verdict.disposition.refuses:
            raise verdict.error or Refused(f"at {stage.value}")

    async def _rset(self, _event: Rset) -> Reply:
        self._give_up()
        return reply.OK

    def _give_up(self) -> None:
        """End a transaction that has not led to a message."""
        transit, self._transit = self._transit, None
        self._failure = self._proof = None
        self._close_content()
        if transit:
            self._desk.pipeline.drop(transit)

    def _close_content(self) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming:
            incoming.close()

    # The content.

    async def _data(self, _event: Data) -> Reply:
        self._incoming = self._desk.spool.begin()
        return reply.GO_AHEAD

    async def _body(self, event: Body) -> None:
        if self._incoming is None:
            return  # it can't be kept, and is read to its end
        try:
            await self._incoming.add(event.octets)
        except MailError as error:
            self._failure = bare(error)
            self._close_content()

    async def _end_of_data(self, event: EndOfData) -> Reply:
        transit, incoming = self._transit, self._incoming
        assert transit
        failure = event.failure or self._failure
        if failure:
            return self._refuse_content(transit, failure)
        assert incoming
        try:
            await self._complete(transit, incoming)
        except MailError as error:
            return self._refuse_content(transit, error)
        self._transit = self._incoming = None  # it is the pipeline's now
        outcomes = await self._desk.pipeline.accept(transit)
        return self._answer_for(transit, outcomes)

    async def _complete(self, transit: Transit, incoming: Incoming) -> None:
        """Put the content, with its trace field, where the pipeline looks for it."""
        content = await incoming.finish()
        transit.arrived = datetime.fromtimestamp(self._desk.seconds(), UTC)
        trace = received(transit, self._desk.hostname, transit.arrived)
        transit.content = join(Octets(trace), content)

    def _refuse_content(self, transit: Transit, error: MailError) -> Reply:
        refused = Disposition.DEFER if error.status.is_transient else Disposition.REJECT
        detail = f"{type(error).__name__}: {error}"
        transit.decisions.append(Decision(Stage.CONTENT, self._desk.portal, refused, detail))
        outcome = Outcome(error.status, detail, error)
        answer = self._answer_for(transit, [outcome] * len(transit.envelope.recipients))
        self._give_up()
        return answer

    def _answer_for(self, transit: Transit, outcomes: Sequence[Outcome]) -> Reply:
        if self._desk.lmtp:
            return Reply.each([_answer_to(outcome, transit.id) for outcome in outcomes])
        return _answer_to(decisive(outcomes), transit.id)

    async def _mistake(self, event: Mistake) -> Reply:
        self._proof = None
        return Reply.refusing(event.error, event.moment)

    _meanings: ClassVar[dict[type, Callable[[Any, Any], Awaitable[Reply | None]]]] = {
        Body: _body,
        EndOfData: _end_of_data,
        Rcpt: _rcpt,
        Mail: _mail,
        Data: _data,
        Hello: _hello,
        Rset: _rset,
        StartTls: _start_tls,
        Auth: _auth,
        Response: _response,
        Mistake: _mistake,
    }


def decisive(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome that SMTP's one answer for all recipients tells.

    A failure that may pass comes first, so that the sender tries again; then a
    success; then what was refused for good, by its first reason.
    """
    return min(outcomes, key=lambda outcome: (4, 2, 5).index(outcome.status.klass))


def _answer_to(outcome: Outcome, name: str) -> Reply:
    status = outcome.status
    if status.is_success:
        return Reply.of(250, f"Ok, kept as {name}", ACCEPTED)
    if outcome.error:
        return Reply.refusing(outcome.error, Moment.CONTENT)
    code, text = (451, "Try again later") if status.is_transient else (554, "Not delivered")
    return Reply.of(code, text, status)


_SIMPLE: dict[type, Reply] = {
    Noop: reply.OK,
    Quit: reply.GOODBYE,
    Verify: reply.PERHAPS,
    Help: reply.SEE_THE_RFC,
    TimedOut: Reply.refusing(TooSlow("")),
}
_MOMENTS = {Auth: Moment.LOGIN, Response: Moment.LOGIN}
