"""FETCH: tell of messages, and give their octets (RFC 9051 section 6.4.5, RFC 7162)."""

from __future__ import annotations

from typing import ClassVar, Self

import attrs

from mailplat.mail.mailbox import ModSeq
from mailplat.portals.imap import fetching
from mailplat.portals.imap.command import Coded, Command, Cursor, Ok, Session, State
from mailplat.portals.imap.gone import insist_on_all
from mailplat.portals.imap.resync import changed_since, vanished_since
from mailplat.wire.imap import fetch
from mailplat.wire.imap.numbers import Numbers


@attrs.frozen
class Fetch(Command):
    name = b"FETCH"
    states = State.SELECTED
    withholds = True
    uids: ClassVar[bool] = False
    numbers: Numbers
    fetch: fetch.Fetch
    since: ModSeq | None = None
    vanished: bool = False

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        numbers = cursor.numbers()
        cursor.space()
        items = fetch.read_fetch(cursor)
        since, vanished = None, False
        if cursor.skip(b" "):
            for _ in cursor.list_items():
                if cursor.skip_word(b"CHANGEDSINCE "):
                    since = ModSeq(cursor.number64())
                elif cls.uids and cursor.skip_word(b"VANISHED"):
                    vanished = True
                else:
                    raise cursor.wrong("CHANGEDSINCE")
            if vanished and since is None:
                raise cursor.wrong("CHANGEDSINCE beside VANISHED")
        cursor.end()
        return cls(numbers, items, since, vanished)

    async def run(self, session: Session) -> Ok:
        items = self.fetch
        if self.uids:
            items = items.having(b"UID")
        if self.since is not None:
            items = items.having(b"MODSEQ")
        if b"MODSEQ" in items.items:
            session.enable("CONDSTORE")
        uids = session.box.uids_of(self.numbers, self.uids)
        if self.since is not None:
            if self.vanished and session.tells_vanished:
                session.say(await vanished_since(session, self.since, uids))
            uids = changed_since(session.box.view.index, self.since, uids)
        try:
            await fetching.fetch(session, items, uids, withholds=self.withholds)
        except fetch.UnknownEncoding as error:
            raise Coded(error, b"UNKNOWN-CTE") from None
        insist_on_all(session, uids, self.uids)
        return Ok("That is it")


@attrs.frozen
class UidFetch(Fetch):
    name = b"UID FETCH"
    withholds = False
    uids: ClassVar[bool] = True
