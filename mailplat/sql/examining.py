"""Whether an SQLite file's pages are what was written, looked at some at a time."""

from __future__ import annotations

from pathlib import Path

import apsw

from mailplat.sql.checksums import has_checksums, is_changed_page
from mailplat.sql.connection import SqliteConnection

AT_ONCE = 1024  # pages in one unit of work
TRIES = 3  # a page that is just being written may look wrong once


def changed_pages(db: SqliteConnection, first: int) -> tuple[list[int], list[int], int]:
    """Return which of some pages have changed, which are empty, and where to go on.

    One begins at 1.  The latter is 0 at the end; also where the file has no checksums.
    An empty page has the checksum that it should have: `in_use` tells if that is right.
    """
    [[size]] = db.all("PRAGMA page_size")
    [[pages]] = db.all("PRAGMA page_count")
    if not has_checksums(db.native):
        return [], [], 0
    in_file = min(pages, Path(db.native.filename).stat().st_size // size)  # or in the log
    behind = min(first + AT_ONCE, in_file + 1)
    changed, empty, nothing = [], [], bytes(size)
    for number in range(first, behind):
        octets = _page(db.native, number, size)
        if octets is None:
            changed.append(number)
        elif octets == nothing:
            empty.append(number)
    return changed, empty, behind if behind <= in_file else 0


def in_use(db: SqliteConnection, numbers: list[int]) -> list[int]:
    """Return those of the pages that hold something of a table or an index."""
    wanted = set(numbers)
    return [number for [number] in db.all("SELECT pageno FROM dbstat") if number in wanted]


def _page(native: apsw.Connection, number: int, size: int) -> bytes | None:
    """Return a page, or None if it has changed."""
    for _ in range(TRIES):
        try:
            _, octets = native.read("main", 0, (number - 1) * size, size)
        except apsw.IOError as error:
            if not is_changed_page(error):
                raise
        else:
            return octets
    return None
