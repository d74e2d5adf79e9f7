"""COPY and MOVE: give messages a place in another mailbox (RFC 9051 sections 6.4.7, 6.4.8)."""

from __future__ import annotations

from typing import ClassVar, Self

import attrs

from mailplat.mail.mailbox import Moved, UidSet
from mailplat.portals.imap.command import Command, Cursor, Ok, Session, State
from mailplat.portals.imap.commands.append import target_of
from mailplat.portals.imap.gone import insist_on_all
from mailplat.wire.imap.numbers import Numbers


@attrs.frozen
class Copy(Command):
    name = b"COPY"
    states = State.SELECTED
    withholds = True
    uids: ClassVar[bool] = False
    numbers: Numbers
    mailbox: bytes

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        numbers = cursor.numbers()
        cursor.space()
        mailbox = cursor.astring("a mailbox")
        cursor.end()
        return cls(numbers, mailbox)

    async def run(self, session: Session) -> Ok:
        box = session.box
        target = await target_of(session, self.mailbox)
        uids = session.box.uids_of(self.numbers, self.uids)
        insist_on_all(session, uids, self.uids)
        copied = await session.account.move(box.mailbox.id, uids, target.id, keep=True)
        if target.id == box.mailbox.id:
            await session.catch_up(may_expunge=self.uids, now=True)
        return Ok("Copied", copied_code(copied))


@attrs.frozen
class UidCopy(Copy):
    name = b"UID COPY"
    withholds = False
    uids: ClassVar[bool] = True


@attrs.frozen
class Move(Copy):
    """Its own expunges are told, so it may tell those of others as well."""

    name = b"MOVE"
    withholds = False

    async def run(self, session: Session) -> Ok:
        box = session.box
        box.insist_on_writing()
        target = await target_of(session, self.mailbox)
        uids = session.box.uids_of(self.numbers, self.uids)
        moved = await session.account.move(box.mailbox.id, uids, target.id)
        if code := copied_code(moved):
            session.say(b"* OK [%b] Moved\r\n" % code)
        await session.catch_up(may_expunge=True, now=True)
        return Ok("Moved")


@attrs.frozen
class UidMove(Move):
    name = b"UID MOVE"
    uids: ClassVar[bool] = True


def copied_code(moved: Moved) -> bytes:
    """Return COPYUID, or nothing where nothing was there (RFC 4315 section 3)."""
    if not moved.source:
        return b""
    source, target = UidSet.from_sorted(moved.source), UidSet.from_sorted(moved.target)
    return f"COPYUID {moved.uid_validity} {source} {target}".encode()
