"""Whether an SQLite file's pages are what was written, looked at some at a time."""

from __future__ import annotations

from pathlib import Path

import apsw

from mailplat.sql.checksums import has_checksums, is_changed_page
from mailplat.sql.connection import SqliteConnection

AT_ONCE = 1024  # pages in one unit of work
TRIES = 3  # a page that is just being written may look wrong once


def changed_pages(db: SqliteConnection, first: int) -> tuple[list[int], int]:
    """Return which of some pages from one on have changed unseen, and where to go on.

    The latter is 0 at the end; also where the file has no checksums.
    """
    [[size]] = db.all("PRAGMA page_size")
    [[pages]] = db.all("PRAGMA page_count")
    if not has_checksums(db.native):
        return [], 0
    in_file = min(
        pages, Path(db.native.filename).stat().st_size // size
    )  # others are in the log still
    behind = min(first + AT_ONCE, in_file + 1)
    found = [number for number in range(first, behind) if _is_changed(db.native, number, size)]
    return found, behind if behind <= in_file else 0


def _is_changed(native: apsw.Connection, number: int, size: int) -> bool:
    for _ in range(TRIES):
        try:
            native.read("main", 0, (number - 1) * size, size)
        except apsw.IOError as error:
            if not is_changed_page(error):
                raise
        else:
            return False
    return True
