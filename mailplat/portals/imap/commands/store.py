"""STORE: change flags (RFC 9051 section 6.4.6, RFC 7162 section 3.1.3)."""

from __future__ import annotations

from typing import ClassVar, Self

import attrs

from mailplat.mail.mailbox import Change, FlagChange, ModSeq, UidSet
from mailplat.portals.imap.command import Command, Cursor, Ok, Session, State
from mailplat.portals.imap.flags import proper_flags
from mailplat.portals.imap.gone import insist_on_all
from mailplat.wire.imap.numbers import Numbers

_CHANGES = {b"+FLAGS": Change.ADD, b"-FLAGS": Change.REMOVE, b"FLAGS": Change.REPLACE}


@attrs.frozen
class Store(Command):
    name = b"STORE"
    states = State.SELECTED
    withholds = True
    uids: ClassVar[bool] = False
    numbers: Numbers
    change: FlagChange
    is_silent: bool = False
    unless_after: ModSeq | None = None

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        numbers = cursor.numbers()
        cursor.space()
        unless_after = None
        if cursor.skip_word(b"(UNCHANGEDSINCE "):
            unless_after = ModSeq(cursor.number64())
            cursor.expect(b")")
            cursor.space()
        change = next((one for word, one in _CHANGES.items() if cursor.skip_word(word)), None)
        if change is None:
            raise cursor.wrong("FLAGS, +FLAGS or -FLAGS")
        is_silent = cursor.skip_word(b".SILENT")
        cursor.space()
        flags = cursor.flag_list() if cursor.sees(b"(") else _flags(cursor)
        cursor.end()
        return cls(numbers, FlagChange(change, proper_flags(flags)), is_silent, unless_after)

    async def run(self, session: Session) -> Ok:
        box = session.box
        box.insist_on_writing()
        if self.unless_after is not None:
            session.enable("CONDSTORE")
        uids = session.box.uids_of(self.numbers, self.uids)
        flagged = await session.account.flag(
            box.mailbox.id, uids, self.change, self.unless_after
        )
        also = UidSet()
        if not self.is_silent:
            also = uids - flagged.failed
        elif not session.tells_modseqs:
            box.keep_quiet(flagged.changed, flagged.modseq)
        await session.catch_up(may_expunge=self.uids, now=True, also=also, uids=self.uids)
        insist_on_all(session, uids, self.uids)
        if flagged.failed:
            failed = flagged.failed if self.uids else box.view.in_numbers(flagged.failed)
            return Ok("Some have changed since", f"MODIFIED {failed}".encode())
        return Ok("Flags kept")


def _flags(cursor: Cursor) -> frozenset[str]:
    flags = [cursor.flag()]
    while cursor.skip(b" "):
        flags.append(cursor.flag())
    return frozenset(flags)


@attrs.frozen
class UidStore(Store):
    name = b"UID STORE"
    withholds = False
    uids: ClassVar[bool] = True
