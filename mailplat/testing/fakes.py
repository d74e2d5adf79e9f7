"""Stand-ins for what a room has around it: contents that fail, a bus that remembers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar

import attrs
from zope.interface import implementer

from mailplat.interfaces import (
    IAddressedContents,
    IBus,
    IContent,
    IContentStore,
    IResolver,
    R,
)
from mailplat.mail.content import Content, Octets, whole
from mailplat.mail.dns import Answer, Cname, ResourceRecord, name_of
from mailplat.mail.errors import LookupFailed, MailError, NoSuchMessage, StoreFailed
from mailplat.mail.mailbox import NewMessage
from mailplat.mail.people import AccountId
from mailplat.mail.summary import summarise

E = TypeVar("E")


def new_message(octets: bytes, *flags: str, received: datetime | None = None) -> NewMessage:
    """Return a message to be kept, its summary made of its octets."""
    return NewMessage(Octets(octets), summarise(octets), frozenset(flags), received)


@implementer(IContent)
@attrs.define
class FakeContent:
    """A content that counts how often it is read, and fails on demand.

    With ``fails_at`` the first read that reaches that octet raises `StoreFailed`;
    ``promised`` is the size it claims, if another than the real one.
    """

    octets: bytes
    fails_at: int | None = None
    promised: int | None = None
    reads: list[tuple[int, int]] = attrs.field(factory=list)
    closed: bool = False

    @property
    def size(self) -> int:
        return len(self.octets) if self.promised is None else self.promised

    async def read(self, start: int, stop: int) -> bytes:
        self.reads.append((start, stop))
        if self.fails_at is not None and stop > self.fails_at:
            raise StoreFailed(f"made to fail at octet {self.fails_at}")
        return self.octets[start:stop]

    def close(self) -> None:
        self.closed = True


@implementer(IBus)
@attrs.define
class FakeBus:
    """A bus that tells at once, and remembers in ``events`` what it was told."""

    events: list[object] = attrs.field(factory=list)
    _hearers: list[tuple[type, Callable[..., None]]] = attrs.field(factory=list)

    def publish(self, events: Iterable[object]) -> None:
        for event in events:
            self.events.append(event)
            for kind, hear in list(self._hearers):
                if isinstance(event, kind):
                    hear(event)

    def subscribe(self, kind: type[E], hear: Callable[[E], None]) -> Callable[[], None]:
        entry = (kind, hear)
        self._hearers.append(entry)
        return lambda: self._hearers.remove(entry)


@implementer(IContentStore, IAddressedContents)
@attrs.define
class FakeContents:
    """A place of contents in memory, which remembers in ``done`` what was asked of it."""

    kept: dict[str, bytes] = attrs.field(factory=dict)
    done: list[tuple[str, str]] = attrs.field(factory=list)
    _given: int = 0

    async def add(self, _account: AccountId, content: Content) -> str:
        octets = await whole(content)
        self._given += 1
        key = f"{self._given:06d}"
        self.kept[key] = octets
        self.done.append(("add", key))
        return key

    async def read(self, key: str, start: int, stop: int) -> bytes:
        if key not in self.kept:
            raise NoSuchMessage(f"there is no content {key!r}")
        return self.kept[key][max(start, 0) : max(stop, 0)]

    async def remove(self, keys: Collection[str]) -> None:
        for key in keys:
            self.kept.pop(key, None)
            self.done.append(("remove", key))

    async def scan(self, after: str) -> Sequence[str]:
        return sorted(key for key in self.kept if key > after)[:3]

    def address(self, key: str) -> bytes:
        return sha256(self.kept.get(key, b"")).digest()


@implementer(IResolver)
@attrs.define
class FakeResolver:
    """Knows what it was told, and remembers in ``asked`` what it was asked.

    ``records`` are by name and type; a `MailError` among them is raised.  ``proven``
    are the names that DNSSEC vouches for, ``ttl`` is that of every answer.
    """

    records: dict[tuple[str, type[ResourceRecord]], Sequence[Any] | MailError] = attrs.field(
        factory=dict
    )
    proven: set[str] = attrs.field(factory=set)
    ttl: float = 300.0
    asked: list[tuple[str, str]] = attrs.field(factory=list)

    async def lookup(self, name: str, kind: type[R]) -> Answer[R]:
        name = name_of(name)
        self.asked.append((name, kind.__name__))
        proven = name in self.proven
        for _ in range(8):
            found = self.records.get((name, kind), ())
            alias = () if kind is Cname else self.records.get((name, Cname), ())
            if isinstance(found, MailError):
                raise found
            if found or isinstance(alias, MailError) or not alias:
                exists = any(known == name for known, _ in self.records)
                return Answer(name, tuple(found), self.ttl, proven, exists)
            name = alias[0].name
            proven = proven and name in self.proven
        raise LookupFailed("aliases without an end")
