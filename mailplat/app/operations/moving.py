"""Mail that is moved in and out: conversations with whoever reads and writes the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import attrs

from mailplat.app.asking import Said
from mailplat.app.conversation import Conversation
from mailplat.app.operations.desk import Desk
from mailplat.app.reading import DAMAGED, batches
from mailplat.files import Incoming, Spool
from mailplat.interfaces import IAccount, IDeliveryKeys, IMailStore
from mailplat.mail.content import Content, Octets
from mailplat.mail.errors import BadParameter
from mailplat.mail.limits import MIB
from mailplat.mail.mailbox import (
    Delivery,
    Mailbox,
    MailboxId,
    NewMessage,
    Outcome,
    Placement,
    Record,
    Role,
    Uid,
    UidSet,
    Wanted,
    proper_name,
)
from mailplat.mail.people import AccountId
from mailplat.mail.summary import Summary, read_summary, summary_of

PIECE = MIB  # octets of a large message that go out in one answer
AT_ONCE = 4 * MIB  # octets of messages that go out in one answer


async def import_mail(desk: Desk, name: str) -> Conversation:
    """Take messages into an account.  Raises `NoSuchAccount`."""
    account = (await desk.account(name)).id
    return Import(desk.store, account, desk.tree.find(Spool))


async def export_mail(desk: Desk, name: str) -> Conversation:
    """Give an account's messages out.  Raises `NoSuchAccount`."""
    account = (await desk.account(name)).id
    return Export(await desk.store.open(account))


# In --------------------------------------------------------------------------


@attrs.define
class Import:
    """Answers somebody who has messages for an account.

    ``boxes`` makes mailboxes, ``known`` says which keys were delivered under, ``part``
    brings octets of a large message, ``keep`` the messages themselves.
    """

    _store: IMailStore
    _account: AccountId
    _spool: Spool
    _incoming: Incoming | None = None

    async def answer(self, said: dict[str, Any], octets: bytes) -> Said:
        match said:
            case {"do": "boxes", "boxes": list(boxes)}:
                await self._make(boxes)
                return {}, b""
            case {"do": "known", "keys": list(keys)}:
                return {"known": await self._known(keys)}, b""
            case {"do": "part"}:
                self._incoming = self._incoming or self._spool.begin()
                await self._incoming.add(octets)
                return {}, b""
            case {"do": "keep", "messages": list(messages)}:
                return {"refused": await self._keep(messages, octets)}, b""
        raise BadParameter(f"an import knows nothing of {said.get('do')}")

    def end(self) -> None:
        if self._incoming:
            self._incoming.close()

    async def _make(self, boxes: Sequence[Mapping[str, Any]]) -> None:
        """Make mailboxes that are missing; a role goes to who has it already."""
        account: IAccount = await self._store.open(self._account)
        there = {box.name: box for box in await account.mailboxes()}
        taken = {box.role for box in there.values()}
        subscribed: list[str] = []
        for box in boxes:
            name, role = proper_name(box["name"]), _role(box["role"])
            if name not in there:
                role = Role.NONE if role in taken else role
                there[name] = await account.create(name, role)
                taken.add(role)
            if box["subscribed"]:
                subscribed.append(name)
        if subscribed:
            await account.subscribe(subscribed, True)

    async def _known(self, keys: Sequence[str]) -> list[str]:
        if not IDeliveryKeys.providedBy(self._store):
            return []
        store: IDeliveryKeys = self._store
        return sorted(await store.known(self._account, keys))

    async def _keep(
        self, messages: Sequence[Mapping[str, Any]], octets: bytes
    ) -> list[tuple[str, str]]:
        """Deliver messages; return the keys of those refused for good, and why.

        Raises what is refused for now: then all will be.
        """
        deliveries: list[Delivery] = []
        at = 0
        large: Content | None = None
        if self._incoming:
            large = await self._incoming.finish()
            self._incoming = None
        try:
            for message in messages:
                summary = octets[at : at + message["summary"]]
                at += len(summary)
                content: Content = large or Octets(octets[at : at + message["size"]])
                at += content.size if content is not large else 0
                deliveries.append(await self._delivery(message, content, summary))
            outcomes: Sequence[Outcome] = await self._store.deliver(deliveries)
        finally:
            if large:
                large.close()
        refused: list[tuple[str, str]] = []
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            if outcome.status.is_transient and outcome.error:
                raise outcome.error
            if not outcome.status.is_success:
                refused.append((delivery.key, outcome.detail))
        return refused

    async def _delivery(
        self, message: Mapping[str, Any], content: Content, summary: bytes
    ) -> Delivery:
        if content.size != message["size"]:
            raise BadParameter(f"{content.size} octets came of {message['size']}")
        new = NewMessage(
            content,
            await _summary(summary, content),
            frozenset(message["flags"]),
            _date(message["received"]),
        )
        placement = Placement(message["mailbox"], create=True)
        return Delivery(message["key"], self._account, new, (placement,), lasting=True)


async def _summary(octets: bytes, content: Content) -> Summary:
    """Return the summary that came, unless it is of another version than ours."""
    try:
        facts = read_summary(octets)
    except ValueError:
        return await summary_of(content)
    return Summary(octets, facts.body, facts.references)


def _role(words: str) -> Role:
    try:
        role = Role(words)
    except ValueError:
        return Role.NONE
    return Role.NONE if role is Role.INBOX else role


def _date(seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


# Out -------------------------------------------------------------------------


@attrs.define
class Export:
    """Answers somebody who wants an account's messages.

    ``boxes`` names the mailboxes, ``messages`` gives some from a UID on, ``piece`` some
    octets of a large one, or of one that could not be read with others.
    """

    _account: IAccount

    async def answer(self, said: dict[str, Any], octets: bytes) -> Said:
        match said:
            case {"do": "boxes"}:
                boxes: Sequence[Mailbox] = await self._account.mailboxes()
                return {"boxes": [_box(box) for box in boxes]}, b""
            case {"do": "messages", "mailbox": str(mailbox), "after": int(after)}:
                return await self._messages(MailboxId(mailbox), after)
            case {"do": "piece", "mailbox": str(mailbox), "uid": int(uid), "start": int(start)}:
                return await self._piece(MailboxId(mailbox), Uid(uid), start)
        raise BadParameter(f"an export knows nothing of {said.get('do')}")

    def end(self) -> None:
        """Nothing is held but what goes by itself."""

    async def _messages(self, mailbox: MailboxId, after: int) -> Said:
        """Return the next messages, with their octets unless they are large."""
        wanted = Wanted.FLAGS | Wanted.CONTENT
        uids = UidSet.all() - UidSet(((0, after),))
        told: list[dict[str, Any]] = []
        found: list[bytes] = []
        size = 0
        async with aclosing(batches(self._account, mailbox, uids, wanted)) as found_batches:
            async for batch in found_batches:
                for record in batch.records():
                    content = record.content if record.size <= PIECE else None
                    told.append(_message(record, content is None))
                    found.append(content or b"")
                    size += record.size
                    if size >= AT_ONCE:
                        break
                if size >= AT_ONCE:
                    break
        return {"messages": told}, b"".join(found)

    async def _piece(self, mailbox: MailboxId, uid: Uid, start: int) -> Said:
        async with self._account.records(mailbox, UidSet.of(uid)) as cursor:
            batch = await cursor.next_batch()
        if batch is None:
            return {"gone": True}, b""
        [record] = batch.records()
        try:
            content = await self._account.content(record)
            try:
                return {}, await content.read(start, start + PIECE)
            finally:
                content.close()
        except DAMAGED as problem:
            return {"damaged": str(problem)}, b""


def _box(box: Mailbox) -> dict[str, Any]:
    return {
        "id": box.id,
        "name": box.name,
        "role": box.role.value,
        "subscribed": box.subscribed,
        "uid_validity": box.uid_validity,
        "messages": box.messages,
        "size": box.size,
    }


def _message(record: Record, large: bool) -> dict[str, Any]:
    return {
        "uid": record.uid,
        "flags": sorted(record.flags or ()),
        "received": record.received.timestamp(),
        "size": record.size,
        "large": large,
    }
