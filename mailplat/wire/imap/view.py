"""One client's numbering of a mailbox, and what it must be told when (RFC 9051 section 7.5).

The index of a mailbox is one value that all its sessions share (`MailboxIndex`); a
view is which of them a client has been told of.  As long as nothing is withheld from
the client its numbering *is* the index's column of UIDs, so an idle view costs
nothing of its own.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import attrs

from mailplat.mail.errors import BadParameter
from mailplat.mail.mailbox import MailboxIndex, ModSeq, UidSet
from mailplat.wire.imap.numbers import Numbers


@attrs.frozen
class News:
    """What a client is to be told, in this order.

    ``expunged`` are numbers that go, the highest first, each as it is before any of
    them goes; ``vanished`` the same messages by UID.  ``exists`` is the new count of
    messages, None if none came.  ``changed`` are places in the index of messages
    whose flags are others, or were others in between.
    """

    expunged: tuple[int, ...] = ()
    vanished: UidSet = UidSet()
    exists: int | None = None
    changed: Sequence[int] = ()

    def __bool__(self) -> bool:
        return bool(self.expunged or self.exists is not None or self.changed)


class View:
    """What one client knows of a mailbox: numbers from 1 on, and the flags it has heard of.

    A message that others have expunged keeps its number until the client may be
    told; it has UIDs here, and nothing in ``index``.
    """

    __slots__ = ("_last", "_quiet", "_quiet_modseq", "index", "uids")

    def __init__(self, index: MailboxIndex) -> None:
        self.index = index
        self.uids = index.uids  # by number
        self._last = index.uids[-1] if index.uids else 0  # the highest ever seen
        self._quiet = UidSet()
        self._quiet_modseq = ModSeq(0)

    def __len__(self) -> int:
        return len(self.uids)

    # Numbers and UIDs.

    @property
    def is_whole(self) -> bool:
        """Whether no message has gone of which the client doesn't know."""
        return self.uids is self.index.uids

    @property
    def highest(self) -> int:
        """The highest UID that the client knows, 0 if there is no message."""
        return self.uids[-1] if self.uids else 0

    def number(self, uid: int) -> int:
        """Return the number of a message, 0 if the client doesn't know it."""
        at = bisect_left(self.uids, uid)
        return at + 1 if at < len(self.uids) and self.uids[at] == uid else 0

    def place(self, uid: int) -> int:
        """Return a message's place in the index, -1 if it isn't there."""
        uids = self.index.uids
        at = bisect_left(uids, uid)
        return at if at < len(uids) and uids[at] == uid else -1

    def by_number(self, numbers: Numbers) -> UidSet:
        """Return the UIDs of numbered messages.

        Raises `BadParameter` for numbers that no message has (RFC 9051 section 9,
        ``seq-number``).
        """
        count = len(self.uids)
        pairs: list[tuple[int, int]] = []
        for first, last in numbers.intervals:
            low, high = sorted((first or count, last or count))
            if not 0 < low <= high <= count:
                raise BadParameter(
                    f"message {high} of {count}", public=f"there are {count} messages"
                )
            pairs.append((self.uids[low - 1], self.uids[high - 1]))
        return UidSet.from_intervals(pairs)

    def by_uid(self, numbers: Numbers) -> UidSet:
        """Return a set of UIDs as it was written, of the messages that the client knows."""
        return numbers.up_to(self.highest)

    def known(self, uids: UidSet) -> Iterator[tuple[int, int]]:
        """Yield number and UID of those messages in a set that the client knows."""
        for first, last in uids.intervals:
            start = bisect_left(self.uids, first)
            stop = bisect_left(self.uids, last + 1, start)
            yield from zip(range(start + 1, stop + 1), self.uids[start:stop], strict=True)

    def in_numbers(self, uids: UidSet) -> UidSet:
        """Return the numbers of the messages in a set that the client knows."""
        pairs: list[tuple[int, int]] = []
        for first, last in uids.intervals:
            start = bisect_left(self.uids, first)
            stop = bisect_left(self.uids, last + 1, start)
            if start < stop:
                pairs.append((start + 1, stop))
        return UidSet.from_intervals(pairs)

    # Following the mailbox.

    def keep_quiet(self, uids: UidSet, modseq: ModSeq) -> None:
        """Don't tell of flags that the client itself has changed at this mod-sequence."""
        self._quiet, self._quiet_modseq = uids, modseq

    def follow(self, index: MailboxIndex, may_expunge: bool) -> News:
        """Go on to a later index, and return what the client is to be told.

        Where ``may_expunge`` is False, what has gone keeps its number.
        """
        known, before = self.index, self.uids
        if index is known and (self.is_whole or not may_expunge):
            return News()
        came = bisect_left(index.uids, self._last + 1)
        grown = len(index.uids) - came
        gone = places_missing(before, index.uids, came) if len(before) != came else []
        changed = self._changed(index, came)
        self.index = index
        if grown:
            self._last = index.uids[-1]
        if gone and not may_expunge:
            self.uids = before + index.uids[came:] if grown else before
            return News(exists=len(self.uids) if grown else None, changed=changed)
        self.uids = index.uids
        return News(
            tuple(at + 1 for at in reversed(gone)),
            UidSet.from_sorted(before[at] for at in gone),
            len(self.uids) if grown else None,
            changed,
        )

    def _changed(self, index: MailboxIndex, came: int) -> Sequence[int]:
        known = self.index
        if index.modseqs is known.modseqs and index.uids is known.uids:
            return ()
        since, modseqs = known.modseq, index.modseqs[:came]
        changed = [at for at, modseq in enumerate(modseqs) if modseq > since]
        if changed and self._quiet:
            quiet, own = self._quiet, self._quiet_modseq
            changed = [
                at for at in changed if modseqs[at] != own or index.uids[at] not in quiet
            ]
        self._quiet = UidSet()
        return changed


def places_missing(before: array[int], after: array[int], stop: int) -> list[int]:
    """Return where in ``before`` stands what isn't in the first ``stop`` of ``after``.

    All that is there in ``after`` was in ``before``; both ascend.  Equal stretches are
    compared as a whole, so that this costs what has gone and not what is there.
    """
    missing: list[int] = []
    at = there = 0
    while at < len(before):
        run = _equal(before, at, after, there, min(len(before) - at, stop - there))
        at += run
        there += run
        if at < len(before):
            missing.append(at)
            at += 1
    return missing


def _equal(before: array[int], at: int, after: array[int], there: int, most: int) -> int:
    """Return how many numbers in a row are equal from these places on."""
    step, equal = 1, 0
    while equal < most:
        size = min(step, most - equal)
        start, other = at + equal, there + equal
        if before[start : start + size] == after[other : other + size]:
            equal += size
            step *= 4
        elif size == 1:
            break
        else:
            step = max(size // 4, 1)
            most = equal + size - 1
    return equal
