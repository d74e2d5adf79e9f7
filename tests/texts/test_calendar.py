"""Appointments are found by what they are, where they are, and who comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.interfaces import ITextExtractor
from mailplat.testing.contracts.extractors import ExtractorContract, Sample
from mailplat.testing.growth import in_linear_time, repeated
from mailplat.texts.calendar import CalendarText

INVITATION = """\
BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VTIMEZONE
TZID:Europe/Berlin
COMMENT:of the zone
END:VTIMEZONE
BEGIN:VEVENT
UID:4711
SUMMARY;LANGUAGE=de:Treffen im Café
DESCRIPTION:First line\\nsecond\\, with a comma and a very lo
 ng line\\; that was folded
LOCATION;ALTREP="http://example.org/a:b;c":Room 5
ORGANIZER;CN="Doe, Jane";ROLE=CHAIR:mailto:jane@example.org
ATTENDEE;CN=Bob;RSVP=TRUE:MAILTO:bob@example.org
attendee:mailto:carol@example.org
BEGIN:VALARM
DESCRIPTION:of the alarm
END:VALARM
CATEGORIES:Work
END:VEVENT
BEGIN:VTODO
SUMMARY:of the task
END:VTODO
END:VCALENDAR
""".replace("\n", "\r\n")

TEXT = """\
Treffen im Café
First line
second, with a comma and a very long line; that was folded
Room 5
Doe, Jane jane@example.org
Bob bob@example.org
carol@example.org
Work"""


def text_of(octets: bytes, charset: str = "", limit: int = 1 << 20) -> str:
    return CalendarText().text(octets, "text/calendar", charset, limit)


class TestCalendarText(ExtractorContract):
    @pytest.fixture
    def extractor(self) -> ITextExtractor:
        return CalendarText()

    @pytest.fixture
    def sample(self) -> Sample:
        words = ("Café", "Room 5", "jane@example.org", "Doe, Jane", "very long line")
        return Sample(INVITATION.encode(), "text/calendar", words)


def test_an_invitation() -> None:
    assert text_of(INVITATION.encode()) == TEXT
    assert text_of(INVITATION.replace("\r\n", "\n").encode()) == TEXT


def test_charsets() -> None:
    assert "Café" in text_of(INVITATION.encode("latin-1"), "iso-8859-1")
    assert "Caf\ufffd" in text_of(INVITATION.encode("latin-1"))
    assert "Café" in text_of(INVITATION.encode(), "x-nobody-knows")


def test_a_limit_cuts() -> None:
    assert text_of(INVITATION.encode(), limit=10) == "Treffen im"
    assert text_of(b"") == ""


LINES = st.sampled_from(
    [
        "BEGIN:VEVENT",
        "END:VEVENT",
        "BEGIN:VALARM",
        "SUMMARY:x",
        'ATTENDEE;CN="a:mailto:b',
        "\x00",
        ":",
        ";",
        "END:",
    ]
)


@given(st.lists(LINES).map("\r\n".join) | st.text())
def test_nothing_is_raised(text: str) -> None:
    assert isinstance(text_of(text.encode("utf-8", "replace")), str)


@pytest.mark.parametrize(
    "line", ["SUMMARY:x", 'ATTENDEE;CN="', "BEGIN:VEVENT", " x", ";" * 100, "A;B=" * 30, "\r"]
)
def test_hostile_calendars_cost_no_more(line: str) -> None:
    calendars = repeated(line.encode() + b"\r\n", b"BEGIN:VEVENT\r\n")
    in_linear_time(text_of, calendars, 500_000)
