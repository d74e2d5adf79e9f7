"""SELECT and EXAMINE: open a mailbox (RFC 9051 section 6.3.2, RFC 7162 section 3.2.5)."""

from __future__ import annotations

from typing import Self

import attrs

from mailplat.portals.imap.command import Command, Cursor, Ok, Session, State
from mailplat.portals.imap.resync import Known, read_known, tell_missed


@attrs.frozen
class Select(Command):
    name = b"SELECT"
    states = State.LOGGED_IN
    read_only = False
    mailbox: bytes
    condstore: bool = False
    known: Known | None = None

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        mailbox = cursor.astring("a mailbox")
        condstore, known = False, None
        if not cursor.is_at_end:
            cursor.space()
            for _ in cursor.list_items():
                if cursor.skip_word(b"CONDSTORE"):
                    condstore = True
                elif cursor.skip_word(b"QRESYNC "):
                    known = read_known(cursor)
                else:
                    raise cursor.wrong("CONDSTORE or QRESYNC")
        cursor.end()
        return cls(mailbox, condstore, known)

    async def run(self, session: Session) -> Ok:
        if self.known and not session.tells_vanished:
            raise self.known.too_early()
        before = session.selected is not None
        session.unselect()
        if before and (session.tells_vanished or session.is_rev2):
            session.say(b"* OK [CLOSED] The other one is closed\r\n")
        if self.condstore:
            session.enable("CONDSTORE")
        mailbox = await session.find(self.mailbox)
        box = await session.select(mailbox, read_only=self.read_only)
        session.say(_lines(session))
        if self.known:
            session.say(await tell_missed(session, self.known))
        word = "READ-ONLY" if self.read_only else "READ-WRITE"
        return Ok(f"{len(box.view)} messages", word.encode())


@attrs.frozen
class Examine(Select):
    name = b"EXAMINE"
    read_only = True


def _lines(session: Session) -> bytes:
    """Return what is said of a mailbox that has just been selected."""
    box = session.box
    mailbox, index = box.mailbox, box.view.index
    uid_next = max(mailbox.uid_next, box.view.highest + 1)  # some may have come meanwhile
    lines = [
        b"* %d EXISTS" % len(index.uids),
        b"* OK [UIDVALIDITY %d] UIDs are valid" % mailbox.uid_validity,
        b"* OK [UIDNEXT %d] The next one" % uid_next,
        b"* OK [HIGHESTMODSEQ %d] The last change" % max(mailbox.highest_modseq, 1),
        b"* OK [MAILBOXID (%b)] Its identity" % mailbox.id.encode(),
    ]
    if session.is_rev2:
        lines.append(b'* LIST () "/" %b' % session.spelt(mailbox.name))
    else:
        lines.insert(1, b"* 0 RECENT")
        if unseen := box.first_unseen():
            lines.append(b"* OK [UNSEEN %d] The first one unseen" % unseen)
    return box.flags() + b"\r\n".join(lines) + b"\r\n"
