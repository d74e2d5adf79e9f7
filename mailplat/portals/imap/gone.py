"""Messages that a client asks for by number, and that others have expunged (RFC 5530)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailplat.mail.errors import NoSuchMessage
from mailplat.mail.mailbox import UidSet
from mailplat.portals.imap.command import Coded

if TYPE_CHECKING:
    from mailplat.portals.imap.session import ImapSession as Session


def insist_on_all(session: Session, uids: UidSet, are_uids: bool) -> None:
    """Raise what says so where a message has gone that the client has named by its number."""
    view = session.box.view
    if are_uids or view.is_whole:
        return
    if any(view.place(uid) < 0 for _, uid in view.known(uids)):
        error = NoSuchMessage("expunged by another session", public="some have been expunged")
        raise Coded(error, b"EXPUNGEISSUED")
