"""One client's conversation, from the greeting to the end: states, logins, news.

What each command means stands in `mailplat.portals.imap.commands`; here is what they
have in common, and what they may ask of a session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from mailplat.interfaces import IAccount
from mailplat.mail.errors import (
    BadSequence,
    LoginFailed,
    MailError,
    NoSuchMailbox,
    TooManyErrors,
    TooSlow,
    UnknownCommand,
)
from mailplat.mail.mailbox import Mailbox, UidSet, proper_name
from mailplat.mail.people import Account
from mailplat.portals.imap import capabilities
from mailplat.portals.imap.command import Coded, Command, Ok, State
from mailplat.portals.imap.commands import COMMANDS
from mailplat.portals.imap.furnishing import furnish
from mailplat.portals.imap.rules import PROTOCOL, Rules, Visit
from mailplat.portals.imap.selected import NONE, Selected
from mailplat.portals.imap.uploads import Upload
from mailplat.wire import sasl
from mailplat.wire.engine import After, TimedOut, Woken
from mailplat.wire.imap.names import read_name, write_name
from mailplat.wire.imap.receiver import Announced, Done, Mistake, Piece, Response, Said
from mailplat.wire.imap.reply import (
    BAD,
    NO,
    OK,
    Bye,
    Challenge,
    Effect,
    GoOn,
    Reply,
    Tagged,
    Untagged,
)

if TYPE_CHECKING:  # a session knows no Twisted, and these do
    from mailplat.mail.events import AccountChanged
    from mailplat.portals.connection import Connection
    from mailplat.portals.login import Proof


class ImapSession:
    """One client: what it may do, what it has selected, and what it knows of that.

    Commands use the attributes without an underscore.
    """

    __slots__ = (
        "_deadline",
        "_failed_logins",
        "_is_over",
        "_mistakes",
        "_pending",
        "_proof",
        "_said",
        "connection",
        "enabled",
        "login",
        "mail",
        "rules",
        "selected",
        "tag",
        "upload",
        "visit",
    )

    def __init__(self, rules: Rules, connection: Connection) -> None:
        self.rules = rules
        self.connection = connection
        self.login: Account | None = None
        self.mail: IAccount | None = None
        self.selected: Selected | None = None
        self.enabled: frozenset[str] = frozenset()  # by ENABLE, and by what implies it
        self.upload: Upload | None = None
        self.visit: Visit | None = None
        self.tag = b""  # of the command that is carried out
        self._said: list[bytes] = []  # untagged, and not yet sent
        self._pending: tuple[bytes, Command] | None = None  # what waits for the client
        self._proof: Proof | None = None
        self._mistakes = 0  # in a row
        self._failed_logins = 0
        self._is_over = False  # the selected mailbox has gone
        self._deadline = rules.seconds() + rules.limits.login_patience

    # What the shell asks.

    @property
    def patience(self) -> float:
        """Seconds for the next command (RFC 9051 section 5.4); before a login none adds to it.

        Content must flow, or come within less.
        """
        if self.upload:
            return self.rules.limits.imap_content_patience
        if self.login:
            return self.rules.limits.imap_patience
        return max(self._deadline - self.rules.seconds(), 0)

    async def greet(self) -> Reply:
        code = f"CAPABILITY {' '.join(self.capabilities())}"
        return Untagged(f"* OK [{code}] {self.rules.hostname} ready\r\n".encode())

    async def answer(self, event: object) -> Reply | None:
        """Return the reply to what the engine understood."""
        match event:
            case Said():
                return await self._command(event)
            case Piece(octets):
                if self.upload:
                    await self.upload.add(octets)
                return None
            case Announced():
                return await self._announcement(event)
            case Response(octets):
                return await self._response(octets)
            case Done():
                return await self._done()
            case Woken():
                return await self._woken()
            case Mistake(tag, error):
                pending, self._pending, self._proof = self._pending, None, None
                self._close_upload()
                return self._refuse(pending[0] if pending else tag, error)
            case TimedOut():
                self.ends("timed out")
                return Bye(
                    "Nothing heard for too long, goodbye", b"INACTIVE" if self.login else b""
                )
            case _:
                raise TypeError(f"no event of IMAP: {event!r}")

    def lost(self) -> None:
        """Let go of everything."""
        self._close_upload()
        self.unselect()
        if self.login:
            self.rules.logins.leave(self.login.id, self.connection)
            self.rules.watchers.leave(self.login.id, self)
        if self.visit:
            self.rules.tell(self.visit)

    def hear(self, event: AccountChanged) -> None:
        """Note that the account has changed; an idle client is told at once."""
        selected = self.selected
        if selected and selected.mailbox.id in event.mailboxes:
            selected.is_stale = True
            if self._pending:
                self.connection.wake()

    # What is said.

    async def _command(self, said: Said) -> Reply:
        if not self.login and not self.patience:
            return Bye.because(TooSlow("no login in time"))
        self.tag = said.tag
        try:
            kind = self._kind(said)
            result = await self._run(kind.parse(said.cursor))
        except MailError as error:
            return self._refuse(said.tag, error)
        finally:
            self._close_upload()
        if isinstance(result, Ok):
            return self._end(said.tag, result)
        self._pending = said.tag, kind.parse(said.cursor)
        if isinstance(result, GoOn):
            return attrs.evolve(result, untagged=self.take_said())
        return result

    def _kind(self, said: Said) -> type[Command]:
        kind = COMMANDS.get(said.name)
        if kind is None:
            raise UnknownCommand(repr(said.name[:40]), public=said.name[:40].decode("ascii"))
        if self.visit:
            self.visit.commands += 1
        if self.state not in kind.states:
            if self.state is State.NOT_AUTHENTICATED:
                raise BadSequence("before a login", public="log in first")
            is_login = kind.states is State.NOT_AUTHENTICATED
            public = "you have logged in already" if is_login else "no mailbox is selected"
            raise BadSequence(f"{said.name!r} in this state", public=public)
        return kind

    async def _run(self, command: Command) -> Ok | GoOn | Challenge:
        result = await command.run(self)
        if isinstance(result, Ok | GoOn):
            await self.catch_up(may_expunge=not command.withholds)
        return result

    def _end(self, tag: bytes, ok: Ok) -> Tagged:
        self._mistakes = 0
        after, untagged = ok.after, self.take_said()
        if self._is_over:
            self.ends("the mailbox was removed")
            after = After.CLOSE
            untagged += Bye("The selected mailbox has been removed").octets
        return Tagged(tag, OK, ok.text, ok.code, untagged, after, ok.effect)

    def _refuse(self, tag: bytes, error: MailError) -> Reply:
        if isinstance(error, Coded):
            reply = Tagged.refusing(tag, error.error, self.take_said())
            reply = attrs.evolve(reply, status=NO, code=error.code)
        else:
            reply = Tagged.refusing(tag, error, self.take_said())
        if self._failed_logins >= self.rules.limits.login_attempts:
            return self._last(reply, error)
        if reply.status != BAD and self.login:
            return reply
        self._mistakes += 1
        limits = self.rules.limits
        most = limits.errors_logged_in if self.login else limits.errors
        if self._mistakes > most:
            return self._last(reply, TooManyErrors(f"{self._mistakes} mistakes"))
        return reply

    def _last(self, reply: Tagged, error: MailError) -> Tagged:
        self.ends("too many mistakes")
        bye = Bye.because(error).octets
        return attrs.evolve(reply, untagged=reply.untagged + bye, after=After.CLOSE)

    # Contents.

    async def _announcement(self, event: Announced) -> Reply:
        """Say whether a literal may come; only contents can be refused here."""
        if not event.is_content:
            return GoOn()
        said = event.said
        try:
            kind = self._kind(said)
            admit = getattr(kind, "admit", None)
            if admit is None:
                raise BadSequence("a content", public="no message belongs here")
            self.upload = self.upload or Upload(self.rules.spool)
            await admit(self, said.cursor, event.size)
            await self.upload.begin(event.size)
        except MailError as error:
            self._close_upload()
            return self._refuse(said.tag, error)
        return GoOn()

    def _close_upload(self) -> None:
        upload, self.upload = self.upload, None
        if upload:
            upload.close()

    # Waiting for the client.

    async def _done(self) -> Reply:
        assert self._pending
        (tag, _), self._pending = self._pending, None
        await self.catch_up(may_expunge=True)
        return self._end(tag, Ok("Idle no more"))

    async def _woken(self) -> Reply | None:
        if self._pending is None or self._proof:
            return None
        await self.catch_up(may_expunge=True)
        if self._is_over:
            return Bye("The selected mailbox has been removed")
        said = self.take_said()
        return Untagged(said) if said else None

    async def _response(self, octets: bytes) -> Reply:
        assert self._pending
        tag, _ = self._pending
        try:
            result = await self.prove(sasl.response(octets))
        except MailError as error:
            self._pending = self._proof = None
            return self._refuse(tag, error)
        if isinstance(result, Challenge):
            return result
        self._pending = None
        return self._end(tag, result)

    # For commands: what the session is, and what it can say.

    @property
    def state(self) -> State:
        """Which state of RFC 9051 section 3 this is."""
        if self.login is None:
            return State.NOT_AUTHENTICATED
        return State.SELECTED if self.selected else State.AUTHENTICATED

    @property
    def account(self) -> IAccount:
        """The mail of whoever has logged in."""
        assert self.mail is not None
        return self.mail

    @property
    def box(self) -> Selected:
        """The selected mailbox."""
        assert self.selected is not None
        return self.selected

    @property
    def is_rev2(self) -> bool:
        """Whether the client has enabled IMAP4rev2."""
        return "IMAP4REV2" in self.enabled

    @property
    def has_utf8(self) -> bool:
        """Whether names and quoted strings may be in UTF-8."""
        return self.is_rev2

    @property
    def tells_modseqs(self) -> bool:
        """Whether the client wants to know mod-sequences (RFC 7162 section 3.1)."""
        return "CONDSTORE" in self.enabled

    @property
    def tells_vanished(self) -> bool:
        """Whether expunges are told by UIDs (RFC 7162 section 3.2)."""
        return "QRESYNC" in self.enabled

    def capabilities(self) -> tuple[str, ...]:
        """Return what the client can do now."""
        rules, connection = self.rules, self.connection
        if self.login:
            return capabilities.after_login(rules.limits.message_size, rules.without)
        return capabilities.before_login(
            rules.logins.mechanisms(connection),
            starttls=rules.tls and not connection.secured,
            private=rules.logins.is_private(connection),
        )

    def say(self, octets: bytes) -> None:
        """Say whole untagged lines, together with the end of the command."""
        self._said.append(octets)

    async def write(self, octets: bytes) -> None:
        """Say what may be large, or a part of it; waits while too much lies unsent."""
        await self.connection.write(self.take_said() + octets)

    def take_said(self) -> bytes:
        """Return what has been said untagged, and not been sent."""
        octets = b"".join(self._said)
        self._said.clear()
        return octets

    def ends(self, how: str) -> None:
        """Note how the session ended."""
        if self.visit:
            self.visit.end = how

    def enable(self, *names: str) -> None:
        """Remember that the client knows these extensions; QRESYNC implies CONDSTORE."""
        implied = ("CONDSTORE",) if "QRESYNC" in names else ()
        self.enabled |= {*names, *implied}

    # For commands: names and mailboxes.

    def name_of(self, octets: bytes) -> str:
        """Return the proper name that a client has written; raises `NotPermitted`."""
        return proper_name(read_name(octets, self.has_utf8))

    def pattern_of(self, octets: bytes) -> str:
        """Return a pattern of names that a client has written; raises `NotPermitted`."""
        return read_name(octets, self.has_utf8)

    def spelt(self, name: str) -> bytes:
        """Return a name as this client reads it."""
        return write_name(name, self.has_utf8)

    async def find(self, octets: bytes) -> Mailbox:
        """Return the mailbox of a name as it was written; raises `NoSuchMailbox`."""
        name = self.name_of(octets)
        for mailbox in await self.account.mailboxes():
            if mailbox.name == name:
                return mailbox
        raise NoSuchMailbox(f"{name!r}")

    # For commands: the selected mailbox.

    async def select(self, mailbox: Mailbox, *, read_only: bool) -> Selected:
        """Select a mailbox instead of the one that was selected."""
        opened = await self.rules.indexes.open(self.rules.store, self.account, mailbox.id)
        self.unselect()
        self.selected = Selected(mailbox, opened, read_only=read_only)
        return self.selected

    async def leave(self, *, expunge: bool) -> None:
        """Leave the selected mailbox; what is marked as deleted goes if that is wanted."""
        box = self.box
        if expunge and not box.read_only:
            uids = box.deleted(await box.latest())
            if uids:
                await self.account.expunge(box.mailbox.id, uids)
        self.unselect()

    def unselect(self) -> None:
        """Leave the selected mailbox, if there is one, as it is."""
        selected, self.selected = self.selected, None
        if selected:
            selected.close()

    async def catch_up(
        self,
        *,
        may_expunge: bool,
        now: bool = False,
        also: UidSet = NONE,
        uids: bool = False,
    ) -> None:
        """Tell the client what is new in the selected mailbox.

        ``now`` asks the store even where nothing has been heard of, as after a change of
        the client's own.  Flags of ``also`` are told in any case.
        """
        box = self.selected
        if box is None:
            return
        if not (now or also or box.is_stale) and (box.view.is_whole or not may_expunge):
            return
        try:
            index = await box.latest() if now or box.is_stale else box.view.index
        except NoSuchMailbox:
            self._is_over = True
            return
        news = box.view.follow(index, may_expunge)
        if news or also:
            self.say(
                box.told(
                    news,
                    uids=uids or bool(self.enabled),
                    modseqs=self.tells_modseqs,
                    vanishes=self.tells_vanished,
                    also=also,
                )
            )

    # For commands: logins.

    async def begin_proof(self, mechanism: str, initial: bytes | None) -> Ok | Challenge:
        """Begin a SASL exchange."""
        logins = self.rules.logins
        logins.insist_on_privacy(self.connection)
        self._proof = logins.begin(mechanism, peer=self.connection.peer, protocol=PROTOCOL)
        try:
            return await self.prove(sasl.initial_response(initial))
        except MailError:
            self._proof = None
            raise

    async def prove(self, octets: bytes | None) -> Ok | Challenge:
        """Go on with a SASL exchange."""
        assert self._proof
        try:
            said = await self._proof.step(octets)
        except LoginFailed:
            self._failed_logins += 1
            raise
        if isinstance(said, bytes):
            return Challenge(said)
        self._proof = None
        return await self.enter(said)

    async def by_password(self, name: str, password: bytes) -> Ok:
        """Log in by name and password."""
        logins = self.rules.logins
        logins.insist_on_privacy(self.connection)
        try:
            account = await logins.by_password(
                name, password, peer=self.connection.peer, protocol=PROTOCOL
            )
        except LoginFailed:
            self._failed_logins += 1
            raise
        return await self.enter(account)

    async def enter(self, account: Account) -> Ok:
        """Begin the authenticated state; raises what the store raises."""
        rules = self.rules
        rules.logins.join(account.id, self.connection)
        try:
            self.mail = await rules.store.open(account.id)
            await furnish(self.mail, rules.mailboxes)
        except BaseException:
            rules.logins.leave(account.id, self.connection)
            raise
        rules.watchers.join(account.id, self)
        self.login, self._failed_logins, self._mistakes = account, 0, 0
        self.visit = Visit(account.name, str(self.connection.peer))
        code = f"CAPABILITY {' '.join(self.capabilities())}".encode()
        return Ok("Logged in", code, effect=Effect.LOGGED_IN)
