"""What all sessions of an IMAP portal have in common, and what the log hears of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs

from mailplat.interfaces import IMailStore
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import Role

if TYPE_CHECKING:  # a session knows no Twisted, and these do
    from mailplat.files import Spool
    from mailplat.portals.imap.watchers import Watchers
    from mailplat.portals.indexes import Indexes
    from mailplat.portals.login import Logins

PROTOCOL = "IMAP"


@attrs.define
class Visit:
    """What a client did, for the log."""

    login: str
    peer: str
    client: str = ""  # what it called itself by ID
    commands: int = 0
    end: str = "left without LOGOUT"


@attrs.frozen(kw_only=True)
class Rules:
    """What all sessions of a portal have in common."""

    hostname: str
    limits: Limits
    logins: Logins
    store: IMailStore
    indexes: Indexes
    watchers: Watchers
    spool: Spool
    tls: bool  # whether STARTTLS is offered
    mailboxes: Mapping[str, Role]  # that a new account gets
    without: frozenset[str]  # capabilities that are switched off
    tell: Callable[[Visit], None]
    seconds: Callable[[], float]  # the steady clock
    now: Callable[[], float]  # seconds since 1970
