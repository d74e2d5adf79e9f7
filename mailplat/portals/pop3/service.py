"""The POP3 portal: its settings, and what it is made of."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from pydantic import Field, field_validator
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailplat.interfaces import House, IMailStore, WallClock
from mailplat.mail.errors import NotPermitted
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import INBOX, proper_name
from mailplat.plugin import Duration, Instance
from mailplat.portals.connection import Connection
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.indexes import Indexes
from mailplat.portals.login import Logins
from mailplat.portals.pop3.attendance import Attendance
from mailplat.portals.pop3.maildrop import Maildrops, Removal, expunge, hide, move_to
from mailplat.portals.pop3.session import Pop3Session, Rules
from mailplat.portals.pop3.visit import Visit
from mailplat.portals.service import LinePortal, PortalSettings
from mailplat.portals.tls import Certificates
from mailplat.wire.pop3 import Err, Pop3Engine
from mailplat.wire.replies import text_for, words_for

DAY = timedelta(days=1)
MOVE = "move:"


class Pop3PortalSettings(PortalSettings):
    """Keys of ``[portals.NAME] use = "pop3"``."""

    store: Instance[IMailStore] | None = Field(
        None, description="Whose INBOXes are handed out, where there are several stores."
    )
    user_command: bool = Field(
        True, description="Whether USER and PASS are offered beside AUTH (SASL)."
    )
    on_delete: str = Field(
        "remove",
        description="What becomes of messages that a client deletes: `remove`; `keep`, "
        "where POP3 shows them no more and IMAP still does; or `move:Trash`, into that mailbox.",
    )
    expire_after: Duration | None = Field(
        None,
        description="Whole days after which messages leave the maildrop as if they had been "
        "deleted, announced by EXPIRE; with `0 days` those that were retrieved leave at QUIT.",
    )
    login_delay: Duration = Field(
        timedelta(),
        description="How long an account has to wait from one login to the next, "
        "announced by LOGIN-DELAY.",
    )
    exclusive: bool = Field(
        False,
        description="Whether an account has one POP3 session at a time, and others hear IN-USE.",
    )

    @field_validator("on_delete")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value in ("remove", "keep"):
            return value
        try:
            name = proper_name(value.removeprefix(MOVE))
        except NotPermitted:
            name = INBOX
        if not value.startswith(MOVE) or name == INBOX:
            raise ValueError(
                'expected "remove", "keep" or "move:" and a mailbox other than INBOX'
            )
        return MOVE + name

    @field_validator("expire_after")
    @classmethod
    def _is_whole_days(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value % DAY:
            raise ValueError("expected whole days: EXPIRE can say nothing else")
        return value

    @field_validator("login_delay")
    @classmethod
    def _is_whole_seconds(cls, value: timedelta) -> timedelta:
        if value % timedelta(seconds=1):
            raise ValueError("expected whole seconds: LOGIN-DELAY can say nothing else")
        return value


def _removal(on_delete: str) -> Removal:
    if on_delete.startswith(MOVE):
        return move_to(on_delete.removeprefix(MOVE))
    return hide if on_delete == "keep" else expunge


class Pop3Portal(LinePortal):
    """Hands out INBOXes as POP3's maildrops."""

    log = Logger()

    def __init__(
        self,
        settings: Pop3PortalSettings,
        *,
        house: House,
        store: IMailStore,
        logins: Logins,
        attendance: Attendance,
        indexes: Indexes,
        clock: IReactorTime,
        wall: WallClock,
        limits: Limits,
        doorkeeper: Doorkeeper,
        certificates: Certificates | None = None,
    ) -> None:
        super().__init__(
            settings,
            clock=clock,
            limits=limits,
            doorkeeper=doorkeeper,
            certificates=certificates,
        )
        expire = settings.expire_after
        keeps = expire.total_seconds() if expire else None
        self._limits = limits
        self._rules = Rules(
            hostname=house.hostname,
            limits=limits,
            logins=logins,
            maildrops=Maildrops(
                store, indexes, _removal(settings.on_delete), keeps, wall.seconds
            ),
            attendance=attendance,
            tls=settings.tls == "starttls",
            user_command=settings.user_command,
            expire="NEVER" if expire is None else str(expire.days),
            login_delay=int(settings.login_delay.total_seconds()),
            exclusive=settings.exclusive,
            take_retrieved=expire == timedelta(),
            to_the_end=_to_the_end,
            tell=self._tell,
            seconds=clock.seconds,
        )

    def connect(self, connection: Connection) -> tuple[Pop3Engine, Pop3Session]:
        return Pop3Engine(self._limits), Pop3Session(self._rules, connection)

    def refusal(self, error: Exception) -> bytes:
        return Pop3Engine(self._limits).send(Err(text_for(error), words_for(error).pop3))

    def _tell(self, visit: Visit) -> None:
        self.log.info(
            "{login} by {peer}: {retrieved} of {messages} messages retrieved "
            "({retrieved_octets} octets), {deleted} deleted ({deleted_octets} octets), {end}",
            login=visit.login,
            peer=visit.peer,
            messages=visit.messages,
            retrieved=visit.retrieved,
            retrieved_octets=visit.retrieved_octets,
            deleted=visit.deleted,
            deleted_octets=visit.deleted_octets,
            end=visit.end,
        )


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for work that goes on even where the waiting is cancelled.

    A client that says QUIT and hangs up at once has said it.
    """
    answer: Deferred[None] = Deferred()
    Deferred.fromCoroutine(work).chainDeferred(answer)
    await answer
