"""Carries out a FETCH: a batch of messages at a time, large ones piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from mailplat.interfaces import IAccount
from mailplat.mail.content import CHUNK, Content, Excerpt, Octets, chunks, whole
from mailplat.mail.encodings import decoder
from mailplat.mail.errors import MailError, NoSuchMessage
from mailplat.mail.mailbox import (
    SEEN,
    Batch,
    Change,
    FlagChange,
    MailboxIndex,
    UidSet,
    Wanted,
)
from mailplat.mail.summary import Facts, Words, read_summary, read_words, summary_of
from mailplat.portals.imap.selected import TOGETHER
from mailplat.wire.imap.fetch import (
    Fetch,
    Lines,
    Section,
    encoding_of,
    picked,
    value,
)

if TYPE_CHECKING:
    from mailplat.portals.imap.session import ImapSession as Session


class CutShort(Exception):
    """A message could not be read to its end after some of it had been sent.

    No `MailError`: the client would take whatever is said for the rest of its literal.
    """


async def fetch(session: Session, asked: Fetch, uids: UidSet, *, withholds: bool) -> None:
    """Say what is asked of messages; those that have gone are passed over."""
    if asked.marks_seen and not session.box.read_only:
        asked = await _mark_seen(session, asked, uids, withholds)
    if asked.is_indexed:
        await _tell_indexed(session, asked, uids)
    elif uids:
        await _tell_records(session, asked, uids)


async def _mark_seen(session: Session, asked: Fetch, uids: UidSet, withholds: bool) -> Fetch:
    """Mark messages as seen that are not, and have their flags told with the rest."""
    box = session.box
    index = box.view.index
    unseen = [SEEN not in flags for flags in index.flag_sets]
    new = UidSet.from_sorted(
        index.uids[at] for at in box.places(uids) if unseen[index.flags[at]]
    )
    if not new:
        return asked
    change = FlagChange(Change.ADD, frozenset({SEEN}))
    flagged = await session.account.flag(box.mailbox.id, new, change)
    box.keep_quiet(flagged.changed, flagged.modseq)
    await session.catch_up(may_expunge=not withholds, now=True)
    return asked.having(*(b"FLAGS", b"MODSEQ") if session.tells_modseqs else (b"FLAGS",))


async def _tell_indexed(session: Session, asked: Fetch, uids: UidSet) -> None:
    box = session.box
    lines = Lines(asked, box.view.index)
    places = box.places(uids)
    numbers = box.numbers_at(places)
    for start in range(0, len(places), TOGETHER):
        stop = start + TOGETHER
        octets = lines.of_index(numbers[start:stop], places[start:stop])
        if len(places) <= TOGETHER:
            session.say(octets)
        else:
            await session.write(octets)


async def _tell_records(session: Session, asked: Fetch, uids: UidSet) -> None:
    box, account = session.box, session.account
    teller = _Teller(session, asked, box.view.index)
    uids &= UidSet(((1, max(box.view.highest, 1)),))
    async with account.records(box.mailbox.id, uids, asked.wanted) as cursor:
        while (batch := await cursor.next_batch()) is not None:
            await teller.tell(batch)


class _Teller:
    """Says what is asked of one batch after the other."""

    def __init__(self, session: Session, asked: Fetch, index: MailboxIndex) -> None:
        self._session = session
        self._asked = asked
        self._lines = Lines(asked, index)
        self._needs_contents = bool(asked.sections)
        needs_all = asked.needs_layout or b"PREVIEW" in asked.items
        self._read: Callable[[bytes], Facts | Words] = read_summary if needs_all else read_words

    async def tell(self, batch: Batch) -> None:
        """Say what is asked of a batch, the small messages of it together."""
        facts = await self._facts(batch)
        box = self._session.box
        places = box.places_of(batch.uids)
        numbers = box.numbers_at(places)
        start = 0
        for at, place in enumerate(places):
            is_here = not self._needs_contents or batch.contents[at] is not None
            if place >= 0 and is_here:
                continue
            await self._together(batch, facts, numbers, places, start, at)
            start = at + 1
            if place >= 0:
                await self._alone(batch, numbers[at], places[at], at)
        await self._together(batch, facts, numbers, places, start, len(batch))

    async def _facts(self, batch: Batch) -> Sequence[Facts | Words]:
        if not batch.summaries:
            return ()
        read = self._read
        facts: list[Facts | Words] = []
        for at, octets in enumerate(batch.summaries):
            try:
                facts.append(read(octets))
            except ValueError:  # of another version: the message is read again
                facts.append(await _facts_anew(self._session.account, batch, at))
        return facts

    async def _together(
        self,
        batch: Batch,
        facts: Sequence[Facts | Words],
        numbers: Sequence[int],
        places: Sequence[int],
        start: int,
        stop: int,
    ) -> None:
        """Say what is asked of the messages of a batch from one to another."""
        if start >= stop:
            return
        octets = self._lines.of_batch(
            numbers[start:stop],
            places[start:stop],
            _part_of(batch, start, stop),
            facts[start:stop],
            [one or b"" for one in batch.contents[start:stop]],
        )
        await self._session.write(octets)

    async def _alone(self, batch: Batch, number: int, place: int, at: int) -> None:
        """Say what is asked of a message that is too large to be at hand."""
        session, one = self._session, _part_of(batch, at, at + 1)
        try:
            content = await session.account.content(next(one.records()))
            facts = await _all_facts(session, one)
        except NoSuchMessage:
            return
        with closing(content):
            encodings = await _encodings(self._asked, content, facts)
            ahead = b"* %d FETCH (" % number
            try:
                for item in self._asked.items:
                    if isinstance(item, Section):
                        await session.write(ahead + item.name + b" ")
                        await _send(session, item, content, facts, encodings.get(item, b""))
                    else:
                        await session.write(ahead + self._lines.word(item, place, one, facts))
                    ahead = b" "
            except MailError as error:
                session.ends("a message was cut short")
                raise CutShort(str(error)) from error
            await session.write(b")\r\n")


async def _all_facts(session: Session, one: Batch) -> Facts:
    """Return all that is known of a batch of one message."""
    uids, mailbox = UidSet.of(one.uids[0]), session.box.mailbox.id
    async with session.account.records(mailbox, uids, Wanted.SUMMARY) as cursor:
        found = await cursor.next_batch()
    if found is None:
        raise NoSuchMessage(f"UID {one.uids[0]} has gone")
    try:
        return read_summary(found.summaries[0])
    except ValueError:
        return await _facts_anew(session.account, one, 0)


async def _encodings(asked: Fetch, content: Content, facts: Facts) -> dict[Section, bytes]:
    """Return the encodings that must be undone; raises `UnknownEncoding`."""
    found: dict[Section, bytes] = {}
    for section in asked.sections:
        if section.binary and section.numbers:
            header = facts.layout.octets(section.numbers, "MIME")
            octets = await content.read(*header) if header else b""
            found[section] = encoding_of(section, octets)
    return found


def _part_of(batch: Batch, start: int, stop: int) -> Batch:
    if start == 0 and stop == len(batch):
        return batch
    return Batch(
        batch.uids[start:stop],
        batch.modseqs[start:stop],
        batch.email_ids[start:stop],
        batch.thread_ids[start:stop],
        batch.sizes[start:stop],
        batch.received[start:stop],
        batch.saved[start:stop],
        batch.flags[start:stop],
        batch.summaries[start:stop],
        batch.contents[start:stop],
    )


async def _facts_anew(account: IAccount, batch: Batch, at: int) -> Facts:
    octets = batch.contents[at] if batch.contents else None
    if octets is not None:
        return read_summary((await summary_of(Octets(octets))).octets)
    content = await account.content(next(_part_of(batch, at, at + 1).records()))
    try:
        return read_summary((await summary_of(content)).octets)
    finally:
        content.close()


async def _send(
    session: Session, section: Section, content: Content, facts: Facts, encoding: bytes
) -> None:
    """Send a section of a large message."""
    lies = section.lies(facts.layout)
    if lies is None:
        await session.write(b"0" if section.is_size else b"NIL")
        return
    part: Content = Excerpt(content, lies.start, lies.stop)
    if section.fields is not None:
        await session.write(value(section, picked(section, await whole(part))))
    elif encoding:
        await _send_decoded(session, section, part, encoding)
    elif section.is_size:
        await session.write(b"%d" % part.size)
    else:
        start, stop = section.part_of(part.size)
        await session.write(b"{%d}\r\n" % (stop - start))
        await _send_pieces(session, chunks(Excerpt(part, start, stop)))


async def _send_pieces(session: Session, pieces: AsyncIterator[bytes]) -> None:
    async for piece in pieces:
        await session.write(piece)


async def _send_decoded(
    session: Session, section: Section, part: Content, encoding: bytes
) -> None:
    """Send a part without its encoding: read once for its size, and again for its octets."""
    size, has_nul = 0, False
    async for piece in _decoded(part, encoding):
        size += len(piece)
        has_nul = has_nul or b"\0" in piece
    if section.is_size:
        await session.write(b"%d" % size)
        return
    start, stop = section.part_of(size)
    await session.write((b"~" if has_nul else b"") + b"{%d}\r\n" % (stop - start))
    await _send_pieces(session, _between(_decoded(part, encoding), start, stop))


async def _decoded(part: Content, encoding: bytes) -> AsyncIterator[bytes]:
    codec = decoder(encoding)
    assert codec, "whoever asked knows the encoding"
    async for piece in chunks(part, CHUNK):
        yield codec.feed(piece)
    yield codec.finish()


async def _between(pieces: AsyncIterator[bytes], start: int, stop: int) -> AsyncIterator[bytes]:
    at = 0
    async for piece in pieces:
        yield piece[max(start - at, 0) : max(stop - at, 0)]
        at += len(piece)
