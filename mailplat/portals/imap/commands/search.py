"""SEARCH: find messages (RFC 9051 section 6.4.4, RFC 3501, 4731, 5182, 7162)."""

from __future__ import annotations

from typing import ClassVar, Self

import attrs

from mailplat.mail.mailbox import ModSeq, UidSet
from mailplat.mail.query import Query
from mailplat.portals.imap.command import Coded, Command, Cursor, Ok, Session, State
from mailplat.portals.imap.searching import find
from mailplat.wire.imap.search import BadCharset, Reading, read_keys

_RETURNS = frozenset({b"MIN", b"MAX", b"ALL", b"COUNT", b"SAVE"})


@attrs.frozen
class Search(Command):
    """``returns`` is None where the client has not said what it wants to know."""

    name = b"SEARCH"
    states = State.SELECTED
    withholds = True
    uids: ClassVar[bool] = False
    returns: frozenset[bytes] | None
    charset: bytes
    keys: Cursor  # read when the command runs, since it needs the client's numbers

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        returns, charset = None, b""
        if cursor.skip_word(b"RETURN "):
            returns = frozenset([_option(cursor) for _ in cursor.list_items()]) or {b"ALL"}
            cursor.space()
        if cursor.skip_word(b"CHARSET "):
            charset = cursor.astring("a charset")
            cursor.space()
        return cls(frozenset(returns) if returns else None, charset, cursor)

    async def run(self, session: Session) -> Ok:
        reading = Reading(session.box.uids_of, session.rules.now())
        query = self._query(reading)
        if reading.uses_modseq:
            session.enable("CONDSTORE")
        box = session.box
        found = await find(session, query)
        shown = found if self.uids else box.view.in_numbers(found)
        modseq = _highest(session, found) if reading.uses_modseq and found else None
        returns = self.returns
        if returns and b"SAVE" in returns:
            box.saved = _saved(returns, found)
        if returns is None and not session.is_rev2:
            session.say(_search_line(shown, modseq))
        elif returns is None or returns - {b"SAVE"}:
            session.say(
                self._esearch_line(session, returns or frozenset({b"ALL"}), shown, modseq)
            )
        return Ok(f"{len(found)} found")

    def _query(self, reading: Reading) -> Query:
        try:
            if self.charset:
                reading.use(self.charset)
            return read_keys(self.keys, reading)
        except BadCharset as error:
            raise Coded(error, error.code) from None

    def _esearch_line(
        self, session: Session, returns: frozenset[bytes], shown: UidSet, modseq: int | None
    ) -> bytes:
        """Return ESEARCH (RFC 9051 section 7.3.4)."""
        words = [b'* ESEARCH (TAG "%b")' % session.tag]
        if self.uids:
            words.append(b"UID")
        if shown:
            first, last = shown.intervals[0][0], shown.intervals[-1][1]
            words += [b"MIN %d" % first] * (b"MIN" in returns)
            words += [b"MAX %d" % last] * (b"MAX" in returns)
            words += [b"ALL %b" % str(shown).encode()] * (b"ALL" in returns)
        if b"COUNT" in returns:
            words.append(b"COUNT %d" % len(shown))
        if modseq is not None:
            words.append(b"MODSEQ %d" % modseq)
        return b" ".join(words) + b"\r\n"


@attrs.frozen
class UidSearch(Search):
    name = b"UID SEARCH"
    withholds = False
    uids: ClassVar[bool] = True


def _option(cursor: Cursor) -> bytes:
    start = cursor.at
    option = cursor.word("what to return")
    if option not in _RETURNS:
        cursor.at = start
        raise cursor.wrong("MIN, MAX, ALL, COUNT or SAVE")
    return option


def _saved(returns: frozenset[bytes], found: UidSet) -> UidSet:
    """Return what SAVE keeps (RFC 5182 section 2.1): the ends only, where only they are asked."""
    if not found or returns & {b"ALL", b"COUNT"} or not returns & {b"MIN", b"MAX"}:
        return found
    ends = [found.intervals[0][0]] * (b"MIN" in returns)
    ends += [found.intervals[-1][1]] * (b"MAX" in returns)
    return UidSet.of(*ends)


def _search_line(shown: UidSet, modseq: int | None) -> bytes:
    """Return SEARCH of IMAP4rev1 (RFC 3501 section 7.2.5)."""
    words = b"".join([b" %d" % number for number in shown])
    end = b" (MODSEQ %d)" % modseq if modseq is not None else b""
    return b"* SEARCH%b%b\r\n" % (words, end)


def _highest(session: Session, found: UidSet) -> ModSeq:
    """Return the highest mod-sequence of the messages that were found."""
    box = session.box
    modseqs = box.view.index.modseqs
    return ModSeq(max((modseqs[at] for at in box.places(found)), default=1))
