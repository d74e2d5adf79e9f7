"""Whether messages satisfy a leaf of a query, by what is at hand of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from itertools import compress
from math import inf

from mailplat.mail.header import Header
from mailplat.mail.mailbox import Batch, MailboxIndex, UidSet
from mailplat.mail.query import (
    Aged,
    Among,
    Changed,
    Clock,
    Containing,
    Dated,
    Everything,
    Field,
    Flagged,
    Identified,
    Leaf,
    Sized,
    WithField,
)
from mailplat.mail.search import case_folded
from mailplat.mail.searching import Column
from mailplat.mail.seeking import Seeker
from mailplat.mail.summary import read_summary, read_words
from mailplat.mail.words import decoded_words

_PLACES = {Field.SUBJECT: 1, Field.FROM: 2, Field.TO: 5, Field.CC: 6, Field.BCC: 7}
_WORD = re.compile(rb'NIL|"((?:[^"\\]|\\.)*+)"|\{([0-9]{1,9})\}\r\n|([()])| ')
_PLAIN = re.compile(r"[a-z0-9._+-]+")  # what an ENVELOPE has as it is, or not at all
_ESCAPED = re.compile(rb"\\(.)")


# By the index ------------------------------------------------------------------


def in_index(leaf: Leaf, index: MailboxIndex, among: UidSet) -> UidSet:
    """Return which messages of a set satisfy a leaf that needs the index only."""
    match leaf:
        case Everything():
            return among
        case Among(uids):
            return among & uids
        case Flagged(flag):
            bear = _bearers(flag, index.flag_sets)
            if not any(bear):
                return UidSet()
            chosen: Iterator[bool] = map(bear.__getitem__, index.flags)
            return among & UidSet.from_sorted(compress(index.uids, chosen))
        case Changed(modseq):
            later = (one >= modseq for one in index.modseqs)
            return among & UidSet.from_sorted(compress(index.uids, later))
        case _:
            raise TypeError(f"the index can't tell: {leaf!r}")


def _bearers(flag: str, flag_sets: Sequence[frozenset[str]]) -> list[bool]:
    flag = flag.lower()
    return [any(one.lower() == flag for one in names) for names in flag_sets]


# By the record -----------------------------------------------------------------


def in_records(leaf: Leaf, batch: Batch) -> list[int]:
    """Return the UIDs of a batch's messages that satisfy a leaf that needs no more."""
    match leaf:
        case Sized(above, below):
            low = -1 if above is None else above
            high = inf if below is None else below
            return list(compress(batch.uids, [low < size < high for size in batch.sizes]))
        case Dated(clock, start, stop) if clock is not Clock.SENT:
            moments = batch.saved if clock is Clock.SAVED else batch.received
            first = -inf if start is None else _midnight(start)
            end = inf if stop is None else _midnight(stop)
            return list(compress(batch.uids, [first <= moment < end for moment in moments]))
        case Aged(moment, is_older):
            return list(
                compress(batch.uids, [(at <= moment) is is_older for at in batch.received])
            )
        case Identified(identity, is_thread):
            found = batch.thread_ids if is_thread else batch.email_ids
            return list(compress(batch.uids, [one == identity for one in found]))
        case _:
            raise TypeError(f"a record can't tell: {leaf!r}")


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


# By the summary ----------------------------------------------------------------


def summary_test(leaf: Leaf) -> Callable[[bytes], bool]:
    """Return what says of a message's summary whether it satisfies a leaf that needs it.

    It raises `ValueError` as `mailplat.mail.summary.read_summary` does.
    """
    match leaf:
        case Dated(Clock.SENT, start, stop):
            return lambda octets: _is_between(read_summary(octets).day, start, stop)
        case Containing(field, words) if field in _PLACES:
            return _envelope_test(field, case_folded(words))
        case _:
            raise TypeError(f"a summary can't tell: {leaf!r}")


def _is_between(day: date | None, start: date | None, stop: date | None) -> bool:
    if day is None:
        return False
    return (start is None or day >= start) and (stop is None or day < stop)


def _envelope_test(field: Field, word: str) -> Callable[[bytes], bool]:
    """Return what looks for a word in an ENVELOPE; most that don't have it are told by a glance."""
    place, is_text = _PLACES[field], field is Field.SUBJECT
    plain = word.encode() if _PLAIN.fullmatch(word) else None

    def test(octets: bytes) -> bool:
        envelope = read_words(octets).envelope
        is_open = b"=?" not in envelope and envelope.isascii()
        if plain and is_open and plain not in envelope.lower():
            return False
        said = envelope_item(envelope, place)
        return said is not None and word in _shown(said, is_text)

    return test


def _shown(item: bytes, is_text: bool) -> str:
    strings = list(_strings(item))
    if is_text:
        return case_folded(decoded_words(strings[0] or b"")) if strings else ""
    lines: list[str] = []
    for at in range(0, len(strings) - 3, 4):
        name, _, local, domain = strings[at : at + 4]
        person = decoded_words(name or b"")
        address = (local or b"") + b"@" + (domain or b"")
        lines.append(f"{person} <{address.decode('utf-8', 'replace')}>")
    return case_folded("\n".join(lines))


def envelope_item(envelope: bytes, number: int) -> bytes | None:
    """Return one of the ten items of an ENVELOPE as it is written there; None for NIL."""
    at, depth, start, count = 0, 0, 0, -1
    while at < len(envelope):
        found = _WORD.match(envelope, at)
        if found is None:
            return None
        mark, stop = found[3], found.end()
        if found[2]:
            stop += int(found[2])
        if depth == 1 and found[0] != b" ":
            count, start = count + 1, at
        depth += {b"(": 1, b")": -1}.get(mark or b"", 0)
        at = stop
        if count == number and depth == 1 and found[0] != b" ":
            return None if envelope[start:at] == b"NIL" else envelope[start:at]
    return None


def _strings(item: bytes) -> Iterator[bytes | None]:
    """Yield the strings in an item of an ENVELOPE, NIL as None."""
    at = 0
    while at < len(item) and (found := _WORD.match(item, at)):
        at = found.end()
        if found[2]:
            yield item[at : at + int(found[2])]
            at += int(found[2])
        elif found[1] is not None:
            yield _ESCAPED.sub(rb"\1", found[1])
        elif found[0] == b"NIL":
            yield None


# By the octets -----------------------------------------------------------------


def in_header(leaf: Leaf, header: bytes) -> bool:
    """Say whether a message satisfies a leaf that needs its header."""
    match leaf:
        case WithField(name, words):
            word = case_folded(words)
            bodies = Header.of_block(header).bodies(name.encode("utf-8", "replace"))
            return any(word in case_folded(decoded_words(body)) for body in bodies)
        case Containing(Field.TEXT, words):
            word = case_folded(words)
            return any(
                word
                in case_folded(f"{field.name.decode('ascii')}: {decoded_words(field.body)}")
                for field in Header.of_block(header).fields
            )
        case _:
            raise TypeError(f"a header can't tell: {leaf!r}")


def seeker_for(leaf: Containing) -> Seeker:
    """Return what looks for a leaf's words in the text of messages."""
    columns = (Column.BODY,) if leaf.field is Field.BODY else tuple(Column)
    return Seeker([leaf.words], columns)
