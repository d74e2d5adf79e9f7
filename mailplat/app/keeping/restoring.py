"""Puts a generation of a backup back, as a state folder that no server holds."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailplat.app.keeping.chunks import Damaged, held, make_folders
from mailplat.app.keeping.manifest import (
    CONFIGURATION,
    DATABASE,
    OUTSIDE,
    STATE,
    Backup,
    Manifest,
)
from mailplat.app.keeping.tables import has_tables, put_back
from mailplat.app.lock import Lock
from mailplat.mail.errors import NotPermitted
from mailplat.queue.queries.steering import hold_all
from mailplat.sql.connection import SqliteConnection, open_writer
from mailplat.store.indexed.queries.renewal import forget_shown, renew

if TYPE_CHECKING:
    from mailplat.sql.postgres import Target

Tell = Callable[[int, int, float], None]

STAGING = ".restoring"
BESIDE = "restored"  # where the configuration and certificates of then are put
HELD = "restored from a backup: it may have been delivered since"
HARMLESS = ("lock", "lost+found", STAGING)  # what an empty state folder may hold


def insist_on_sound(backup: Backup, manifest: Manifest) -> None:
    """Raise `Damaged` unless everything in a generation is what was written."""
    if problems := backup.problems(manifest):
        raise _damaged(manifest, problems)


def check(backup: Backup, manifest: Manifest) -> None:
    """Raise `Damaged` likewise, when what is damaged has been set aside.

    Raises `InUse` while a backup is made, and whatever a disk raises.
    """
    with held(backup.folder):
        if problems := backup.problems(manifest, set_aside=True):
            raise _damaged(
                manifest, problems, "The next backup keeps anew what there still is."
            )


def _damaged(manifest: Manifest, problems: Sequence[str], *more: str) -> Damaged:
    return Damaged(
        "\n".join([f"the generation {manifest.generation} is damaged:", *problems, *more])
    )


def restore(
    backup: Backup,
    manifest: Manifest,
    state: Path,
    *,
    nothing_served: bool = False,
    target: Target | None = None,
    tell: Tell = lambda _files, _octets, _share: None,
) -> dict[str, Any]:
    """Put a generation into an empty state folder; blocks.

    It is put aside first and gets its place when all of it is durable, the mail first.
    Tables of a server are put into ``target``, which has to be empty too.
    ``nothing_served`` says that no client has seen anything that came after the backup;
    else each mailbox gets another UIDVALIDITY, and what was queued is held, since it may
    have been delivered.  Raises `Locked` where a server runs,
    `NotPermitted` where the folder is not empty, and `Damaged`.  ``tell`` is called with
    how many files and octets have been written, and what share of all.
    """
    make_folders(backup.disk, state)
    lock = Lock.take(state)
    try:
        in_the_way = sorted(path.name for path in state.iterdir() if path.name not in HARMLESS)
        if in_the_way:
            raise NotPermitted(f"{state} is not empty: there is {', '.join(in_the_way[:5])}")
        insist_on_sound(backup, manifest)
        staging = state / STAGING
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        put_aside(backup, manifest, staging, tell)
        _renew(staging, nothing_served=nothing_served)
        if has_tables(manifest):
            put_back(backup, manifest, target, nothing_served=nothing_served)
        _give_places(backup, staging, state)
        return {
            "generation": manifest.generation,
            "state": str(state),
            "files": len(manifest.files),
            "size": manifest.size,
            "configuration": str(state / BESIDE),
        }
    finally:
        lock.release()


def put_aside(
    backup: Backup,
    manifest: Manifest,
    folder: Path,
    tell: Tell = lambda _files, _octets, _share: None,
) -> None:
    """Write all files of a generation into a folder; the state folder's own to its top."""
    octets, whole = 0, max(manifest.size, 1)
    for count, file in enumerate(manifest.files):
        tell(count, octets, octets / whole)
        octets += file.size
        top, *rest = file.path.parts
        if top == DATABASE:
            continue  # which goes to its server
        places = {STATE: [], CONFIGURATION: [BESIDE], OUTSIDE: [BESIDE, OUTSIDE]}
        if top not in places:
            raise Damaged(f"nobody knows what {file.name} belongs to")
        backup.put(file, folder.joinpath(*places[top], *rest))


def databases_in(folder: Path) -> list[Path]:
    """Return the databases at the top of a folder."""
    return [path for path in sorted(folder.glob("*.db")) if path.is_file()]


def _renew(folder: Path, *, nothing_served: bool) -> None:
    for path in databases_in(folder):
        database = open_writer(path, durable=True)
        try:
            database.run("BEGIN IMMEDIATE")
            forget_shown(database)
            if _has(database, "store_accounts") and not nothing_served:
                renew(database, time.time())
            if _has(database, "queue_messages") and not nothing_served:
                hold_all(database, HELD)
            database.run("COMMIT")
        finally:
            database.close()


def _has(database: SqliteConnection, table: str) -> bool:
    return table in database.tables()


def _give_places(backup: Backup, staging: Path, state: Path) -> None:
    """Move what was put aside to where a server looks for it, the databases first."""
    owner = state.stat()
    databases = databases_in(staging)
    for path in [*databases, *sorted(set(staging.iterdir()) - set(databases))]:
        if os.geteuid() == 0:  # whoever owns the folder will want to open it
            for one in [path, *path.rglob("*")]:
                os.chown(one, owner.st_uid, owner.st_gid)
        backup.disk.rename(path, state / path.name)
    backup.disk.sync_folder(state)
    staging.rmdir()
