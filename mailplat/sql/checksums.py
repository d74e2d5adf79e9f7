"""A checksum in each page of an SQLite file, so that nothing in it changes unseen.

SQLite's own shim for that (ext/misc/cksumvfs.c) comes with apsw.  It writes a
checksum into the last 8 octets of each page and compares it whenever a page is read;
a page that has changed is an error, whatever it holds.
"""

from __future__ import annotations

import apsw
import apsw.sqlite_extra

EXTENSION = "cksumvfs"
RESERVED = 8  # octets at the end of each page, and what the file's header says of it
TELLS = apsw.SQLITE_IOERR_DATA  # SQLite's word for a page whose checksum is another


def _register() -> str | None:
    """Make the shim known to SQLite, once a process; return its name.

    None where this build of apsw has none.
    """
    if not apsw.sqlite_extra.has(EXTENSION):
        return None
    usual = apsw.vfs_names()[0]
    connection = apsw.Connection(":memory:")
    try:
        apsw.sqlite_extra.load(connection, EXTENSION)
    finally:
        connection.close()
        apsw.set_default_vfs(usual)
    return "cksmvfs"


CHECKED = _register()
"""The way to the disk that checks each page; None where there is none."""


def wants_checksums(native: apsw.Connection) -> None:
    """Let a file that is still empty have checksums, if it was opened by `CHECKED`."""
    [[pages]] = native.execute("PRAGMA page_count")
    if not pages and native.open_vfs == CHECKED:
        native.reserve_bytes(None, RESERVED)


def has_checksums(native: apsw.Connection) -> bool:
    """Say whether the file's pages have checksums."""
    return native.reserve_bytes(None, -1) == RESERVED


def is_changed_page(error: BaseException) -> bool:
    """Say whether SQLite has met a page that has changed since it was written."""
    return getattr(error, "extendedresult", 0) == TELLS


def words_of(error: BaseException) -> str:
    """Return what to say of an error of SQLite's."""
    if is_changed_page(error):
        return "a page of it has changed since it was written; `mailplat verify` says which"
    return str(error)
