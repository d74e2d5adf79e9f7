"""Whenever the machine stops, mail that was answered for is there, whole, and once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import attrs
import pytest

from mailplat.files import Disk, FolderSyncs
from mailplat.mail.errors import MailError
from mailplat.mail.mailbox import MailboxId, UidSet
from mailplat.plugin import ConfigError
from mailplat.sql import Connection, Row, Value
from mailplat.sql.bulk import in_turns
from mailplat.store.indexed.account import IndexedAccount
from mailplat.store.indexed.elsewhere import Elsewhere
from mailplat.store.indexed.queries import arrivals
from mailplat.store.indexed.store import IndexedStore
from mailplat.testing.crash import Explored, explore


async def explored(flow: Any, at_most: int | None, *, start: bool = False) -> Explored:
    await flow.rehearse()
    tape, begun = await flow.record()
    return await explore(tape, flow.recover, since=0 if start else begun, at_most=at_most)


@pytest.mark.parametrize(
    "at_most", [150, pytest.param(20_000, marks=pytest.mark.long)], ids=["some", "most"]
)
async def test_every_crash_is_recovered_from(flow: Any, at_most: int | None) -> None:
    assert (await explored(flow, at_most)).folders > 50


@pytest.mark.parametrize("flow", ["small", "small, files"], indirect=True)
@pytest.mark.parametrize(
    "at_most", [150, pytest.param(20_000, marks=pytest.mark.long)], ids=["some", "most"]
)
async def test_a_crash_of_the_first_start(flow: Any, at_most: int | None) -> None:
    assert (await explored(flow, at_most, start=True)).folders > 50


# Stores that don't keep their word are caught.


@attrs.frozen
class Misled:
    """A connection that makes other statements out of some; ``said`` is a pattern."""

    db: Connection
    said: str
    done: str

    def _sql(self, sql: str) -> str:
        return re.sub(self.said, self.done, sql)

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        return self.db.execute(self._sql(sql), values)

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        self.db.executemany(self._sql(sql), rows)

    def one(self, sql: str, values: Sequence[Value] = ()) -> Row | None:
        return self.db.one(self._sql(sql), values)

    def all(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        return self.db.all(self._sql(sql), values)

    def bulk(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        return in_turns(self.all, sql, rows)

    def tell(self, word: str) -> None:
        self.db.tell(word)

    def damage(self) -> list[str]:
        return self.db.damage()


def misled(unit: Callable[..., Any], said: str, done: str) -> Callable[..., Any]:
    def wrong(db: Connection, *args: Any) -> Any:
        return unit(Misled(db, said, done), *args)

    return wrong


ROWS = r"VALUES (\(.*\))"
KEYS = "store_deliveries (key, account, made, detail)"
NO_KEY = rf"INSERT INTO {re.escape(KEYS)} {ROWS}", r"SELECT * FROM (VALUES \1)"


@pytest.mark.parametrize("flow", ["placements"], indirect=True)
@pytest.mark.parametrize(
    ("said", "done"),
    [
        NO_KEY,
        (rf"INSERT INTO store_contents {ROWS}", r"SELECT * FROM (VALUES \1)"),
        (rf"INSERT INTO store_contents {ROWS}",
         r"INSERT INTO store_contents SELECT column1, column2, substr(column3, 2) FROM (VALUES \1)"),
        (rf"INSERT INTO store_changes {ROWS}",
         r"INSERT INTO store_changes SELECT * FROM (VALUES \1) WHERE 0"),
        (r"messages = messages \+ column3", "messages = messages"),
        (r"unseen = unseen \+ column4", "unseen = unseen + 1 + column4"),
        (r"size = size \+ column6", "size = size - column6"),
        (r"uid_next = uid_next \+ column3", "uid_next = uid_next + column3 - 1"),
        (r"modseq = modseq \+ column2", "modseq = modseq"),
        (r"email = email \+ \?", "email = email + 0 * ?"),
    ],
)  # fmt: skip
async def test_a_store_that_keeps_wrong_books_is_caught(
    flow: Any, said: str, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "deliver", misled(arrivals.deliver, said, done))
    with pytest.raises((AssertionError, MailError, apsw.ConstraintError)):
        await explored(flow, 150)


@pytest.mark.parametrize("flow", ["small"], indirect=True)
async def test_a_key_in_another_commit_than_its_message_is_caught(
    flow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there whenever nothing goes wrong, so only a crash between the two can show it."""
    deliver, outcome = misled(arrivals.deliver, *NO_KEY), IndexedStore._outcome

    async def outcome_and_key(store: IndexedStore, delivery: Any) -> Any:
        done = await outcome(store, delivery)
        row = delivery.key, delivery.account, 0.0, done.detail
        sql = f"INSERT INTO {KEYS} VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        await store.database.write(lambda db: db.execute(sql, row))
        return done

    monkeypatch.setattr(arrivals, "deliver", deliver)
    monkeypatch.setattr(IndexedStore, "_outcome", outcome_and_key)
    await flow.rehearse()
    tape, begun = await flow.record()
    with pytest.raises(AssertionError):
        await explore(tape, flow.recover, since=begun)


def _not(*_args: object) -> None:
    """Leave a step out."""


async def _do_nothing(_self: object) -> None:
    pass


def _make_only(disk: Disk, path: Path) -> None:
    with suppress(FileExistsError):
        disk.perform("make_folder", path, os.mkdir, path, 0o700)


def _expunge_first(expunge: Any) -> Any:
    async def removed_before_the_commit(
        account: IndexedAccount, mailbox: MailboxId, uids: UidSet
    ) -> UidSet:
        elsewhere = account._store.elsewhere
        assert elsewhere
        await elsewhere.remove(await elsewhere._place.scan(""))
        return await expunge(account, mailbox, uids)

    return removed_before_the_commit


@pytest.mark.parametrize("flow", ["expunge, files"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [
        (Disk, "sync", _not),
        (FolderSyncs, "sync", _not),
        (Disk, "make_folder", _make_only),
        (IndexedAccount, "expunge", _expunge_first(IndexedAccount.expunge)),
        (Elsewhere, "sweep", _do_nothing),
    ],
    ids=["no sync", "no name", "no folder", "removed too soon", "no sweep"],
)
async def test_contents_that_come_or_go_in_another_order_are_caught(
    flow: Any, kind: type, name: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flow.rehearse()
    monkeypatch.setattr(kind, name, wrong)
    tape, _begun = await flow.record()
    if name != "sweep":
        monkeypatch.undo()
    with pytest.raises((AssertionError, MailError, ConfigError)):
        await explore(tape, flow.recover, at_most=400)
