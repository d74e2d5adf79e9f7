"""Gives POP3's commands their meaning: one client, from the greeting to the end.

A session is in the AUTHORIZATION state until it has a maildrop, and in the
TRANSACTION state from then on.  QUIT in the TRANSACTION state is the UPDATE
state, and the only moment at which anything is removed (RFC 1939 section 6).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import attrs

from mailplat.mail.content import Content, Octets, whole
from mailplat.mail.errors import (
    BadSequence,
    LoginFailed,
    MailError,
    TooManyErrors,
    TooSlow,
    UnknownCommand,
)
from mailplat.mail.limits import Limits
from mailplat.mail.people import Account
from mailplat.mail.splices import Splice
from mailplat.portals.pop3.languages import ENGLISH, LANGUAGES, language_for
from mailplat.portals.pop3.views import changed_as_read, changed_at_once, changes_for_ascii
from mailplat.portals.pop3.visit import Visit
from mailplat.wire import pop3, sasl
from mailplat.wire.engine import After, TimedOut
from mailplat.wire.pop3 import (
    Challenge,
    Err,
    Listing,
    Message,
    Ok,
    Reply,
    Tail,
    TopCut,
    Transfer,
)
from mailplat.wire.replies import text_for, words_for

if TYPE_CHECKING:  # a session knows no Twisted, and these do
    from mailplat.portals.connection import Connection
    from mailplat.portals.login import Logins, Proof
    from mailplat.portals.pop3.attendance import Attendance
    from mailplat.portals.pop3.maildrop import Maildrop, Maildrops

PROTOCOL = "POP3"
ALWAYS = (
    "TOP",
    "UIDL",
    "RESP-CODES",
    "AUTH-RESP-CODE",
    "PIPELINING",
    "LANG",
    "IMPLEMENTATION mailplat",
)
TOGETHER = 16384  # octets of a message that may leave together with other replies
PIECE = 65536  # octets of a larger message that are read at once
LINES = 2000  # of a listing that are made at once


class CutShort(Exception):
    """A message could not be read to its end after some of it had been sent.

    No `MailError`: the client would take its ``-ERR`` for a line of the message,
    and what it has pipelined behind, a DELE perhaps, must not be answered.
    """


Answers: TypeAlias = Mapping[type[object], Callable[[Any, Any], Awaitable[Reply]]]


@attrs.frozen(kw_only=True)
class Rules:
    """What all sessions of a portal have in common."""

    hostname: str
    limits: Limits
    logins: Logins
    maildrops: Maildrops
    attendance: Attendance
    tls: bool  # whether STLS is offered
    user_command: bool  # whether USER and PASS are
    expire: str  # what EXPIRE announces
    login_delay: int  # seconds; 0 for none
    exclusive: bool  # whether an account has one session at a time
    take_retrieved: bool  # what was retrieved leaves at QUIT, as EXPIRE 0 means it
    to_the_end: Callable[[Coroutine[Any, Any, None]], Awaitable[None]]
    """Waits for work that goes on even where the waiting is cancelled."""
    tell: Callable[[Visit], None]
    seconds: Callable[[], float]  # the steady clock


class Pop3Session:
    """One client's conversation with its maildrop."""

    __slots__ = (
        "_account",
        "_connection",
        "_deadline",
        "_drop",
        "_failed",
        "_language",
        "_name",
        "_proof",
        "_refusals",
        "_retrieved",
        "_rules",
        "_utf8",
        "_visit",
    )

    def __init__(self, rules: Rules, connection: Connection) -> None:
        self._rules = rules
        self._connection = connection
        self._language = ENGLISH
        self._utf8 = False
        self._refusals = 0
        self._failed = 0  # logins
        self._name: bytes | None = None  # what USER said
        self._proof: Proof | None = None
        self._account: Account | None = None
        self._drop: Maildrop | None = None
        self._visit: Visit | None = None
        self._retrieved: set[int] = set()
        self._deadline = rules.seconds() + rules.limits.login_patience  # for a login

    @property
    def patience(self) -> float:
        """Seconds that the client has for its next command (RFC 1939 section 3).

        Before it has logged in no command buys it more time.
        """
        if self._has_drop:
            return self._rules.limits.pop3_patience
        return max(self._deadline - self._rules.seconds(), 0)

    @property
    def _has_drop(self) -> bool:
        """Whether this is the TRANSACTION state; an empty maildrop is one too."""
        return self._drop is not None

    async def greet(self) -> Reply:
        return Ok(f"{self._rules.hostname} POP3 ready")

    async def answer(self, event: object) -> Reply | None:
        """Return the answer to what the engine understood.

        A client that was too slow gets none: RFC 1939 section 3 asks for that.
        Raises `CutShort` where only the end of the connection can tell the truth.
        """
        if isinstance(event, TimedOut):
            self._end("timed out")
            return None
        if not self._has_drop and not self.patience:
            return self._err(TooSlow("no login in time"), After.CLOSE)
        commands = self._TRANSACTION if self._has_drop else self._AUTHORIZATION
        command = commands.get(type(event)) or Pop3Session._out_of_turn
        try:
            reply = await command(self, event)
        except MailError as error:
            reply = self._err(error)
        return self._counted(reply) if isinstance(reply, Err) else reply

    def lost(self) -> None:
        """Let go of everything; what was marked stays in the maildrop."""
        if self._account:
            self._rules.logins.leave(self._account.id, self._connection)
            self._rules.attendance.leave(self._account.id)
        if self._visit:
            self._rules.tell(self._visit)

    # Words.

    def _say(self, text: str, **values: object) -> str:
        return self._language.say(text).format_map(values)

    def _ok(self, text: str, **values: object) -> Ok:
        return Ok(self._say(text, **values))

    def _err(self, error: MailError, after: After = After.GO_ON) -> Err:
        words = words_for(error)
        said = text_for(error).removeprefix(words.text)
        return Err(self._language.say(words.text) + said, words.pop3, after)

    def _end(self, how: str) -> None:
        if self._visit:
            self._visit.end = how

    # Both states.

    def _counted(self, refusal: Err) -> Err:
        """Hang up on who has been refused too often, whatever for."""
        self._refusals += 1
        limits = self._rules.limits
        most = limits.errors_logged_in if self._has_drop else limits.errors
        if self._refusals <= most or refusal.after is After.CLOSE:
            return refusal
        return self._err(TooManyErrors(f"{self._refusals} refusals"), After.CLOSE)

    async def _mistaken(self, wrong: pop3.Wrong) -> Reply:
        raise wrong.error

    async def _out_of_turn(self, command: object) -> Reply:
        raise BadSequence(f"{type(command).__name__.upper()} in this state")

    async def _capa(self, _: pop3.Capa) -> Reply:
        rules, connection = self._rules, self._connection
        private = rules.logins.is_private(connection)
        mechanisms = rules.logins.mechanisms(connection)
        offered = {
            "USER": rules.user_command and private,
            f"SASL {' '.join(mechanisms)}": bool(mechanisms),
            "STLS": rules.tls and not connection.secured,
            f"LOGIN-DELAY {rules.login_delay}": bool(rules.login_delay),
            f"EXPIRE {rules.expire}": True,
            "UTF8 USER" if rules.user_command else "UTF8": True,
        }
        names = [*ALWAYS, *(name for name, yes in offered.items() if yes)]
        return Listing(self._say("What I can do"), "".join(f"{n}\r\n" for n in names).encode())

    async def _lang(self, command: pop3.Lang) -> Reply:
        if command.tag is None:
            lines = "".join(f"{one.tag} {one.name}\r\n" for one in LANGUAGES)
            return Listing(self._say("Languages"), lines.encode())
        language = language_for(command.tag)
        if language is None:
            return Err(self._say("Not spoken here"))
        self._language = language
        return Ok(f"{language.tag} {self._say('This is English')}")

    # The AUTHORIZATION state.

    async def _quit(self, _: pop3.Quit) -> Reply:
        return Ok(self._say("Goodbye"), After.CLOSE)

    async def _stls(self, _: pop3.Stls) -> Reply:
        if not self._rules.tls:
            raise UnknownCommand("STLS where no TLS is offered")
        if self._connection.secured:
            raise BadSequence("STLS under TLS")
        return Ok(self._say("Begin TLS now"), After.START_TLS)

    async def _utf8_mode(self, _: pop3.Utf8) -> Reply:
        self._utf8 = True
        return self._ok("UTF-8 from now on")

    async def _user(self, command: pop3.User) -> Reply:
        self._insist_on_user_command()
        self._name = command.name
        return self._ok("Send the password")

    async def _pass(self, command: pop3.Pass) -> Reply:
        """Log in by name and password; UTF-8 is taken also where UTF8 was not said."""
        self._insist_on_user_command()
        name, self._name = self._name, None
        if name is None:
            raise BadSequence("PASS without USER")
        try:
            account = await self._rules.logins.by_password(
                _text(name), command.password, peer=self._connection.peer, protocol=PROTOCOL
            )
        except LoginFailed as failed:
            return self._note_failure(failed)
        return await self._enter(account)

    def _insist_on_user_command(self) -> None:
        if not self._rules.user_command:
            raise UnknownCommand("USER and PASS are switched off")
        self._rules.logins.insist_on_privacy(self._connection)

    async def _auth(self, command: pop3.Auth) -> Reply:
        logins = self._rules.logins
        logins.insist_on_privacy(self._connection)
        peer = self._connection.peer
        self._proof = logins.begin(command.mechanism, peer=peer, protocol=PROTOCOL)
        return await self._prove(sasl.initial_response(command.initial))

    async def _sasl_line(self, line: pop3.SaslLine) -> Reply:
        return await self._prove(sasl.response(line.octets))

    async def _prove(self, octets: bytes | None) -> Reply:
        assert self._proof
        try:
            said = await self._proof.step(octets)
        except LoginFailed as failed:
            return self._note_failure(failed)
        return Challenge(said) if isinstance(said, bytes) else await self._enter(said)

    def _note_failure(self, failed: LoginFailed) -> Reply:
        self._failed += 1
        over = self._failed >= self._rules.limits.login_attempts
        return self._err(failed, After.CLOSE if over else After.GO_ON)

    async def _enter(self, account: Account) -> Reply:
        """Open the maildrop; raises `InUse`, `LoginTooSoon`, and what the store raises."""
        rules = self._rules
        rules.attendance.enter(account.id, exclusive=rules.exclusive, delay=rules.login_delay)
        rules.logins.join(account.id, self._connection)
        try:
            drop = await rules.maildrops.open(account.id)
        except BaseException:
            rules.logins.leave(account.id, self._connection)
            rules.attendance.leave(account.id)
            raise
        self._account, self._drop, self._proof = account, drop, None
        self._visit = Visit(account.name, self._connection.peer, len(drop))
        return self._welcome(drop)

    def _welcome(self, drop: Maildrop) -> Ok:
        return self._ok(
            "{messages} messages ({octets} octets)", messages=drop.messages, octets=drop.octets
        )

    # The TRANSACTION state.

    @property
    def _maildrop(self) -> Maildrop:
        assert self._drop is not None
        return self._drop

    async def _noop(self, _: pop3.Noop) -> Reply:
        return self._ok("Here")

    async def _stat(self, _: pop3.Stat) -> Reply:
        return Ok(f"{self._maildrop.messages} {self._maildrop.octets}")

    async def _list(self, command: pop3.List) -> Reply:
        """Tell sizes, as messages are kept.

        RFC 6858 section 4 lets the size of a message that is shown in another
        form be that of either; STAT and LIST need read no message for this one.
        """
        drop = self._maildrop
        if command.number is not None:
            return Ok(f"{command.number} {drop.size(drop.place(command.number))}")
        return await self._listing(self._welcome(drop).text, drop.sizes)

    async def _uidl(self, command: pop3.Uidl) -> Reply:
        drop = self._maildrop
        if command.number is not None:
            return Ok(f"{command.number} {drop.unique_id(drop.place(command.number))}")
        return await self._listing(self._say("Unique identifiers"), drop.unique_ids)

    async def _listing(self, text: str, lines: Callable[[int, int], bytes]) -> Reply:
        places = len(self._maildrop)
        if places <= LINES:
            return Listing(text, lines(0, places))
        transfer = Transfer(text)
        for start in range(0, places, LINES):
            await self._connection.write(transfer.feed(lines(start, start + LINES)))
        return Tail(transfer.end())

    async def _retr(self, command: pop3.Retr) -> Reply:
        place = self._maildrop.place(command.number)
        octets = self._maildrop.reader.at_hand(place)
        if octets is not None and len(octets) <= TOGETHER and self._may_see(octets):
            self._note_retrieved(place, len(octets))
            return Message(self._say("{octets} octets", octets=len(octets)), octets)
        with closing(await self._content(place, octets)) as content:
            shown = await changed_at_once(content, await self._changes(place, content))
            reply = await self._sent(self._say("{octets} octets", octets=shown.size), shown)
        self._note_retrieved(place, shown.size)
        return reply

    def _note_retrieved(self, place: int, octets: int) -> None:
        if self._rules.take_retrieved:
            self._retrieved.add(place)
        if self._visit:
            self._visit.retrieved += 1
            self._visit.retrieved_octets += octets

    def _may_see(self, octets: bytes) -> bool:
        return self._utf8 or octets.isascii()

    async def _content(self, place: int, octets: bytes | None) -> Content:
        return await self._maildrop.reader.content(place) if octets is None else Octets(octets)

    async def _changes(self, place: int, content: Content) -> AsyncIterator[Splice] | None:
        """Find what this client may not see as it is (RFC 6856 section 4); None if nothing."""
        if self._utf8:
            return None
        longest, turn = self._rules.limits.header_size, self._connection.turn
        return await changes_for_ascii(self._maildrop.reader, place, content, longest, turn)

    async def _sent(self, text: str, content: Content) -> Reply:
        if isinstance(content, Octets) and content.size <= TOGETHER:
            return Message(text, content.octets)
        transfer = Transfer(text)
        for start in range(0, content.size, PIECE):
            piece = await self._piece(content, start)
            await self._connection.write(transfer.feed(piece))
        return Tail(transfer.end())

    async def _piece(self, content: Content, start: int) -> bytes:
        """Read a piece; raises `CutShort` if that fails and others have been sent."""
        try:
            return await content.read(start, start + PIECE)
        except MailError as error:
            raise self._cut_short(start, error) from error

    def _cut_short(self, sent: int, error: MailError) -> Exception:
        """Return what to raise where a message can't be read on behind what has been sent."""
        if not sent:
            return error
        self._end("a message was cut short")
        return CutShort(f"at octet {sent}: {error}")

    async def _top(self, command: pop3.Top) -> Reply:
        """Send the top of what RETR would send (RFC 6858 section 4)."""
        place = self._maildrop.place(command.number)
        with closing(await self._maildrop.reader.content(place)) as content:
            found = await self._changes(place, content)
            if content.size <= TOGETHER:
                octets = await whole(await changed_at_once(content, found))
                cut = TopCut(command.lines)
                return Message(
                    self._say("The top of the message"), cut.feed(octets) + cut.end()
                )
            return await self._top_of(changed_as_read(content, found, PIECE), command.lines)

    async def _top_of(self, pieces: AsyncIterator[bytes], lines: int) -> Reply:
        """Send the top of a message; raises `CutShort` if reading fails in the midst of it."""
        transfer, cut, sent = Transfer(self._say("The top of the message")), TopCut(lines), 0
        try:
            async for piece in pieces:
                await self._connection.write(transfer.feed(cut.feed(piece)))
                sent += len(piece)
                if cut.done:
                    break
        except MailError as error:
            raise self._cut_short(sent, error) from error
        return Tail(transfer.feed(cut.end()) + transfer.end())

    async def _dele(self, command: pop3.Dele) -> Reply:
        self._maildrop.mark(self._maildrop.place(command.number))
        return self._ok("Message {number} is marked", number=command.number)

    async def _rset(self, _: pop3.Rset) -> Reply:
        self._maildrop.unmark_all()
        return self._welcome(self._maildrop)

    async def _update(self, _: pop3.Quit) -> Reply:
        """Remove what is marked, durably, and only then say so (RFC 1939 section 6)."""
        drop = self._maildrop
        for place in self._retrieved:
            drop.mark(place)
        try:
            await self._rules.to_the_end(drop.update())
        except MailError as error:
            self._end("QUIT failed")
            return self._err(error, After.CLOSE)
        if self._visit:
            self._visit.deleted = drop.marked
            self._visit.deleted_octets = drop.marked_octets
        self._end("QUIT")
        goodbye = self._say("Goodbye, {messages} messages left", messages=drop.messages)
        return Ok(goodbye, After.CLOSE)

    _BOTH: ClassVar[Answers] = {
        pop3.Capa: _capa,
        pop3.Lang: _lang,
        pop3.Wrong: _mistaken,
    }
    _AUTHORIZATION: ClassVar[Answers] = {
        **_BOTH,
        pop3.User: _user,
        pop3.Pass: _pass,
        pop3.Auth: _auth,
        pop3.SaslLine: _sasl_line,
        pop3.Stls: _stls,
        pop3.Utf8: _utf8_mode,
        pop3.Quit: _quit,
    }
    _TRANSACTION: ClassVar[Answers] = {
        **_BOTH,
        pop3.Stat: _stat,
        pop3.List: _list,
        pop3.Uidl: _uidl,
        pop3.Retr: _retr,
        pop3.Top: _top,
        pop3.Dele: _dele,
        pop3.Rset: _rset,
        pop3.Noop: _noop,
        pop3.Quit: _update,
    }


def _text(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise LoginFailed("a name that is not UTF-8") from None
