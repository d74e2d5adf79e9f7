"""Dates of messages, read in every form that mail has, and written (RFC 5322 section 3.3).

Read are also the obsolete forms (section 4.3), what C's ``asctime`` writes,
ISO 8601, the date-time of IMAP, and what programs make of these.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import attrs

from mailplat.mail.comments import without_comments

LONGEST_DATE = 1000  # octets in which a date must stand, its comments counted

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_MONTH_NUMBERS = {name.lower().encode(): number for number, name in enumerate(_MONTHS, 1)}
_THE_EPOCH = date(1970, 1, 1).toordinal()
_NORTH_AMERICA = {  # hours; all other names of zones say nothing (RFC 5322 section 4.3)
    b"EST": -5, b"EDT": -4, b"CST": -6, b"CDT": -5, b"MST": -7, b"MDT": -6, b"PST": -8, b"PDT": -7,
}  # fmt: skip


@attrs.frozen
class DateTime:
    """What a date says: the moment, and how it was put.

    ``seconds`` are since 1970, ``offset`` those by which the writer's clock is
    ahead of UTC, 0 if that isn't said.  ``day`` is the day as it was written,
    by the writer's calendar: what SENTON and its like of IMAP compare, which
    disregard time and zone (RFC 9051 section 6.4.4).
    """

    seconds: int
    offset: int
    day: date


# Reading ---------------------------------------------------------------------

_USUAL = re.compile(
    rb"(?:[A-Za-z]{3}, )?+(\d{1,2}) ([A-Za-z]{3}) (\d{4}) ([01]\d|2[0-3]):([0-5]\d):([0-5]\d)"
    rb" ([+-]\d\d)([0-5]\d)(?: \(|\Z)"
)
_CLOCK = rb"""
    (?: [ ,T:-]{0,3}+
        (?P<hour>\d{1,2}) [ ]?[:.][ ]? (?P<minute>\d{1,2})
        (?: [ ]?[:.][ ]? (?P<second>\d{1,2}) (?:[.,]\d{1,9})?+ )?+
        (?: [ ]? (?P<half>[AaPp])[.]?[Mm]\b[.]? )?+ )
    """
_ZONE = rb"""
    (?: [ ]? (?: [A-Za-z]{1,5} [ ]? (?=[+-]) )?+
        (?: (?P<east>[+-][ ]?\d{1,2}) :? (?P<eastern>[0-5]\d)? (?!\d)
          | (?P<zone>[A-Za-z]{1,5})\b ) )?+
    """
_WEEKDAY = rb"(?:(?:[Mm]on|[Tt]ue|[Ww]ed|[Tt]hu|[Ff]ri|[Ss]at|[Ss]un)[a-z]*+[ .,]*+)?+"
_MONTH = rb"(?P<month>[A-Za-z]{3}) [A-Za-z]{0,9}+ [.]?"
_ODD = [
    re.compile(pattern, re.VERBOSE)
    for pattern in (
        # 23 Nov 2026, 23-Nov-26, in any language that has such months
        rb"(?:[^\d:]{2,15}?[ .,]{1,3})?+ (?P<day>\d{1,2}) [ ./-]{0,3}+" + _MONTH
        + rb"[ ,./-]{0,3}+ (?P<year>\d{2,4})(?!\d)(?:" + _CLOCK + _ZONE + rb")?+",
        # Nov 23 12:00:00 2026, as asctime and date(1) write it
        _WEEKDAY + _MONTH + rb"[ ] (?P<day>\d{1,2})" + _CLOCK
        + rb"(?:[ ](?P<named>[A-Za-z]{1,5}))?+ [ ] (?P<year>\d{4})(?!\d)" + _ZONE,
        # November 23, 2026
        _WEEKDAY + _MONTH + rb"[ ] (?P<day>\d{1,2}) [ ,]{1,3}+ (?P<year>\d{4})(?!\d)(?:"
        + _CLOCK + _ZONE + rb")?+",
        # 2026-11-23T12:00:00Z, 20261123T120000Z
        _WEEKDAY + rb"(?P<year>\d{4}) ([./-]) (?P<number>\d{1,2}) \2 (?P<day>\d{1,2})(?!\d)(?:"
        + _CLOCK + _ZONE + rb")?+",
        rb"(?P<year>\d{4})(?P<number>\d\d)(?P<day>\d\d) [T ]?"
        rb"(?:(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?)?+(?!\d)" + _ZONE,
        # 23.11.2026, 11/23/2026
        _WEEKDAY + rb"(?P<day>\d{1,2})[.](?P<number>\d{1,2})[.](?P<year>\d{4})(?!\d)(?:"
        + _CLOCK + _ZONE + rb")?+",
        _WEEKDAY + rb"(?P<number>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})(?!\d)(?:"
        + _CLOCK + _ZONE + rb")?+",
    )
]  # fmt: skip


def date_in(body: bytes) -> DateTime | None:
    """Read a field's date; None if it can't be understood, nothing is raised.

    Years of two and three digits, names of zones and comments are read as RFC
    5322 section 4.3 says.  What is missing of the time is midnight, and a date
    without a zone is taken for UTC.  Whether the day of the week is right doesn't
    matter.
    """
    if usual := _USUAL.match(body):
        day, month, year, hour, minute, second, east, eastern = usual.groups()
        seconds = int(hour) * 3600 + int(minute) * 60 + int(second)
        number = _MONTH_NUMBERS.get(month.lower(), 0)
        return _date_time(int(year), number, int(day), seconds, _offset(east, eastern))
    text = b" ".join(without_comments(body[:LONGEST_DATE]).split())
    for pattern in _ODD:
        if found := pattern.match(text):
            return _odd_date(found.groupdict(default=b""))
    return None


def _odd_date(part: dict[str, bytes]) -> DateTime | None:
    """Make a date of its parts by their names, empty ones missing."""
    hour, minute, second = (int(part.get(name) or 0) for name in ("hour", "minute", "second"))
    if half := part.get("half"):
        hour = hour % 12 + 12 * (half in b"Pp")
    time = hour * 3600 + minute * 60 + min(second, 60)
    if minute > 59 or time > 86400:
        return None
    month = _MONTH_NUMBERS.get(part.get("month", b"").lower(), 0) or int(
        part.get("number") or 0
    )
    if part.get("east"):
        offset = _offset(part["east"].replace(b" ", b""), part["eastern"])
    else:
        zone = part.get("zone") or part.get("named") or b""
        offset = _NORTH_AMERICA.get(zone.upper(), 0) * 3600
    return _date_time(_full_year(part["year"]), month, int(part["day"]), time, offset)


def _full_year(digits: bytes) -> int:
    """Return the year that two or three digits mean (RFC 5322 section 4.3)."""
    year = int(digits)
    return year + {4: 0, 3: 1900}.get(len(digits), 2000 if year < 50 else 1900)


def _offset(hours: bytes, minutes: bytes) -> int:
    east = int(hours[1:]) * 3600 + int(minutes or 0) * 60
    return -east if hours.startswith(b"-") else east


def _date_time(year: int, month: int, day: int, time: int, offset: int) -> DateTime | None:
    try:
        written = date(year, month, day)
    except ValueError:
        return None
    days = written.toordinal() - _THE_EPOCH
    return DateTime(days * 86400 + time - offset, offset, written)


# Writing ---------------------------------------------------------------------


def date_text(moment: datetime) -> str:
    """Return a moment as fields of a message have it (RFC 5322 section 3.3), in UTC."""
    at = moment.astimezone(UTC)
    return (
        f"{_DAYS[at.weekday()]}, {at.day} {_MONTHS[at.month - 1]} {at.year:04}"
        f" {at.hour:02}:{at.minute:02}:{at.second:02} +0000"
    )


# As IMAP has them (RFC 9051 section 9) ------------------------------------------

_IMAP_DATE = re.compile(rb"(\d{1,2})-([A-Za-z]{3})-(\d{4})")
_IMAP_DATE_TIME = re.compile(
    rb"([ 0-3]\d)-([A-Za-z]{3})-(\d{4}) ([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60) ([+-]\d\d)([0-5]\d)"
)


def imap_date(octets: bytes) -> date | None:
    """Read a ``date`` of IMAP without its quotes; None if it is none."""
    found = _IMAP_DATE.fullmatch(octets)
    parsed = found and _date_time(
        int(found[3]), _MONTH_NUMBERS.get(found[2].lower(), 0), int(found[1]), 0, 0
    )
    return parsed.day if parsed else None


def imap_date_time(octets: bytes) -> DateTime | None:
    """Read a ``date-time`` of IMAP without its quotes; None if it is none."""
    found = _IMAP_DATE_TIME.fullmatch(octets)
    if not found:
        return None
    day, month, year, hour, minute, second, east, eastern = found.groups()
    time = int(hour) * 3600 + int(minute) * 60 + int(second)
    number = _MONTH_NUMBERS.get(month.lower(), 0)
    return _date_time(int(year), number, int(day), time, _offset(east, eastern))


def imap_date_time_of(seconds: int, offset: int = 0) -> bytes:
    """Return a moment as a ``date-time`` of IMAP, quotes included.

    ``seconds`` are since 1970, ``offset`` those by which its zone is ahead of
    UTC.  Raises `ValueError` or `OverflowError` outside the years 1 to 9999.
    """
    day, time = divmod(seconds + offset, 86400)
    at = date.fromordinal(day + _THE_EPOCH)
    hours, minutes = divmod(abs(offset) // 60, 60)
    return b'"%2d-%b-%04d %02d:%02d:%02d %b%02d%02d"' % (
        at.day,
        _MONTHS[at.month - 1].encode(),
        at.year,
        time // 3600,
        time // 60 % 60,
        time % 60,
        b"-" if offset < 0 else b"+",
        hours,
        minutes,
    )
