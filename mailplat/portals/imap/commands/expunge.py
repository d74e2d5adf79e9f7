"""EXPUNGE and UID EXPUNGE: remove what is marked as deleted (RFC 9051 section 6.4.3, RFC 4315)."""

from __future__ import annotations

from typing import Self

import attrs

from mailplat.mail.mailbox import UidSet
from mailplat.portals.imap.command import Command, Cursor, Ok, Session, State
from mailplat.wire.imap.numbers import Numbers


@attrs.frozen
class Expunge(Command):
    name = b"EXPUNGE"
    states = State.SELECTED
    numbers: Numbers | None = None

    async def run(self, session: Session) -> Ok:
        box = session.box
        box.insist_on_writing()
        uids = box.deleted(await box.latest())
        if self.numbers:
            uids &= session.box.uids_of(self.numbers, True)
        if uids:
            await session.account.expunge(box.mailbox.id, uids)
        await session.catch_up(may_expunge=True, now=True)
        return Ok("Expunged", await _code(session, uids))


async def _code(session: Session, uids: UidSet) -> bytes:
    """Return the mod-sequence that clients who resynchronise go on from (RFC 7162, 3.2.7)."""
    if not (uids and session.tells_vanished):
        return b""
    return b"HIGHESTMODSEQ %d" % session.box.view.index.modseq


@attrs.frozen
class UidExpunge(Expunge):
    name = b"UID EXPUNGE"

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        numbers = cursor.numbers()
        cursor.end()
        return cls(numbers)
