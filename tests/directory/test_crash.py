"""Whenever the machine stops, what was said about an account or alias stays true."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from pathlib import Path

from mailplat.directory.directory import Directory, DirectorySettings
from mailplat.sql import SqliteDatabase
from mailplat.testing.crash import explore
from mailplat.testing.disk import FakeVfs, Tape, quick_folder
from mailplat.testing.fakes import FakeBus
from mailplat.testing.workers import database_at_once, workers_at_once

ALICE, BOB = "alice@example.org", "bob@example.org"


async def opened(database: SqliteDatabase) -> Directory:
    await database.open()
    directory = Directory(DirectorySettings(), database, workers_at_once(), FakeBus())
    await directory.prepare()
    return directory


async def play(folder: Path, tape: Tape) -> None:
    with FakeVfs(tape) as vfs:
        database = database_at_once(folder / "mail.db", vfs=vfs.name)
        directory = await opened(database)
        await directory.add_domain("example.org", ALICE)
        tape.acknowledge("domain")
        for name in (ALICE, BOB):
            await directory.add_account(name, b"first")
            tape.acknowledge((name, 1))
        await directory.set_password(ALICE, b"second")
        tape.acknowledge((ALICE, 2))
        await directory.add_alias("both@example.org", [ALICE, BOB])
        tape.acknowledge("alias")
        await directory.remove_account(BOB)
        tape.acknowledge("bob is gone")
        await database.close()


async def recover(folder: Path) -> Collection[Hashable]:
    database = database_at_once(folder / "mail.db")
    directory = await opened(database)
    facts: set[Hashable] = {domain.name and "domain" for domain in await directory.domains()}
    accounts = {one.name: one.credential_version for one in await directory.accounts()}
    for name, version in accounts.items():
        facts |= {(name, known) for known in range(1, version + 1)}
    aliases = {alias.source: alias.targets for alias in await directory.aliases()}
    await database.close()
    assert facts or not aliases
    if "both@example.org" in aliases:
        facts.add("alias")
        assert set(aliases["both@example.org"]) == set(accounts)
        if BOB not in accounts:
            facts |= {"bob is gone", (BOB, 1)}
    return facts


async def test_every_crash_keeps_what_was_answered() -> None:
    with quick_folder() as folder:
        tape = Tape(folder)
        await play(folder, tape)
        explored = await explore(tape, recover)
    assert explored.folders > 100
