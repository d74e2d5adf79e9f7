"""What a client has missed since it was here last (RFC 7162 section 3.2)."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

import attrs

from mailplat.mail.errors import BadSequence
from mailplat.mail.mailbox import MailboxIndex, ModSeq, UidSet
from mailplat.wire.imap.cursor import Cursor
from mailplat.wire.imap.numbers import Numbers

if TYPE_CHECKING:
    from mailplat.portals.imap.session import ImapSession as Session


@attrs.frozen
class Known:
    """What a client says that it knows of a mailbox; no UIDs mean all that it may know."""

    uid_validity: int
    modseq: ModSeq
    uids: Numbers | None = None

    def too_early(self) -> BadSequence:
        """Return the error of one who says so before ENABLE."""
        return BadSequence("QRESYNC", public="ENABLE QRESYNC comes first")


def read_known(cursor: Cursor) -> Known:
    """Read the argument of QRESYNC.

    What it says of numbers beside UIDs is read and not needed: nothing that was
    expunged is forgotten before the client is told to begin anew.
    """
    cursor.open()
    uid_validity = cursor.nz_number()
    cursor.space()
    modseq = ModSeq(cursor.number64())
    uids = None
    if cursor.skip(b" "):
        if not cursor.sees(b"("):
            uids = cursor.numbers()
        if uids is None or cursor.skip(b" "):
            cursor.open()
            cursor.numbers()
            cursor.space()
            cursor.numbers()
            cursor.close()
    cursor.close()
    return Known(uid_validity, modseq, uids)


async def tell_missed(session: Session, known: Known) -> bytes:
    """Return the lines that bring a client up to date that has just selected a mailbox."""
    box = session.box
    if known.uid_validity != box.mailbox.uid_validity:
        return b""
    highest = UidSet(((1, max(box.view.highest, box.mailbox.uid_next - 1, 1)),))
    uids = known.uids.up_to(box.view.highest) & highest if known.uids else highest
    said = await vanished_since(session, known.modseq, uids)
    places = box.places(changed_since(box.view.index, known.modseq, uids))
    if places:
        said += box.flag_lines(places, uids=True, modseqs=True)
    return said


async def vanished_since(session: Session, since: ModSeq, uids: UidSet) -> bytes:
    """Return the line that says which of some messages have been expunged since.

    Where the account doesn't remember that far, all that aren't there have been.
    """
    box = session.box
    changes = await session.account.changes(since, box.mailbox.id)
    if changes.complete:
        gone = UidSet()
        for change in changes.mailboxes:
            gone |= change.removed
        gone &= uids
    else:
        gone = uids - UidSet.from_sorted(box.view.index.uids)
        gone &= UidSet(((1, max(box.mailbox.uid_next - 1, box.view.highest, 1)),))
    return f"* VANISHED (EARLIER) {gone}\r\n".encode() if gone else b""


def changed_since(index: MailboxIndex, since: ModSeq, uids: UidSet) -> UidSet:
    """Return those of some messages that have changed since a mod-sequence."""
    later = [modseq > since for modseq in index.modseqs]
    return UidSet.from_sorted(compress(index.uids, later)) & uids
