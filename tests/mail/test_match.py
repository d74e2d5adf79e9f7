"""Which messages a leaf of a query finds."""

from __future__ import annotations

from array import array
from datetime import UTC, date, datetime

import pytest

from mailplat.mail.mailbox import Batch, MailboxIndex, ModSeq, UidSet
from mailplat.mail.match import envelope_item, in_header, in_index, in_records, summary_test
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
from mailplat.mail.summary import summarise

ALL = UidSet(((1, 9),))
INDEX = MailboxIndex(
    ModSeq(7),
    array("I", [1, 2, 5]),
    array("B", [0, 1, 1]),
    (frozenset(), frozenset({"\\Seen", "$Work"})),
    array("Q", [3, 7, 5]),
)


@pytest.mark.parametrize(
    ("leaf", "found"),
    [
        (Everything(), ALL),
        (Among(UidSet(((2, 20),))), UidSet(((2, 9),))),
        (Flagged("$work"), UidSet.of(2, 5)),
        (Flagged("$Home"), UidSet()),
        (Changed(ModSeq(5)), UidSet.of(2, 5)),
    ],
)
def test_by_the_index(leaf: Leaf, found: UidSet) -> None:
    assert in_index(leaf, INDEX, ALL) == found


def moment(*when: int) -> float:
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]


BATCH = Batch(
    uids=[1, 2],
    modseqs=[1, 1],
    email_ids=["a", "b"],
    thread_ids=["t", "t"],
    sizes=[10, 20],
    received=[moment(2026, 2, 1), moment(2026, 2, 2)],
    saved=[moment(2026, 3, 1), moment(2026, 3, 1)],
)


@pytest.mark.parametrize(
    ("leaf", "uids"),
    [
        (Sized(above=10), [2]),
        (Sized(below=20), [1]),
        (Sized(above=9, below=21), [1, 2]),
        (Dated(Clock.RECEIVED, date(2026, 2, 1), date(2026, 2, 2)), [1]),
        (Dated(Clock.RECEIVED, stop=date(2026, 2, 1)), []),
        (Dated(Clock.SAVED, date(2026, 3, 1)), [1, 2]),
        (Aged(moment(2026, 2, 1), True), [1]),
        (Aged(moment(2026, 2, 1), False), [2]),
        (Identified("b"), [2]),
        (Identified("t", True), [1, 2]),
    ],
)
def test_by_the_record(leaf: Leaf, uids: list[int]) -> None:
    assert in_records(leaf, BATCH) == uids


MESSAGE = (
    b"Date: Sun, 1 Feb 2026 23:30:00 -0500\r\n"
    b"From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.org>\r\n"
    b'To: "Doe, Jane" <jane@example.net>, list: a@b.example, c@d.example;\r\n'
    b'Subject: =?iso-8859-1?q?Gr=FC=DFe?= "quoted"\r\n'
    b"X-Odd: one\r\n two\r\n"
    b"\r\nbody\r\n"
)
SUMMARY = summarise(MESSAGE).octets


@pytest.mark.parametrize(
    ("leaf", "found"),
    [
        (Containing(Field.SUBJECT, "GRÜSSE"), True),
        (Containing(Field.SUBJECT, '"QUOTED"'), True),
        (Containing(Field.SUBJECT, "body"), False),
        (Containing(Field.SUBJECT, ""), True),
        (Containing(Field.FROM, "jürgen"), True),
        (Containing(Field.FROM, "juergen@example"), True),
        (Containing(Field.FROM, "jane"), False),
        (Containing(Field.TO, "Doe, Jane <jane@"), True),
        (Containing(Field.TO, "c@D.example"), True),
        (Containing(Field.CC, ""), False),
        (Containing(Field.BCC, "x"), False),
        (Dated(Clock.SENT, date(2026, 2, 1), date(2026, 2, 2)), True),
        (Dated(Clock.SENT, date(2026, 2, 2)), False),
    ],
)
def test_by_the_summary(leaf: Leaf, found: bool) -> None:
    assert summary_test(leaf)(SUMMARY) is found


def test_items_of_an_envelope_with_literals() -> None:
    octets = b'("(" {3}\r\n) ( ((NIL NIL "a\\")" "b")) NIL NIL NIL NIL NIL NIL "m")'
    assert envelope_item(octets, 0) == b'"("'
    assert envelope_item(octets, 1) == b"{3}\r\n) ("
    assert envelope_item(octets, 2) == b'((NIL NIL "a\\")" "b"))'
    assert envelope_item(octets, 3) is None
    assert envelope_item(octets, 9) == b'"m"'
    assert envelope_item(octets, 10) is None
    assert envelope_item(b"(\xff", 0) is None


@pytest.mark.parametrize(
    ("leaf", "found"),
    [
        (WithField("x-odd", "ONE TWO"), True),
        (WithField("x-odd", ""), True),
        (WithField("x-none", ""), False),
        (WithField("subject", "grüße"), True),
        (Containing(Field.TEXT, "x-odd: one"), True),
        (Containing(Field.TEXT, "three"), False),
    ],
)
def test_by_the_header(leaf: Leaf, found: bool) -> None:
    header = MESSAGE[: MESSAGE.index(b"\r\n\r\n") + 4]
    assert in_header(leaf, header) is found


@pytest.mark.parametrize("judge", [in_records, lambda leaf, _: summary_test(leaf), in_header])
def test_what_can_not_tell(judge: object) -> None:
    with pytest.raises(TypeError):
        judge(Everything(), None)  # type: ignore[operator]
    with pytest.raises(TypeError):
        in_index(Sized(), INDEX, ALL)
