"""The database of a house on PostgreSQL, as files of a backup."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from mailplat.app.keeping.chunks import Damaged
from mailplat.app.keeping.manifest import DATABASE, Backup, KeptFile, Manifest
from mailplat.mail.errors import NotPermitted
from mailplat.sql import Connection
from mailplat.store.indexed.queries.renewal import forget_shown, renew

if TYPE_CHECKING:
    from mailplat.sql.postgres import PostgresDatabase, Target

STATEMENTS = f"{DATABASE}/tables.json"
ROWS = ".copy"  # what names of files with rows end with

Keep = Callable[[str, AsyncIterator[bytes]], Coroutine[Any, Any, KeptFile]]


async def kept_tables(database: PostgresDatabase, keep: Keep) -> list[KeptFile]:
    """Keep all tables as they are at one moment, which is when this begins."""
    moment = database.moment()
    try:
        statements = await moment.open()
        told = {"tables": statements.tables, "keys": statements.keys}

        async def once() -> AsyncIterator[bytes]:
            yield json.dumps(told, indent=1).encode()

        pieces = {STATEMENTS: once()} | {
            f"{DATABASE}/{table}{ROWS}": moment.pieces(table) for table in moment.tables
        }
        return [await keep(name, octets) for name, octets in pieces.items()]
    finally:
        await moment.close()


def has_tables(manifest: Manifest) -> bool:
    """Say whether a generation is of a house on PostgreSQL."""
    return STATEMENTS in manifest.named


def put_back(
    backup: Backup, manifest: Manifest, target: Target | None, *, nothing_served: bool
) -> None:
    """Fill an empty database with a generation's tables; blocks.

    Raises `NotPermitted` where there is none, or it is not empty, and `StoreFailed`.
    """
    if target is None:
        raise NotPermitted(
            "this is the backup of a house on PostgreSQL: [database] url of the configuration"
            " has to name an empty database there"
        )
    from mailplat.sql.postgres import Statements, fill

    named = manifest.named
    told = json.loads(b"".join(_octets(backup, named[STATEMENTS])))
    if not isinstance(told, dict):
        raise Damaged(f"{STATEMENTS} is not what was written")
    statements = Statements(tuple(told["tables"]), tuple(told["keys"]))
    tables = {
        file.path.name.removesuffix(ROWS): _octets(backup, file)
        for name, file in named.items()
        if name.startswith(f"{DATABASE}/") and name.endswith(ROWS)
    }

    def then(db: Connection) -> None:
        forget_shown(db)
        if not nothing_served and "store_accounts" in db.tables():
            renew(db, time.time())

    fill(target, statements, tables, then)


def _octets(backup: Backup, file: KeptFile) -> Iterator[bytes]:
    return map(backup.chunks.read, file.chunks)
