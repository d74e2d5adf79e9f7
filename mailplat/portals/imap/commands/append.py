"""APPEND: put messages into a mailbox, all or none (RFC 9051 section 6.3.12, RFC 3502)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Self

import attrs

from mailplat.interfaces import IQuota
from mailplat.mail.content import Content
from mailplat.mail.errors import BadSyntax, NoSuchMailbox, OverQuota
from mailplat.mail.mailbox import Mailbox, NewMessage, UidSet
from mailplat.mail.quota import MESSAGE, STORAGE, Room
from mailplat.mail.summary import findings_of
from mailplat.portals.imap.command import Coded, Command, Cursor, Ok, Session, State
from mailplat.portals.imap.flags import proper_flags

MOST_MESSAGES = 250  # of one command; each may be in memory up to `Limits.spool_above`


@attrs.frozen
class Wish:
    """How a message is to be kept."""

    flags: frozenset[str] = frozenset()
    received: datetime | None = None


@attrs.frozen
class Append(Command):
    name = b"APPEND"
    states = State.LOGGED_IN
    mailbox: bytes
    wishes: tuple[Wish, ...]

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        mailbox = cursor.astring("a mailbox")
        wishes: list[Wish] = []
        while not wishes or not cursor.is_at_end:
            wishes.append(_wish(cursor))
            cursor.content()
        return cls(mailbox, tuple(wishes))

    @classmethod
    async def admit(cls, session: Session, cursor: Cursor, size: int) -> None:
        """Say whether a content of this size may come; what is said before it is read.

        Raises where there is no such mailbox, no room, or the grammar is broken.
        """
        cursor.space()
        mailbox = cursor.astring("a mailbox")
        count = 0
        while True:
            _wish(cursor)
            count += 1
            if cursor.is_at_end:
                break
            cursor.content()
        if count > MOST_MESSAGES:
            raise BadSyntax("APPEND", public=f"over {MOST_MESSAGES} messages")
        if count == 1:
            await target_of(session, mailbox)
        await insist_on_room(session, size)

    async def run(self, session: Session) -> Ok:
        mailbox = await target_of(session, self.mailbox)
        contents = await session.upload.finish() if session.upload else []
        if len(contents) != len(self.wishes):
            raise BadSyntax("contents", public="a message is missing")
        messages = [
            await _message(session, content, wish)
            for content, wish in zip(contents, self.wishes, strict=True)
        ]
        appended = await session.account.append(mailbox.id, messages)
        selected = session.selected
        if selected and selected.mailbox.id == mailbox.id:
            await session.catch_up(may_expunge=True, now=True)
        uids = UidSet.from_sorted(one.uid for one in appended)
        code = f"APPENDUID {mailbox.uid_validity} {uids}".encode()
        return Ok("Kept", code)


def _wish(cursor: Cursor) -> Wish:
    """Read what stands before a content."""
    cursor.space()
    flags: frozenset[str] = frozenset()
    received = None
    if cursor.sees(b"("):
        flags = proper_flags(cursor.flag_list())
        cursor.space()
    if cursor.sees(b'"'):
        received = cursor.date_time()
        cursor.space()
    return Wish(flags, received)


async def target_of(session: Session, mailbox: bytes) -> Mailbox:
    """Return where messages are to go; the client may make it if it isn't there."""
    try:
        return await session.find(mailbox)
    except NoSuchMailbox as error:
        raise Coded(error, b"TRYCREATE") from None


async def insist_on_room(session: Session, size: int) -> None:
    """Raise `OverQuota` unless one more content of so many octets fits into the account."""
    if not IQuota.providedBy(session.account):
        return
    upload = session.upload
    coming = {
        STORAGE: size + (upload.announced if upload else 0),
        MESSAGE: 1 + (upload.count if upload else 0),
    }
    rooms: Mapping[str, Room] = await session.account.quota()
    for resource, room in rooms.items():
        if room.limit is not None and room.used + coming.get(resource, 0) > room.limit:
            raise OverQuota(f"{resource}: {room.used} of {room.limit} are taken")


async def _message(session: Session, content: Content, wish: Wish) -> NewMessage:
    found = await findings_of(content, session.connection.turn)
    return NewMessage(content, found.summary(), wish.flags, wish.received)
