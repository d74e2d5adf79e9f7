"""The mailbox that a session has selected: its index, the client's numbers, and the news."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING

from mailplat.mail.errors import NotPermitted
from mailplat.mail.mailbox import (
    DELETED,
    SEEN,
    SYSTEM_FLAGS,
    Mailbox,
    MailboxIndex,
    ModSeq,
    UidSet,
)
from mailplat.wire.imap.fetch import Fetch, Lines
from mailplat.wire.imap.numbers import Numbers
from mailplat.wire.imap.view import News, View
from mailplat.wire.imap.writer import flag_list

if TYPE_CHECKING:
    from mailplat.portals.indexes import OpenIndex

NONE = UidSet()
TOGETHER = 2000  # lines that are written at once


class Selected:
    """A mailbox as one client sees it.

    ``is_stale`` says that something has happened in it since it was looked at.
    """

    __slots__ = ("_flags", "_opened", "is_stale", "mailbox", "read_only", "saved", "view")

    def __init__(self, mailbox: Mailbox, opened: OpenIndex, *, read_only: bool) -> None:
        self.mailbox = mailbox
        self.read_only = read_only
        self.view = View(opened.known)
        self._flags = frozenset(SYSTEM_FLAGS).union(*self.view.index.flag_sets)
        self.saved = UidSet()  # what the last search with SAVE has found (RFC 9051 6.4.4.1)
        self.is_stale = False
        self._opened = opened

    def close(self) -> None:
        """Let go of the index."""
        self._opened.close()

    def insist_on_writing(self) -> None:
        """Raise `NotPermitted` where the mailbox was opened by EXAMINE."""
        if self.read_only:
            raise NotPermitted("EXAMINE", public="the mailbox is open for reading only")

    async def latest(self) -> MailboxIndex:
        """Return the index as it is now; the client has not been told of it yet."""
        self.is_stale = False
        return await self._opened.advance()

    # What the mailbox says of itself.

    def flags(self) -> bytes:
        """Return the lines that say which flags there are, and which the client may change.

        These are all that messages have or have had, and those that there always are; in
        a mailbox that may be changed the client may make up others (RFC 9051 section 7.1).
        """
        listed = flag_list(self._flags)
        permanent = b"()" if self.read_only else listed[:-1] + b" \\*)"
        return b"* FLAGS %b\r\n* OK [PERMANENTFLAGS %b] Yours to change\r\n" % (
            listed,
            permanent,
        )

    def first_unseen(self) -> int:
        """Return the number of the first message that nobody has seen, 0 if there is none."""
        index = self.view.index
        unseen = {at for at, flags in enumerate(index.flag_sets) if SEEN not in flags}
        for number, flags in enumerate(index.flags, 1):
            if flags in unseen:
                return number
        return 0

    def uids_of(self, numbers: Numbers, are_uids: bool) -> UidSet:
        """Return the messages that the client means by numbers, or by UIDs."""
        if numbers.is_saved:
            return self.saved
        return self.view.by_uid(numbers) if are_uids else self.view.by_number(numbers)

    def deleted(self, index: MailboxIndex) -> UidSet:
        """Return the messages that an index has marked as deleted."""
        marked = [DELETED in flags for flags in index.flag_sets]
        return UidSet.from_sorted(compress(index.uids, map(marked.__getitem__, index.flags)))

    # News.

    def told(
        self, news: News, *, uids: bool, modseqs: bool, vanishes: bool, also: UidSet = NONE
    ) -> bytes:
        """Return the lines that say what is new, in the order that clients expect.

        Flags of the messages in ``also`` are told in any case.  With ``vanishes``
        expunges are said by UIDs (RFC 7162 section 3.2.10).
        """
        said: list[bytes] = []
        new = frozenset().union(*self.view.index.flag_sets) - self._flags
        if new:
            self._flags |= new
            said.append(self.flags())
        if vanishes and news.vanished:
            said.append(b"* VANISHED %b\r\n" % str(news.vanished).encode())
        else:
            said += [b"* %d EXPUNGE\r\n" % number for number in news.expunged]
        if news.exists is not None:
            said.append(b"* %d EXISTS\r\n" % news.exists)
        places: Sequence[int] = news.changed
        if also:
            places = sorted({*places, *self.places(also)})
        if places:
            said.append(self.flag_lines(places, uids=uids, modseqs=modseqs))
        return b"".join(said)

    def places(self, uids: UidSet) -> list[int]:
        """Return where in the index the messages of a set are."""
        known, found = self.view.index.uids, list[int]()
        for first, last in uids.intervals:
            start = bisect_left(known, first)
            found += range(start, bisect_left(known, last + 1, start))
        return found

    def places_of(self, uids: Sequence[int]) -> Sequence[int]:
        """Return where in the index messages are that ascend, -1 for those that are not there.

        Nearly always they are all that there are between the first and the last.
        """
        known = self.view.index.uids
        start = bisect_left(known, uids[0])
        stop = start + len(uids)
        if known[start:stop] == array("I", uids):
            return range(start, stop)
        return list(map(self.view.place, uids))

    def flag_lines(self, places: Sequence[int], *, uids: bool, modseqs: bool) -> bytes:
        """Return the FETCH lines that tell flags of messages at these places."""
        names = [b"UID"] * uids + [b"FLAGS"] + [b"MODSEQ"] * modseqs
        lines = Lines(Fetch(tuple(names)), self.view.index)
        return lines.of_index(self.numbers_at(places), places)

    def numbers_at(self, places: Sequence[int]) -> Sequence[int]:
        """Return the client's numbers of messages at these places of the index."""
        view = self.view
        if view.is_whole:
            return [at + 1 for at in places]
        return [view.number(view.index.uids[at]) if at >= 0 else 0 for at in places]

    # Changes that are the client's own.

    def keep_quiet(self, uids: UidSet, modseq: ModSeq) -> None:
        """Don't tell the client of flags that it has just set itself."""
        self.view.keep_quiet(uids, modseq)
