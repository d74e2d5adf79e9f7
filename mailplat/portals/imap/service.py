"""The IMAP portal: its settings, and what it is made of."""

from __future__ import annotations

from pydantic import Field, field_validator
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailplat.files import Spool
from mailplat.interfaces import House, IBus, IMailStore, WallClock
from mailplat.mail.errors import NotPermitted
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import INBOX, Role, proper_name
from mailplat.plugin import Instance
from mailplat.portals.connection import Connection
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.imap.rules import Rules, Visit
from mailplat.portals.imap.session import ImapSession
from mailplat.portals.imap.watchers import Watchers
from mailplat.portals.indexes import Indexes
from mailplat.portals.login import Logins
from mailplat.portals.service import LinePortal, PortalSettings
from mailplat.portals.tls import Certificates
from mailplat.wire.imap.receiver import Receiver
from mailplat.wire.imap.reply import Bye

ROLES = {role.value: role for role in Role if role.value.startswith("\\")}


class ImapPortalSettings(PortalSettings):
    """Keys of ``[portals.NAME] use = "imap"``."""

    store: Instance[IMailStore] | None = Field(
        None, description="Whose mail is shown, where there are several stores."
    )
    mailboxes: dict[str, str] = Field(
        {
            "Archive": "\\Archive",
            "Drafts": "\\Drafts",
            "Junk": "\\Junk",
            "Sent": "\\Sent",
            "Trash": "\\Trash",
        },
        description="What an account that has only its INBOX gets at its first login: names, "
        "and what each is for (RFC 6154).",
    )
    without: frozenset[str] = Field(
        frozenset(),
        description='Capabilities that are not announced, such as `["QRESYNC"]`, for clients '
        "that get on badly with one.",
    )

    @field_validator("mailboxes")
    @classmethod
    def _are_possible(cls, value: dict[str, str]) -> dict[str, str]:
        for name, role in value.items():
            try:
                if proper_name(name) == INBOX:
                    raise ValueError("INBOX is there already")
            except NotPermitted as problem:
                raise ValueError(str(problem)) from None
            if role not in ROLES:
                raise ValueError(f"{role!r} is none of {', '.join(ROLES)}")
        return value


class ImapPortal(LinePortal):
    """Shows accounts their mail, and lets them work with it."""

    log = Logger()

    def __init__(
        self,
        settings: ImapPortalSettings,
        *,
        house: House,
        store: IMailStore,
        logins: Logins,
        indexes: Indexes,
        bus: IBus,
        spool: Spool,
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
        self._limits = limits
        self._watchers = Watchers(bus)
        self._rules = Rules(
            hostname=house.hostname,
            limits=limits,
            logins=logins,
            store=store,
            indexes=indexes,
            watchers=self._watchers,
            spool=spool,
            tls=settings.tls == "starttls",
            mailboxes={name: ROLES[role] for name, role in settings.mailboxes.items()},
            without=settings.without,
            tell=self._tell,
            seconds=clock.seconds,
            now=wall.seconds,
        )

    def connect(self, connection: Connection) -> tuple[Receiver, ImapSession]:
        return Receiver(self._limits), ImapSession(self._rules, connection)

    def refusal(self, error: Exception) -> bytes:
        return Bye.because(error).octets

    def finish(self) -> None:
        """Hear of nothing any more; all sessions have ended."""
        super().finish()
        self._watchers.close()

    def _tell(self, visit: Visit) -> None:
        self.log.info(
            "{login} by {peer}{client}: {commands} commands, {end}",
            login=visit.login,
            peer=visit.peer,
            client=f" with {visit.client}" if visit.client else "",
            commands=visit.commands,
            end=visit.end,
        )
