"""Names, roles, UID sets, mod-sequences, flags, indexes, records (RFC 9051, 7162)."""

from __future__ import annotations

import re
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum, Flag, auto
from typing import NewType, Self

import attrs

from mailplat.mail.content import Content
from mailplat.mail.errors import MailError, NotPermitted, bare
from mailplat.mail.limits import MIB
from mailplat.mail.people import AccountId
from mailplat.mail.status import Status
from mailplat.mail.summary import Summary

Uid = NewType("Uid", int)
ModSeq = NewType("ModSeq", int)
MailboxId = NewType("MailboxId", str)
"""A mailbox's identity (RFC 8474): opaque, kept when it is renamed, never reused."""

INBOX = "INBOX"
SEPARATOR = "/"
LONGEST_NAME = 1000  # octets of a mailbox's whole name in UTF-8
DEEPEST_NAME = 50  # parts of a mailbox's name
LAST_UID = 2**32 - 1
TOGETHER = 256  # UIDs that are looked at together, whether there are holes among them
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

SEEN, ANSWERED, FLAGGED, DELETED, DRAFT = (
    "\\Seen",
    "\\Answered",
    "\\Flagged",
    "\\Deleted",
    "\\Draft",
)
SYSTEM_FLAGS = (SEEN, ANSWERED, FLAGGED, DELETED, DRAFT)


class Role(Enum):
    """What a mailbox is for (RFC 6154, 8457)."""

    NONE = ""
    INBOX = "inbox"
    ALL = "\\All"
    ARCHIVE = "\\Archive"
    DRAFTS = "\\Drafts"
    FLAGGED = "\\Flagged"
    IMPORTANT = "\\Important"
    JUNK = "\\Junk"
    SENT = "\\Sent"
    TRASH = "\\Trash"


def proper_name(text: str) -> str:
    """Return a mailbox's name as it is kept: NFC, and INBOX in capitals at its front.

    Raises `NotPermitted` for a name that no mailbox can have: with an empty part, a
    control character or half a surrogate, too long or too deep.

    Source: RFC 9051 section 5.1, RFC 5198 section 2.
    """
    name = unicodedata.normalize("NFC", text[: LONGEST_NAME + 1])
    first, *rest = name.split(SEPARATOR)
    if first.upper() == INBOX:
        name = SEPARATOR.join([INBOX, *rest])
    if (
        not (first and all(rest))
        or len(rest) >= DEEPEST_NAME
        or _FORBIDDEN.search(name)
        or len(name.encode()) > LONGEST_NAME
    ):
        raise NotPermitted(f"no mailbox can be called {name!r}")
    return name


def names_above(name: str) -> list[str]:
    """Return the names of the mailboxes that ``name`` lies in, the outermost first."""
    parts = name.split(SEPARATOR)
    return [SEPARATOR.join(parts[:depth]) for depth in range(1, len(parts))]


@attrs.frozen
class UidSet:
    """UIDs as intervals, ends included, in order and apart; never expanded."""

    intervals: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, *uids: int) -> Self:
        """Return the set of these UIDs."""
        return cls.from_sorted(sorted(uids))

    @classmethod
    def from_sorted(cls, uids: Iterable[int]) -> Self:
        """Return the set of UIDs that come in ascending order."""
        intervals: list[tuple[int, int]] = []
        for uid in uids:
            if intervals and uid <= intervals[-1][1] + 1:
                intervals[-1] = (intervals[-1][0], max(uid, intervals[-1][1]))
            else:
                intervals.append((uid, uid))
        return cls(tuple(intervals))

    @classmethod
    def from_rising(cls, uids: Sequence[int]) -> Self:
        """Return the set of UIDs each of which is higher than the one before.

        Many without holes among them take next to no time.
        """
        intervals: list[tuple[int, int]] = []
        for at in range(0, len(uids), TOGETHER):
            some = uids[at : at + TOGETHER]
            has_holes = some[-1] - some[0] >= len(some)
            for first, last in (
                zip(some, some, strict=True) if has_holes else [(some[0], some[-1])]
            ):
                if intervals and first == intervals[-1][1] + 1:
                    intervals[-1] = (intervals[-1][0], last)
                else:
                    intervals.append((first, last))
        return cls(tuple(intervals))

    @classmethod
    def from_intervals(cls, intervals: Iterable[tuple[int, int]]) -> Self:
        """Return the set of intervals in any order, overlapping or turned round."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted((min(pair), max(pair)) for pair in intervals):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    @classmethod
    def all(cls) -> Self:
        """Return the set of every UID there can be."""
        return cls(((1, LAST_UID),))

    def __bool__(self) -> bool:
        return bool(self.intervals)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.intervals)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.intervals:
            yield from range(first, last + 1)

    def __contains__(self, uid: int) -> bool:
        at = bisect_right(self.intervals, (uid, LAST_UID)) - 1
        return at >= 0 and self.intervals[at][0] <= uid <= self.intervals[at][1]

    def __or__(self, other: UidSet) -> UidSet:
        if not other.intervals:
            return self
        return UidSet.from_intervals((*self.intervals, *other.intervals))

    def __and__(self, other: UidSet) -> UidSet:
        return self - (self - other)

    def __sub__(self, other: UidSet) -> UidSet:
        left: list[tuple[int, int]] = []
        holes = iter((*other.intervals, (LAST_UID + 2, LAST_UID + 2)))
        start, stop = next(holes)
        for first, last in self.intervals:
            while stop < first:
                start, stop = next(holes)
            while start <= last:
                if first < start:
                    left.append((first, start - 1))
                first = stop + 1
                if stop > last:
                    break
                start, stop = next(holes)
            if first <= last:
                left.append((first, last))
        return UidSet(tuple(left))

    def among(self, uids: Sequence[int]) -> Iterator[int]:
        """Yield those of ``uids``, which ascend, that are in this set."""
        for first, last in self.intervals:
            start = bisect_right(uids, first - 1)
            yield from uids[start : bisect_right(uids, last, start)]

    def __str__(self) -> str:
        return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in self.intervals)


@attrs.frozen
class Mailbox:
    """A mailbox and its counts, all at one moment."""

    id: MailboxId
    name: str  # Unicode, parts divided by `SEPARATOR`
    role: Role
    subscribed: bool
    uid_validity: int
    uid_next: Uid
    highest_modseq: ModSeq
    messages: int
    unseen: int
    deleted: int
    size: int  # octets of all messages


@attrs.frozen
class MailboxEdit:
    """What to change of a mailbox; None leaves as it is."""

    name: str | None = None
    role: Role | None = None


class Change(Enum):
    """What a flag change does with the flags it names (RFC 9051 section 6.4.6)."""

    ADD = "+FLAGS"
    REMOVE = "-FLAGS"
    REPLACE = "FLAGS"


@attrs.frozen
class FlagChange:
    """A change to the flags of some messages; names of keywords match without case."""

    change: Change
    flags: frozenset[str]

    def applied_to(self, flags: frozenset[str]) -> frozenset[str]:
        """Return what becomes of ``flags``, all of them spelt as the account spells them."""
        match self.change:
            case Change.ADD:
                return flags | self.flags
            case Change.REMOVE:
                return flags - self.flags
            case Change.REPLACE:
                return self.flags


@attrs.frozen
class MailboxIndex:
    """A mailbox's numbers as columns, at one mod-sequence.

    ``flags[i]`` is a place in ``flag_sets``, which holds each combination of
    flags once, so that a message costs some thirteen octets here (see `narrow`).
    """

    modseq: ModSeq
    uids: array[int]
    flags: array[int]
    flag_sets: tuple[frozenset[str], ...]
    modseqs: array[int]


def narrow(numbers: Iterable[int], most: int) -> array[int]:
    """Return numbers, all of them below ``most``, as a column of few octets each."""
    code = "B" if most <= 2**8 else "H" if most <= 2**16 else "I"
    return array(code, numbers)


class Wanted(Flag):
    """The columns of `Batch` that cost something to fetch."""

    NOTHING = 0
    FLAGS = auto()
    SUMMARY = auto()
    CONTENT = auto()  # only of messages that are small; see `IAccount.content`


@attrs.frozen
class Record:
    """What an account keeps of one message in one mailbox.

    ``email_id`` survives copy and move, ``thread_id`` is shared by messages
    that share a reference (RFC 8474); ``saved`` is when it came into this
    mailbox (RFC 8514), ``received`` its internal date.  Columns that were not
    wanted are None.
    """

    uid: Uid
    modseq: ModSeq
    email_id: str
    thread_id: str
    size: int
    received: datetime
    saved: datetime
    flags: frozenset[str] | None = None
    summary: bytes | None = None
    content: bytes | None = None


BATCH_OCTETS = 4 * MIB


@attrs.frozen
class Batch:
    """Some messages of a mailbox, a column for each fact, by ascending UID.

    All columns have one length; those that were not wanted are empty.  Dates
    are seconds since 1970, which cost less than objects.  Summaries and contents
    of several messages are `BATCH_OCTETS` at most.
    """

    uids: Sequence[int]
    modseqs: Sequence[int]
    email_ids: Sequence[str]
    thread_ids: Sequence[str]
    sizes: Sequence[int]
    received: Sequence[float]
    saved: Sequence[float]
    flags: Sequence[frozenset[str]] = ()
    summaries: Sequence[bytes] = ()
    contents: Sequence[bytes | None] = ()

    def __len__(self) -> int:
        return len(self.uids)

    def records(self) -> Iterator[Record]:
        """Yield the messages as one record each, where that is handier."""
        for at, uid in enumerate(self.uids):
            yield Record(
                uid=Uid(uid),
                modseq=ModSeq(self.modseqs[at]),
                email_id=self.email_ids[at],
                thread_id=self.thread_ids[at],
                size=self.sizes[at],
                received=datetime.fromtimestamp(self.received[at], UTC),
                saved=datetime.fromtimestamp(self.saved[at], UTC),
                flags=self.flags[at] if self.flags else None,
                summary=self.summaries[at] if self.summaries else None,
                content=self.contents[at] if self.contents else None,
            )


@attrs.frozen
class NewMessage:
    """A message to be kept, its summary already made."""

    content: Content
    summary: Summary
    flags: frozenset[str] = frozenset()
    received: datetime | None = None  # None: the moment it is kept


@attrs.frozen
class Replaced:
    """The message that a new one takes the place of, maybe in another mailbox."""

    mailbox: MailboxId
    uid: Uid


@attrs.frozen
class Appended:
    """Where a message has come to lie."""

    uid: Uid
    modseq: ModSeq
    email_id: str
    thread_id: str


@attrs.frozen
class Moved:
    """The UIDs that messages had, and those of the same messages in the target."""

    uid_validity: int
    source: tuple[int, ...]
    target: tuple[int, ...]
    modseq: ModSeq


@attrs.frozen
class Flagged:
    """What a flag change did; ``failed`` had changed since (RFC 7162 section 3.1.3)."""

    modseq: ModSeq
    changed: UidSet
    failed: UidSet


@attrs.frozen
class MailboxChanges:
    """What happened in one mailbox since a mod-sequence.

    ``added`` are the messages that were not there then and are now, ``removed``
    those that were and are not; ``changed`` were there, still are, and have other
    flags or have had them in between.  What came and went is in none of the three.
    """

    mailbox: MailboxId
    added: UidSet = UidSet()
    changed: UidSet = UidSet()
    removed: UidSet = UidSet()


@attrs.frozen
class Changes:
    """What happened in an account since a mod-sequence.

    ``complete`` is False where ``since`` is older than the account remembers;
    then the lists are empty, and the asker starts anew.  A mailbox whose rights or
    annotations are others has been edited; ``annotated`` says that of the annotations
    of the account itself.
    """

    modseq: ModSeq
    complete: bool = True
    mailboxes: tuple[MailboxChanges, ...] = ()
    made: frozenset[MailboxId] = frozenset()
    edited: frozenset[MailboxId] = frozenset()
    removed: frozenset[MailboxId] = frozenset()
    annotated: bool = False


@attrs.frozen
class Placement:
    """One mailbox a delivery goes to, and with which flags.

    It is the one with that role, if a role is given and one has it, else the one
    with that name.  Where there is neither it is made if ``create`` says so and
    the name is a proper one, else the delivery goes to the INBOX.
    """

    mailbox: str = INBOX
    role: Role = Role.NONE
    flags: frozenset[str] = frozenset()
    create: bool = False


@attrs.frozen
class Delivery:
    """A message for one account, under a key that makes a repeat harmless.

    A store remembers the key for thirty days at least, and a ``lasting`` one as
    long as there is the account: what is imported may be imported again next year.
    One that is ``beyond_quota`` is kept though there is no room.
    """

    key: str
    account: AccountId
    message: NewMessage
    placements: tuple[Placement, ...] = (Placement(),)
    lasting: bool = False
    beyond_quota: bool = False


@attrs.frozen
class Outcome:
    """What became of one recipient's copy; ``detail`` is for the log.

    Where another host had a say, ``remote`` is its name, ``reply`` its words with the
    code before them, and ``relayed`` says that it took the copy over; if it also
    ``reports`` success to the sender, we don't (RFC 3461 section 5.2).
    """

    status: Status
    detail: str = ""
    error: Exception | None = attrs.field(default=None, eq=False)
    remote: str = ""
    reply: str = ""
    relayed: bool = False
    reports: bool = False

    @classmethod
    def failed(cls, error: Exception) -> Outcome:
        """Return what an error makes of a copy; one that is no `MailError` may pass."""
        status = error.status if isinstance(error, MailError) else MailError.status
        return cls(status, str(error), error)

    def __attrs_post_init__(self) -> None:
        bare(self.error)
