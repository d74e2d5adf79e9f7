"""Whenever the machine stops, mail that was answered for is there, whole, and once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apsw
import attrs
import pytest

from mailplat.mail.errors import MailError
from mailplat.sql import Connection, Row, Value
from mailplat.store.indexed.queries import messages
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


@pytest.mark.parametrize("flow", ["small"], indirect=True)
@pytest.mark.parametrize(
    "at_most", [150, pytest.param(20_000, marks=pytest.mark.long)], ids=["some", "most"]
)
async def test_a_crash_of_the_first_start(flow: Any, at_most: int | None) -> None:
    assert (await explored(flow, at_most, start=True)).folders > 50


# Stores that don't keep their word are caught.


@attrs.frozen
class Misled:
    """A connection that makes another statement out of one."""

    db: Connection
    said: str
    done: str

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        return self.db.execute(sql.replace(self.said, self.done), values)

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        self.db.executemany(sql.replace(self.said, self.done), rows)

    def one(self, sql: str, values: Sequence[Value] = ()) -> Row | None:
        return self.db.one(sql.replace(self.said, self.done), values)

    def all(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        return self.db.all(sql.replace(self.said, self.done), values)


def misled(unit: Callable[..., Any], said: str, done: str) -> Callable[..., Any]:
    def wrong(db: Connection, *args: Any) -> Any:
        return unit(Misled(db, said, done), *args)

    return wrong


KEY = "INSERT INTO store_deliveries VALUES (?, ?, ?, ?)", "SELECT ?, ?, ?, ?"


@pytest.mark.parametrize("flow", ["placements"], indirect=True)
@pytest.mark.parametrize(
    ("said", "done"),
    [
        KEY,
        ("INSERT INTO store_contents VALUES (?, ?, ?)", "SELECT ?, ?, ?"),
        ("INSERT INTO store_contents VALUES (?, ?, ?)",
         "INSERT INTO store_contents VALUES (?, ?, substr(?, 2))"),
        ("INSERT INTO store_changes VALUES (?, ?, ?, ?, ?, ?)",
         "INSERT INTO store_changes SELECT ?, ?, ?, ?, ?, ? WHERE 0"),
        ("messages = messages + ?", "messages = messages + 0 * ?"),
        ("unseen = unseen + ?", "unseen = unseen + 1 + ?"),
        ("size = size + ?", "size = size - ?"),
        ("uid_next = uid_next + ?", "uid_next = uid_next + ? - 1"),
        ("modseq = modseq + 1", "modseq = modseq + 0"),
    ],
)  # fmt: skip
async def test_a_store_that_keeps_wrong_books_is_caught(
    flow: Any, said: str, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "deliver", misled(messages.deliver, said, done))
    with pytest.raises((AssertionError, MailError, apsw.ConstraintError)):
        await explored(flow, 150)


@pytest.mark.parametrize("flow", ["small"], indirect=True)
async def test_a_key_in_another_commit_than_its_message_is_caught(
    flow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there whenever nothing goes wrong, so only a crash between the two can show it."""
    deliver, outcome = misled(messages.deliver, *KEY), IndexedStore._outcome

    async def outcome_and_key(store: IndexedStore, delivery: Any) -> Any:
        done = await outcome(store, delivery)
        row = delivery.account, delivery.key, 0.0, done.detail
        await store.database.write(
            lambda db: db.execute(f"{KEY[0]} ON CONFLICT DO NOTHING", row)
        )
        return done

    monkeypatch.setattr(messages, "deliver", deliver)
    monkeypatch.setattr(IndexedStore, "_outcome", outcome_and_key)
    await flow.rehearse()
    tape, begun = await flow.record()
    with pytest.raises(AssertionError):
        await explore(tape, flow.recover, since=begun)
