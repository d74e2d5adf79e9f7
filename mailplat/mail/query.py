"""What to look for: one tree for SEARCH of IMAP and for the filters of JMAP.

A leaf says by ``needs`` what must be at hand to tell whether a message has it, from
what costs nothing to what means reading the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import Enum, IntEnum
from typing import ClassVar, TypeAlias

import attrs

from mailplat.mail.mailbox import ModSeq, UidSet


class Needs(IntEnum):
    """What a leaf asks to be at hand, the cheapest first."""

    INDEX = 0  # UIDs, flags, mod-sequences
    RECORD = 1  # sizes, dates, identities
    SUMMARY = 2  # what was found out at arrival
    HEADER = 3  # the message's header
    TEXT = 4  # its text, or all of it


class Clock(Enum):
    """Which of a message's dates is meant."""

    RECEIVED = "its internal date"
    SENT = "the day in its Date field, as it is written there"
    SAVED = "when it came into the mailbox"


class Field(Enum):
    """A part of a message's text that has a name in every protocol."""

    SUBJECT = b"subject"
    FROM = b"from"
    TO = b"to"
    CC = b"cc"
    BCC = b"bcc"
    BODY = b"body"
    TEXT = b"text"  # the whole header, and the body


@attrs.frozen
class Everything:
    """Every message."""

    needs: ClassVar[Needs] = Needs.INDEX


@attrs.frozen
class Among:
    """The messages of a set."""

    needs: ClassVar[Needs] = Needs.INDEX
    uids: UidSet


@attrs.frozen
class Flagged:
    """Messages that bear a flag or keyword, whatever the case it is written in."""

    needs: ClassVar[Needs] = Needs.INDEX
    flag: str


@attrs.frozen
class Changed:
    """Messages whose mod-sequence is this or a later one (RFC 7162 section 3.1.5)."""

    needs: ClassVar[Needs] = Needs.INDEX
    modseq: ModSeq


@attrs.frozen
class Sized:
    """Messages of more octets than ``above`` and fewer than ``below``; None for no bound."""

    needs: ClassVar[Needs] = Needs.RECORD
    above: int | None = None
    below: int | None = None


@attrs.frozen
class Dated:
    """Messages of some days, the first included and the end not; None for no bound."""

    clock: Clock
    start: date | None = None
    stop: date | None = None

    @property
    def needs(self) -> Needs:
        return Needs.SUMMARY if self.clock is Clock.SENT else Needs.RECORD


@attrs.frozen
class Aged:
    """Messages that came before (or else since) a moment, in seconds since 1970."""

    needs: ClassVar[Needs] = Needs.RECORD
    moment: float
    is_older: bool


@attrs.frozen
class Identified:
    """The message, or those of the thread, with this identity (RFC 8474)."""

    needs: ClassVar[Needs] = Needs.RECORD
    identity: str
    is_thread: bool = False


@attrs.frozen
class Containing:
    """Messages that have words somewhere, as a substring, whatever their case."""

    field: Field
    words: str

    @property
    def needs(self) -> Needs:
        return Needs.TEXT if self.field in (Field.BODY, Field.TEXT) else Needs.SUMMARY


@attrs.frozen
class WithField:
    """Messages that have a header field with words in it; no words ask for any such field."""

    needs: ClassVar[Needs] = Needs.HEADER
    name: str
    words: str


@attrs.frozen
class Not:
    """Messages that another query doesn't find."""

    query: Query


@attrs.frozen
class And:
    """Messages that all of some queries find."""

    queries: Sequence[Query]


@attrs.frozen
class Or:
    """Messages that one of some queries finds."""

    queries: Sequence[Query]


Leaf: TypeAlias = (
    Everything | Among | Flagged | Changed | Sized | Dated | Aged | Identified | Containing
    | WithField
)  # fmt: skip
Query: TypeAlias = Leaf | Not | And | Or
