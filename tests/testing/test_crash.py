"""The crash explorer passes flows that are right, and catches those that are wrong."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from mailplat.sql import Connection
from mailplat.testing.crash import Explored, Lost, explore
from mailplat.testing.disk import FakeDisk, FakeVfs, SyncFolder, Tape
from mailplat.testing.workers import database_at_once

TABLE = ["CREATE TABLE seen (number INTEGER PRIMARY KEY, octets BLOB)"]


def add(db: Connection, number: int) -> None:
    db.execute("INSERT INTO seen VALUES (?, ?)", (number, b"x" * 3000))


def remove(db: Connection, number: int) -> None:
    db.execute("DELETE FROM seen WHERE number = ?", (number,))


def seen(db: Connection) -> list[int]:
    assert db.all("PRAGMA integrity_check") == [("ok",)]
    return [number for (number,) in db.all("SELECT number FROM seen")]


async def play(folder: Path, tape: Tape, *, durable: bool) -> None:
    """Write into a database, and tell what was written when it is durable."""
    with FakeVfs(tape) as vfs:
        database = database_at_once(folder / "mail.db", vfs=vfs.name, durable=durable)
        await database.open()
        await database.migrate("tests", TABLE)
        for number in range(4):
            await database.write(add, number)
            tape.acknowledge(number)
        await database.write(remove, 0)
        await database.close()


async def numbers(folder: Path) -> Collection[int]:
    database = database_at_once(folder / "mail.db")
    await database.open()
    await database.migrate("tests", TABLE)
    found = await database.read(seen)
    await database.close()
    return [*found, 0]  # which is added and removed again


async def recorded(folder: Path, *, durable: bool) -> Tape:
    tape = Tape(folder)
    await play(folder, tape, durable=durable)
    return tape


async def test_a_durable_database_survives_every_crash(tmp_path: Path) -> None:
    explored = await explore(await recorded(tmp_path, durable=True), numbers)
    assert explored.folders > 100


async def test_a_database_without_syncs_is_caught(tmp_path: Path) -> None:
    with pytest.raises(Lost):
        await explore(await recorded(tmp_path, durable=False), numbers)


# Files.

CONTENT = b"0123456789" * 120  # more than two sectors


def keep(disk: FakeDisk, folder: Path, *, sync: bool = True, sync_folder: bool = True) -> None:
    """Put a file into a folder the way a maildir does, with or without its syncs."""
    file = disk.create(folder / "tmp")
    disk.write(file, CONTENT)
    if sync:
        disk.sync(file)
    disk.link(folder / "tmp", folder / "message")
    disk.unlink(folder / "tmp")
    if sync_folder:
        disk.sync_folder(folder)


async def messages(folder: Path) -> Collection[str]:
    kept = folder / "message"
    return ["kept"] if kept.exists() and kept.read_bytes() == CONTENT else []


@pytest.mark.parametrize("left_out", [None, "sync", "sync_folder"])
async def test_files_need_both_syncs(tmp_path: Path, left_out: str | None) -> None:
    tape = Tape(tmp_path)
    keep(FakeDisk(tape), tmp_path, **({left_out: False} if left_out else {}))
    tape.acknowledge("kept")
    if left_out:
        with pytest.raises(Lost, match="'kept'"):
            await explore(tape, messages)
    else:
        explored = await explore(tape, messages)
        assert explored.crashes > 10


async def test_a_folder_is_made_durable_with_what_is_in_it(tmp_path: Path) -> None:
    """Its own names may be synced: it is lost with them as long as it has none."""
    tape = Tape(tmp_path)
    disk = FakeDisk(tape)
    disk.make_folder(tmp_path / "shelf")
    keep(disk, tmp_path / "shelf")
    tape.acknowledge("kept")

    async def found(folder: Path) -> Collection[str]:
        return await messages(folder / "shelf") if (folder / "shelf").exists() else []

    assert (await explore(tape, found)).crashes > 10
    tape.operations.remove(SyncFolder(Path()))
    with pytest.raises(Lost, match="'kept'"):
        await explore(tape, found)


async def test_telling_too_early_is_caught(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.acknowledge("kept")
    keep(FakeDisk(tape), tmp_path)
    with pytest.raises(Lost):
        await explore(tape, messages)


async def test_a_replaced_file_is_old_or_new(tmp_path: Path) -> None:
    old, new = b"old" * 400, b"new" * 400
    tape = Tape(tmp_path)
    disk = FakeDisk(tape)
    disk.replace(tmp_path / "settings", old)
    tape.acknowledge("old or new")
    disk.replace(tmp_path / "settings", new)
    tape.acknowledge("new")

    async def recover(folder: Path) -> Collection[str]:
        found = folder / "settings"
        octets = found.read_bytes() if found.exists() else None
        assert octets in (None, old, new)
        return {None: [], old: ["old or new"], new: ["old or new", "new"]}[octets]

    explored = await explore(tape, recover)
    assert explored.folders > 5


async def test_what_recovery_raises_names_the_crash(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    keep(FakeDisk(tape), tmp_path)

    async def recover(folder: Path) -> Collection[str]:
        raise ValueError("can't start")

    with pytest.raises(ValueError, match="can't start") as caught:
        await explore(tape, recover)
    assert caught.value.__notes__ == ["crash after 0, all written"]
    assert await explore(Tape(tmp_path), messages) == Explored(1, 1)
