"""The server half of SMTP and LMTP: what may be said when, framing, and limits."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import attrs

from mailplat.mail.errors import (
    BadSequence,
    LineTooLong,
    MailError,
    NoValidRecipients,
    TooManyErrors,
    TooManyRecipients,
)
from mailplat.mail.limits import Limits
from mailplat.wire.engine import After
from mailplat.wire.lines import Lines, is_foreign
from mailplat.wire.replies import Moment
from mailplat.wire.sasl import response
from mailplat.wire.smtp.commands import (
    Auth,
    Command,
    Data,
    Hello,
    Help,
    Mail,
    Noop,
    Offer,
    Rcpt,
    Rset,
    StartTls,
    Verify,
    read,
)
from mailplat.wire.smtp.data import Body, DotReader, EndOfData
from mailplat.wire.smtp.reply import Reply


@attrs.frozen
class Response:
    """The peer's turn in a login."""

    octets: bytes


@attrs.frozen
class Mistake:
    """The peer said what can't be said, or not now; ``error`` is to be its answer."""

    error: MailError = attrs.field(eq=type)
    moment: Moment = Moment.COMMAND


Event: TypeAlias = Command | Response | Mistake | Body | EndOfData

LITTLE = 4096  # octets of content to which more may be joined

_LAST = (Hello, Data, StartTls)  # of what a peer may send at once (RFC 2920 section 3.1)
_LAST_WORDS = (221, 421)  # RFC 5321 section 4.2.3
_JUNK = (Hello, Noop, Verify, Help, Rset)  # moves no mail


@attrs.define
class Receiver:
    """The engine of one connection, from its greeting on, or from STARTTLS on.

    What comes out of turn it makes a `Mistake`; what a command has changed it
    learns from the reply.  Errors, refusals for now, and commands that move no
    mail, RSET in the middle of a transaction among them, are counted until a
    message is accepted; past their limit the reply becomes a 421, as it does
    behind content that does not end.
    """

    offer: Offer
    limits: Limits
    greeted: bool = False  # by the session's first reply, or before STARTTLS
    after: After = attrs.field(default=After.GO_ON, init=False)
    complaint: str = attrs.field(default="", init=False)
    _lines: Lines = attrs.field(init=False)
    _content: DotReader | None = attrs.field(default=None, init=False)
    _arrived: deque[Body | EndOfData] | None = attrs.field(default=None, init=False)
    _unheard: int = attrs.field(default=0, init=False)  # octets in ``_arrived``
    _asked: Event | None = attrs.field(default=None, init=False)  # what awaits its reply
    _hello: bytes = attrs.field(default=b"", init=False)  # the verb that was accepted
    _logged_in: bool = attrs.field(default=False, init=False)
    _in_login: bool = attrs.field(default=False, init=False)
    _in_transaction: bool = attrs.field(default=False, init=False)
    _recipients: int = attrs.field(default=0, init=False)
    _errors: int = attrs.field(default=0, init=False)
    _deferrals: int = attrs.field(default=0, init=False)
    _junk: int = attrs.field(default=0, init=False)
    _leaving: bool = attrs.field(default=False, init=False)  # after the next reply
    _flooded: bool = attrs.field(default=False, init=False)  # by content without an end

    def __attrs_post_init__(self) -> None:
        self._lines = Lines(self.limits.sasl_line)

    @property
    def held(self) -> int:
        """How many octets have been received and not yet been given out."""
        return self._lines.held + self._unheard

    @property
    def in_content(self) -> bool:
        """Whether content is awaited or coming."""
        return self._content is not None

    # Octets in, events out.

    def receive(self, octets: bytes) -> None:
        """Take what has arrived."""
        if self._content:
            self._receive_content(self._content, octets)
        else:
            self._lines.receive(octets)

    def _receive_content(self, reader: DotReader, octets: bytes) -> None:
        if self._arrived is None:
            self._arrived = deque()  # only now: an idle connection need not have one
        for event in reader.receive(octets):
            if isinstance(event, Body):
                self._unheard += len(event.octets)
                event = self._behind_what_is_unheard(event)
            else:
                self._content = None
                self._lines.receive(reader.trailing)
            self._arrived.append(event)
        if reader.is_endless and self._content:
            self._content = None
            self._flooded = self._leaving = self._lines.endless = True
            self._arrived.append(EndOfData(reader.failure))

    def _behind_what_is_unheard(self, body: Body) -> Body:
        """Join content to a little that came before, so that its many pieces take no room."""
        last = self._arrived[-1] if self._arrived else None
        if self._arrived is None or not isinstance(last, Body) or len(last.octets) > LITTLE:
            return body
        self._arrived.pop()
        return Body(last.octets + body.octets)

    def next_event(self) -> Event | None:
        """Return what the peer said next, or None until more has arrived."""
        event = self._arrived.popleft() if self._arrived else self._next_line()
        if isinstance(event, Body):
            self._unheard -= len(event.octets)
        self._asked = event
        return event

    def _next_line(self) -> Event | None:
        if self._content or self._leaving:
            return None
        try:
            line = self._lines.next_line()
            if line is None:
                return None
            return Response(response(line)) if self._in_login else self._command(line)
        except MailError as error:
            self._leaving = self._leaving or self._lines.endless
            return Mistake(error, Moment.LOGIN if self._in_login else Moment.COMMAND)

    def _command(self, line: bytes) -> Event:
        is_login = line[:5].upper() == b"AUTH "
        if len(line) + 2 > self._longest_line and not is_login:
            raise LineTooLong(f"a command of {len(line) + 2} octets")
        try:
            command = read(line, self.offer, extended=self._hello != b"HELO")
            self._refuse_out_of_turn(command)
        except MailError as error:
            self._leaving = self._leaving or is_foreign(line)
            return Mistake(error, Moment.LOGIN if is_login else Moment.COMMAND)
        return command

    # What may be said when (RFC 5321 section 4.1.4).

    def _refuse_out_of_turn(self, command: Command) -> None:
        match command:
            case Rcpt():
                self._refuse_recipient()
            case Mail() if not self._hello or self._in_transaction:
                raise BadSequence("MAIL before EHLO, or inside a transaction")
            case Auth() if not self._hello or self._logged_in or self._in_transaction:
                raise BadSequence("AUTH before EHLO, a second time, or inside a transaction")
        if isinstance(command, _LAST) and self._lines.held:
            self._leaving = True
            raise BadSequence(f"octets behind {type(command).__name__}")
        if isinstance(command, Data):
            self._refuse_data()

    def _refuse_recipient(self) -> None:
        if not self._in_transaction:
            raise BadSequence("RCPT before MAIL")
        limits = self.limits
        most = limits.recipients_logged_in if self._is_trusted else limits.recipients
        if self._recipients >= most:
            raise TooManyRecipients(f"over {most}")

    def _refuse_data(self) -> None:
        if not self._in_transaction or (self.offer.lmtp and not self._recipients):
            raise BadSequence("DATA before RCPT")  # RFC 2033 section 4.2
        if not self._recipients:
            raise NoValidRecipients("every RCPT was refused")

    @property
    def _is_trusted(self) -> bool:
        return self._logged_in or self.offer.lmtp

    @property
    def _longest_line(self) -> int:
        return self.limits.smtp_line_logged_in if self._is_trusted else self.limits.smtp_line

    # Replies out.

    def send(self, reply: object) -> bytes:
        """Return the octets of the reply to the last event, and learn from it."""
        assert isinstance(reply, Reply)
        event, self._asked = self._asked, None
        reply = self._counted(event, reply) if self.greeted else self._greeting(reply)
        self._learn(event, reply)
        if self._leaving or reply.code in _LAST_WORDS:
            self.after = After.CLOSE
            self.complaint = "" if reply.is_success else reply.octets.decode().rstrip()
        return reply.octets

    def _greeting(self, reply: Reply) -> Reply:
        self.greeted = True
        if self.held:
            reply = Reply.refusing(BadSequence("spoke before us"), Moment.CONNECT)
        self._leaving = not reply.is_success
        return reply

    def _counted(self, event: Event | None, reply: Reply) -> Reply:
        limits = self.limits
        if self._flooded:
            return _enough("content without an end")
        if reply.code >= 400 and self._is_mistake(reply):
            self._errors += 1
            most = limits.errors_logged_in if self._is_trusted else limits.errors
            return _enough(f"{most} errors") if self._errors > most else reply
        if isinstance(event, _JUNK):
            self._junk += 1
            most = limits.junk_commands_logged_in if self._is_trusted else limits.junk_commands
            return _enough(f"{most} junk commands") if self._junk > most else reply
        return reply

    def _is_mistake(self, refusal: Reply) -> bool:
        if refusal.code >= 500:
            return True
        self._deferrals += 1
        return self._deferrals > self.limits.deferrals

    def _learn(self, event: Event | None, reply: Reply) -> None:
        match event:
            case Rcpt() if reply.is_success:
                self._recipients += 1
            case Mail() if reply.is_success:
                self._in_transaction, self._recipients = True, 0
            case Data():
                self._begin_content(reply)
            case EndOfData():
                self._in_transaction, self._arrived = False, None
                if reply.is_success:
                    self._errors = self._deferrals = self._junk = 0
            case Hello() if reply.is_success:
                self._hello, self._in_transaction = event.verb, False
            case Rset():
                self._in_transaction = False
            case Auth() | Response() | Mistake():
                self._in_login = reply.code == 334
                self._logged_in = self._logged_in or reply.code == 235
            case StartTls() if reply.is_success:
                self.after = After.START_TLS

    def _begin_content(self, reply: Reply) -> None:
        if reply.code != 354:
            self._leaving = self._leaving or self._lines.held > 0  # content, taken for commands
            return
        self._content = DotReader(self.limits.data_line, self.offer.size)
        early = self._lines.take()
        if early:
            self.receive(early)


def _enough(detail: str) -> Reply:
    return Reply.refusing(TooManyErrors(detail))
