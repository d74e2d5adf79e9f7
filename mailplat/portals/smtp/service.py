"""The portals of SMTP and LMTP as the configuration makes them."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field
from twisted.internet.interfaces import IReactorTime

from mailplat.files import Spool
from mailplat.interfaces import House, IPipeline, WallClock
from mailplat.mail.limits import Limits
from mailplat.plugin import Instance, InstanceName
from mailplat.portals.connection import Connection
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.login import Logins
from mailplat.portals.service import LinePortal, PortalSettings
from mailplat.portals.shell import Session
from mailplat.portals.smtp.session import Desk, SmtpSession
from mailplat.portals.tls import Certificates
from mailplat.wire.engine import Engine
from mailplat.wire.replies import text_for
from mailplat.wire.smtp.receiver import Receiver
from mailplat.wire.smtp.reply import Reply


class SmtpPortalSettings(PortalSettings):
    """Keys of ``[portals.NAME] use = "smtp"``: an MX, or submission."""

    pipeline: Instance[IPipeline] | None = Field(
        None, description="The chain of `[pipelines]` that judges what comes in here."
    )
    login: Literal["off", "offered", "required"] = Field(
        "off",
        description="Whether clients may log in, and whether they must before they send.",
    )
    banner: str = Field(
        "mailplat",
        max_length=200,
        pattern=r"^[ -~]*$",
        description="What the greeting says behind the host's name.",
    )


class LmtpPortalSettings(SmtpPortalSettings):
    """Keys of ``[portals.NAME] use = "lmtp"``: mail from another MTA of this installation.

    Whoever can connect is trusted with more recipients and mistakes than strangers.
    """

    tls: Literal["starttls", "implicit", "off"] = Field(
        "off",
        description="Whether TLS is offered, comes before the first word, or isn't there.",
    )


class SmtpPortal(LinePortal):
    """Answers the door of an MX or of submission."""

    lmtp = False

    def __init__(
        self,
        settings: SmtpPortalSettings,
        name: InstanceName,
        *,
        house: House,
        pipeline: IPipeline,
        logins: Logins,
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
        protocol = "LMTP" if self.lmtp else "ESMTP"
        self._desk = Desk(
            portal=name,
            hostname=house.hostname,
            greeting=Reply.of(220, f"{house.hostname} {protocol} {settings.banner}".rstrip()),
            pipeline=pipeline,
            logins=logins,
            spool=spool,
            limits=limits,
            login=settings.login,
            lmtp=self.lmtp,
            starttls=settings.tls == "starttls",
            seconds=wall.seconds,
            random=os.urandom,
            crowded=lambda: self.crowded,
        )

    def connect(self, connection: Connection) -> tuple[Engine, Session]:
        offer = self._desk.offer(connection)
        behind_starttls = bool(connection.secured) and self._desk.starttls
        engine = Receiver(offer, self._desk.limits, greeted=behind_starttls)
        return engine, SmtpSession(self._desk, connection, offer)

    def refusal(self, error: Exception) -> bytes:
        """Return the last words: a 421, the only reply that nobody needs to ask for."""
        return Reply.of(421, text_for(error)).octets


class LmtpPortal(SmtpPortal):
    """Answers the door of LMTP (RFC 2033)."""

    lmtp = True
