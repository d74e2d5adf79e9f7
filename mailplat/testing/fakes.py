"""Stand-ins for what a room has around it: contents that fail, a bus that remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

import attrs
from zope.interface import implementer

from mailplat.interfaces import IBus, IContent
from mailplat.mail.content import Octets
from mailplat.mail.errors import StoreFailed
from mailplat.mail.mailbox import NewMessage
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
