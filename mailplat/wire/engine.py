"""What every protocol engine is to the shell that feeds it: octets in, events out."""

from __future__ import annotations

import enum
from typing import Protocol

import attrs


class After(enum.Enum):
    """What the shell does once the octets of the last `Engine.send` have left."""

    GO_ON = "go on"
    START_TLS = "start TLS"
    CLOSE = "close"


@attrs.frozen
class TimedOut:
    """The peer was too slow; the shell makes this event, and the reply to it is the last."""


@attrs.frozen
class Woken:
    """The session has asked to be heard; the shell makes this event when nothing is under way."""


class Engine(Protocol):
    """Knows one protocol's order, framing and limits; has no clock, transport or thread.

    ``after`` says what the last reply asks of the shell, and ``complaint`` what
    was wrong where that is to hang up; it is empty where the peer took its leave.
    ``in_content`` says whether content is awaited, or in the middle of coming:
    it may take long as long as it flows, whether anything is made of it or not.
    """

    after: After
    complaint: str

    @property
    def in_content(self) -> bool: ...

    @property
    def held(self) -> int:
        """How many octets have been received and not yet understood."""

    def receive(self, octets: bytes) -> None:
        """Take what arrived, however the network cut it."""

    def next_event(self) -> object | None:
        """Return what the peer said next, or None until more has arrived."""

    def send(self, reply: object) -> bytes:
        """Return the octets of a reply; never called with content still to be sent."""
