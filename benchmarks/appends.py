"""Durable appends of 5 KB to a database, beside the same rows without a store.

The bare side has the rows ready and adds those of as many messages as there are callers
in each commit: it numbers nothing, looks nothing up, and nobody waits for it.  Each side
runs in a process of its own: ``python -m benchmarks.appends SIDE CALLERS URL FOLDER``.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.beside import Pair, in_a_process
from benchmarks.contents import as_server, letter

SQLITE = "sqlite"
ROUNDS = 3


def pair(kind: str, callers: int, folder: Path) -> Pair:
    """Measure both sides in turns; return the best rates, in messages a second."""
    from mailplat.testing.postgres import PostgresServer, programs

    best = {"bare": 0.0, "ours": 0.0}
    with ExitStack() as stack:
        if kind != SQLITE:
            found = programs()
            assert found, "there is no PostgreSQL"
            server = stack.enter_context(PostgresServer.running(found))
        for _ in range(ROUNDS):
            for side in best:
                with ExitStack() as round_:
                    url = SQLITE
                    if kind != SQLITE:
                        url = round_.enter_context(server.database()).url
                    rate = in_a_process("appends", folder, side, str(callers), url)
                best[side] = max(best[side], rate)
    return Pair(best["bare"], best["ours"])


def database_at(url: str, folder: Path, reactor: Any) -> Any:
    """Return the database of a side, still to be opened."""
    if url == SQLITE:
        from mailplat.sql import SqliteDatabase

        return SqliteDatabase(folder / "mail.db", reactor)
    from mailplat.sql.postgres import PostgresDatabase, Target

    return PostgresDatabase(Target(url), reactor)


def messages_of(callers: int) -> int:
    """Return how many messages each of so many callers appends."""
    return max(60, 600 // callers)


async def ours(folder: Path, reactor: Any, callers: int, url: str) -> float:
    """Append to as many accounts as there are callers, one message after the other."""
    from twisted.internet.defer import Deferred

    from mailplat.bus import Bus
    from mailplat.mail.people import AccountId
    from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
    from mailplat.testing.fakes import new_message

    database = database_at(url, folder, reactor)
    await database.open()
    settings = IndexedStoreSettings(index=False)
    store = IndexedStore(settings, database, Bus(reactor), reactor, reactor)
    await store.prepare()
    each = messages_of(callers)
    accounts = [await store.open(AccountId(f"a{n}")) for n in range(callers)]
    messages = [new_message(letter(n)) for n in range(callers * 2 * each)]

    async def call(number: int, start: int) -> None:
        account = accounts[number]
        [inbox] = await account.mailboxes()
        for message in messages[start + number : start + callers * each : callers]:
            await account.append(inbox.id, [message])

    async def call_all(start: int) -> None:
        work = [Deferred.fromCoroutine(call(number, start)) for number in range(callers)]
        for one in work:
            await one

    await call_all(0)
    began = monotonic()
    await call_all(callers * each)
    rate = callers * each / (monotonic() - began)
    store.finish()
    await database.close()
    return rate


async def tables(folder: Path, reactor: Any, url: str) -> None:
    """Make the tables, and the mailboxes of as many accounts as there can be callers."""
    from mailplat.sql import steps_of

    database = database_at(url, folder, reactor)
    await database.open()
    await database.migrate("store", steps_of("mailplat.store.indexed", database.dialect))
    await database.close()


def bare(folder: Path, callers: int, url: str) -> float:
    """Add the rows of as many messages as there are callers, and commit, again and again."""
    as_server(partial(tables, url=url), folder)
    if url == SQLITE:
        from mailplat.sql.connection import open_writer

        connection: Any = open_writer(folder / "mail.db", durable=True)
    else:
        from mailplat.sql.postgres import Target
        from mailplat.sql.postgres.opening import open_writer as open_postgres

        connection = open_postgres(Target(url), "bare", shared=True)
    for number in range(callers):
        account = f"a{number}"
        accounts = "INSERT INTO store_accounts VALUES (?, 1, 1, 1, 0)"
        connection.execute(accounts, (account,))
        mailboxes = (
            "INSERT INTO store_mailboxes VALUES (?, 1, 'INBOX', '', 1, 1, 1, 0, 0, 0, 0)"
        )
        connection.execute(mailboxes, (account,))
    groups = [_rows(group, callers) for group in range(2 * messages_of(callers))]
    half = len(groups) // 2
    for group in groups[:half]:
        _commit(connection, group)
    began = monotonic()
    for group in groups[half:]:
        _commit(connection, group)
    rate = half * callers / (monotonic() - began)
    connection.close()
    return rate


Rows = dict[str, list[tuple[Any, ...]]]

ACCOUNTS = (
    "UPDATE store_accounts SET modseq = column2"
    " FROM (VALUES {rows}) AS new WHERE account = column1"
)
MAILBOXES = (
    "UPDATE store_mailboxes SET uid_next = uid_next + 1, messages = messages + 1,"
    " unseen = unseen + 1, size = size + column2, modseq = column3"
    " FROM (VALUES {rows}) AS new WHERE account = column1 AND mailbox = 1"
)


def _rows(group: int, callers: int) -> Rows:
    """Return what is added of one message of each caller, by the statement that does it."""
    from mailplat.testing.fakes import new_message

    rows: Rows = {}
    for number in range(callers):
        email, modseq, account = group * callers + number + 1, group + 2, f"a{number}"
        octets = letter(email)
        message = new_message(octets)
        summary, size = message.summary, len(octets)
        reference = f"{email:012d}".encode()
        for table, row in (
            ("emails", (email, account, None, size, 1.5, 1, summary.octets)),
            ("contents", (email << 20, account, octets)),
            ("messages", (account, 1, group + 1, modseq, 0, email, 1.5)),
            ("changes", (account, modseq, 1, 4, group + 1, group + 1)),
            *(("references", (account, reference, email)) for _ in summary.references[:1]),
        ):
            rows.setdefault(f"INSERT INTO store_{table} VALUES {{rows}}", []).append(row)
        for sql, row in (
            (ACCOUNTS, (account, modseq)),
            (MAILBOXES, (account, size, modseq)),
        ):
            rows.setdefault(sql, []).append(row)
    rows["UPDATE store_numbers SET email = email + ?"] = [(callers,)]
    return rows


def _commit(connection: Any, rows: Rows) -> None:
    from mailplat.sql import bulk

    connection.run("BEGIN")
    for sql, some in rows.items():
        if "{rows}" in sql:
            bulk(connection, sql, some)
        else:
            connection.execute(sql, some[0])
    connection.run("COMMIT")


if __name__ == "__main__":
    side, callers, url, place = sys.argv[1:]
    if side == "ours":
        work = partial(ours, callers=int(callers), url=url)
        print(json.dumps(as_server(work, Path(place))))
    else:
        print(json.dumps(bare(Path(place), int(callers), url)))
