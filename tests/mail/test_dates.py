"""Dates: every form that mail has, and IMAP's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.dates import (
    LONGEST_DATE,
    DateTime,
    date_in,
    date_text,
    imap_date,
    imap_date_time,
    imap_date_time_of,
)
from mailplat.testing.growth import in_bounded_time, repeated

NOON = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
HOUR = 3600
moments = st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 31)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)
zones = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("body", "hours"),
    [
        # RFC 5322 section 3.3 and 4.3
        (b"Mon, 23 Nov 2026 12:00:00 +0000", 0),
        (b"Mon, 23 Nov 2026 12:00:00 -0000", 0),
        (b"23 Nov 2026 13:00 +0100", 1),
        (b"23 Nov 2026 07:30:00 -0430", -4.5),
        (b"Mon, 23 Nov 2026 13:00:00 +0100 (CET)", 1),
        (b"Mon,\t23  Nov  2026  13:00:00\t+0100", 1),
        (b" (a) Mon (b), 23 (c (d)) Nov(e) 2026 13 : 00 : 00 (f) +0100 (g", 1),
        (b"Mon,23 Nov 2026 13:00:00 +0100", 1),
        (b"Mon, 23 Nov 26 12:00:00 GMT", 0),
        (b"Mon, 23 Nov 126 12:00:00 UT", 0),
        (b"mon, 23 NOV 2026 07:00:00 est", -5),
        (b"Mon, 23 Nov 2026 05:00:00 PDT", -7),
        (b"Mon, 23 Nov 2026 12:00:00 Z", 0),
        (b"Mon, 23 Nov 2026 12:00:00 A", 0),
        (b"Mon, 23 Nov 2026 12:00:00 CEST", 0),
        # What is missing, and what is wrong.
        (b"Mon, 23 Nov 2026 12:00:00", 0),
        (b"Thu, 23 Nov 2026 12:00:00 +0000", 0),
        (b"Montag, 23 November 2026 12:00:00 +0000", 0),
        (b"Mon, 23. Nov. 2026, 12:00:00 +0000", 0),
        (b"Mon, 23 Nov 2026 14:00:00 GMT+0200", 2),
        (b"Mon, 23 Nov 2026 14:00:00 +02:00", 2),
        (b"Mon, 23 Nov 2026 14:00:00 +200", 2),
        (b"Mon, 23 Nov 2026 14:00:00 +2", 2),
        (b"Mon, 23 Nov 2026 12:00:00 +0099", 0),
        (b"Mon, 23 Nov 2026 12:00:00 \"GMT\"", 0),
        (b"Mon, 23 Nov 2026 12:00:00 Europe/Berlin", 0),
        # Other programs' forms.
        (b"Mon Nov 23 12:00:00 2026", 0),
        (b"Mon Nov 23 07:00:00 EST 2026", -5),
        (b"Mon Nov 23 13:00:00 2026 +0100", 1),
        (b"Mon Nov 23 2026 13:00:00 GMT+0100 (CET)", 1),
        (b"November 23, 2026 12:00 PM", 0),
        (b"Nov 23, 2026, 1:00:00 p.m. +0100", 1),
        (b"2026-11-23T12:00:00Z", 0),
        (b"2026-11-23T13:00:00.123456+01:00", 1),
        (b"2026-11-23 13:00 +0100", 1),
        (b"2026/11/23 12:00:00", 0),
        (b"20261123T120000Z", 0),
        (b"Monday, 23-Nov-26 12:00:00 GMT", 0),
        (b"23-Nov-2026 13:00:00 +0100", 1),
        (b"23.11.2026 12:00:00", 0),
        (b"11/23/2026 12:00:00 PM", 0),
    ],
)  # fmt: skip
def test_a_date_is_a_moment(body: bytes, hours: float) -> None:
    assert date_in(body) == DateTime(NOON, int(hours * HOUR), date(2026, 11, 23))


@pytest.mark.parametrize(
    ("body", "moment", "day"),
    [
        # RFC 5322 appendix A
        (b"Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T15:55:06", date(1997, 11, 21)),
        (b"21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06", date(1997, 11, 21)),
        (b"Thu,      13\t Feb\t 1969\t 23:32\t -0330 (Newfoundland Time)", "1969-02-14T03:02", date(1969, 2, 13)),
        (b"1 Jan 49 00:00:00 +0000", "2049-01-01T00:00", date(2049, 1, 1)),
        (b"1 Jan 50 00:00:00 +0000", "1950-01-01T00:00", date(1950, 1, 1)),
        (b"1 Jan 999 00:00:00 +0000", "2899-01-01T00:00", date(2899, 1, 1)),
        (b"1 Jan 70", "1970-01-01T00:00", date(1970, 1, 1)),
        # The day that was written, whatever the moment.
        (b"Sat, 31 Dec 2016 23:59:60 +0000", "2017-01-01T00:00", date(2016, 12, 31)),
        (b"Sat, 31 Dec 2016 24:00:00 +0000", "2017-01-01T00:00", date(2016, 12, 31)),
        (b"Sat, 31 Dec 2016 23:59:59 -0800", "2017-01-01T07:59:59", date(2016, 12, 31)),
        (b"Sun, 1 Jan 2017 12:00:00 AM +1400", "2016-12-31T10:00", date(2017, 1, 1)),
        (b"1 Jan 2017 12:00:99 +0000", "2017-01-01T12:01", date(2017, 1, 1)),
        (b"Mon, 23 Nov 2026 00:00:00 +9959", "2026-11-18T20:01", date(2026, 11, 23)),
    ],
)  # fmt: skip
def test_the_day_is_the_writer_s(body: bytes, moment: str, day: date) -> None:
    found = date_in(body)
    assert found
    assert found.seconds == int(datetime.fromisoformat(moment + "+00:00").timestamp())
    assert found.day == day


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"()", b"yesterday", b"12:00:00", b"23 Nov", b"Mon, 23 Foo 2026 12:00:00 +0000",
        b"Mon, 31 Feb 2026 12:00:00 +0000", b"Mon, 0 Nov 2026 12:00:00", b"23 Nov 0 12:00",
        b"23 Nov 0000 12:00:00 +0000", b"23 Nov 20266 12:00:00 +0000", b"23 Nov 2026 25:00:00 +0000",
        b"23 Nov 2026 24:00:01 +0100 ", b"23 Nov 2026 12:60:00 +0000", b"2026-13-01", b"2026-11-31",
        b"1234567890", b"\xff\0", b"(" * 900 + b"23 Nov 2026", b" " * LONGEST_DATE + b"23 Nov 2026",
    ],
)  # fmt: skip
def test_what_is_no_date(body: bytes) -> None:
    assert date_in(body) is None


@given(moments, zones)
def test_dates_are_read_as_python_reads_them(moment: datetime, zone: timezone) -> None:
    aware = moment.replace(tzinfo=zone)
    text = format_datetime(aware)
    found = date_in(text.encode())
    assert found == DateTime(
        int(parsedate_to_datetime(text).timestamp()),
        int(zone.utcoffset(None).total_seconds()),
        moment.date(),
    )
    for form in ("%a %b %d %H:%M:%S %Y %z", "%Y-%m-%dT%H:%M:%S%z", "%d-%b-%Y %H:%M:%S %z",
                 "%B %d, %Y %I:%M:%S %p %z", "%A, %d %B %Y %H:%M:%S %z"):  # fmt: skip
        assert date_in(aware.strftime(form).encode()) == found, form


@given(moments)
def test_what_we_write_we_read(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    found = date_in(date_text(aware).encode())
    assert found == DateTime(int(aware.timestamp()), 0, moment.date())


@given(moments, zones)
def test_imap_s_form_comes_back(moment: datetime, zone: timezone) -> None:
    aware = moment.replace(tzinfo=zone)
    seconds, offset = int(aware.timestamp()), int(zone.utcoffset(None).total_seconds())
    written = imap_date_time_of(seconds, offset)
    assert len(written) == 28
    assert imap_date_time(written[1:-1]) == DateTime(seconds, offset, moment.date())


@pytest.mark.parametrize(
    ("octets", "seconds"),
    [
        (b"17-Jul-1996 02:44:25 -0700", 837596665),  # RFC 9051 section 7.5.2
        (b" 1-jan-1970 00:00:00 +0000", 0),
        (b"1-Jan-1970 00:00:00 +0000", None),
        (b"01-Jan-1970 00:00:00", None),
        (b"31-Feb-1970 00:00:00 +0000", None),
        (b"01-Foo-1970 00:00:00 +0000", None),
        (b"01-Jan-1970 24:00:00 +0000", None),
        (b"01-Jan-1970 00:00:00 +0060", None),
        (b"", None),
    ],
)
def test_imap_s_form_is_read_strictly(octets: bytes, seconds: int | None) -> None:
    found = imap_date_time(octets)
    assert (found and found.seconds) == seconds


@pytest.mark.parametrize(
    ("octets", "day"),
    [
        (b"1-Feb-1994", date(1994, 2, 1)),
        (b"01-FEB-1994", date(1994, 2, 1)),
        (b" 1-Feb-1994", None),
        (b"30-Feb-1994", None),
        (b"1-Feb-94", None),
        (b"1-Feb-1994 ", None),
        (b"", None),
    ],
)
def test_imap_s_days(octets: bytes, day: date | None) -> None:
    assert imap_date(octets) == day


@given(
    st.binary()
    | st.lists(
        st.sampled_from(
            [b"Mon", b", ", b" ", b"23", b"Nov", b"2026", b"12", b":", b"00", b"+0100", b"(", b")",
             b"-", b"T", b"GMT", b"PM", b"99999", b".", b"/", b"\xff"]
        )
    ).map(b"".join)
)  # fmt: skip
def test_nothing_is_raised(body: bytes) -> None:
    date_in(body), imap_date(body), imap_date_time(body)


@pytest.mark.parametrize(
    "unit",
    [b"a", b" ", b"1", b"1 ", b"(", b"()", b"Mon, ", b"a, ", b"23 Nov 2026 ", b":", b"+", b"\xff", b"2026-"],
)  # fmt: skip
def test_time_is_bounded(unit: bytes) -> None:
    for read in (date_in, imap_date, imap_date_time):
        in_bounded_time(read, repeated(unit))
