"""A checksum in each page: what has changed on the disk is an error and never an answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import pytest

from mailplat.mail.errors import StoreFailed
from mailplat.sql import Connection, UnusableDatabase
from mailplat.sql import connection as connections
from mailplat.sql.checksums import has_checksums
from mailplat.sql.connection import open_reader, open_writer
from mailplat.testing.workers import database_at_once

TABLE = ["CREATE TABLE seen (number INTEGER PRIMARY KEY, octets BLOB)"]


def add(db: Connection, octets: bytes) -> None:
    db.execute("INSERT INTO seen (octets) VALUES (?)", (octets,))


def seen(db: Connection) -> list[bytes]:
    return [octets for [octets] in db.all("SELECT octets FROM seen")]


async def made(path: Path) -> None:
    database = database_at_once(path)
    await database.open()
    await database.migrate("tests", TABLE)
    for letter in b"abc":
        await database.write(add, bytes([letter]) * 3000)
    await database.close()


async def test_a_changed_octet_is_an_error(tmp_path: Path) -> None:
    await made(path := tmp_path / "mail.db")
    octets = path.read_bytes()
    at = octets.index(b"bbbb") + 10
    path.write_bytes(octets[:at] + b"X" + octets[at + 1 :])
    database = database_at_once(path)
    await database.open()
    with pytest.raises(StoreFailed, match="could not be read"):
        await database.read(seen)
    await database.close()


async def test_a_file_is_not_written_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(path := tmp_path / "mail.db")
    monkeypatch.setattr(connections, "CHECKED", None)
    with pytest.raises(UnusableDatabase, match="needs the extension cksumvfs"):
        open_writer(path, durable=True)


async def test_a_file_that_has_none_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr(connections, "CHECKED", None)
        await made(path := tmp_path / "mail.db")
    await made_again(path)
    reader = open_reader(path)
    assert not has_checksums(reader.native)
    assert len(seen(reader)) == 4
    reader.close()


async def made_again(path: Path) -> None:
    database = database_at_once(path)
    await database.open()
    await database.write(add, b"d")
    await database.close()


async def test_they_outlive_a_crash(tmp_path: Path) -> None:
    """What is in the log only goes into the database, with checksums, at the next start."""
    path, copy = tmp_path / "mail.db", tmp_path / "copy.db"
    database = database_at_once(path)
    await database.open()
    await database.migrate("tests", TABLE)
    for letter in b"abc":
        await database.write(add, bytes([letter]) * 3000)
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{copy}{end}")
    await database.close()
    await made_again(copy)
    reader = open_reader(copy)
    assert has_checksums(reader.native)
    assert [one[:1] for one in seen(reader)] == [b"a", b"b", b"c", b"d"]
    assert reader.all("PRAGMA integrity_check") == [("ok",)]
    reader.close()
    assert apsw.vfs_names()[0] == "unix"


@pytest.mark.parametrize("octets", [0, 1, 511, 2000, 4095, 8191])
async def test_a_file_that_lost_its_end_is_not_taken_for_a_new_one(
    tmp_path: Path, octets: int
) -> None:
    await made(path := tmp_path / "mail.db")
    path.write_bytes(path.read_bytes()[:octets])
    with pytest.raises(UnusableDatabase, match=f"is cut off: it has {octets} octets"):
        open_writer(path, durable=True)
    assert path.stat().st_size == octets
    path.unlink()
    open_writer(path, durable=True).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["mail.db"]
