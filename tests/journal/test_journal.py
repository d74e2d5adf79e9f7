"""The journal finds what was decided, costs nobody a wait, and loses no mail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from mailplat.journal import journal as journals
from mailplat.journal.explain import explained
from mailplat.journal.journal import Journal, JournalFile, JournalSettings
from mailplat.journal.records import read, written
from mailplat.mail.errors import StoreFailed
from mailplat.mail.events import MessageSettled
from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import DELIVERED, Status
from mailplat.mail.transit import Decision, Disposition, MessageRecord, Stage
from mailplat.sql import SqliteDatabase
from mailplat.testing.fakes import FakeBus
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
RECORD = MessageRecord(
    id="0199",
    arrived=NOW,
    portal="mx",
    protocol="ESMTPS",
    peer="192.0.2.1:4000",
    greeting="mail.example.net",
    login="",
    sender="carol@example.net",
    recipients=("Alice@example.org", "bob@example.org"),
    outcomes=(Outcome(DELIVERED), Outcome(Status(4, 2, 2), "full")),
    decisions=(
        Decision(Stage.RECIPIENT, "recipients", Disposition.KEEP, recipient="Alice@example.org"),
        Decision(
            Stage.RECIPIENT, "recipients", Disposition.REJECT, "NoSuchAddress: leads nowhere", 0.2, recipient="dora@example.org",
        ),
        Decision(Stage.CONTENT, "tag", Disposition.KEEP, "", 0.0012, {"spf": "pass"}, edits=("replaces Subject",)),
    ),
    size=5000,
    message_id="<1@example.net>",
    subject="hello",
)  # fmt: skip


@attrs.define
class Around:
    """What a journal has around it."""

    path: Path
    clock: Clock = attrs.field(factory=Clock)
    bus: FakeBus = attrs.field(factory=FakeBus)

    def journal(self, **settings: Any) -> Journal:
        database = database_at_once(self.path, durable=False)
        file = JournalFile(database)
        return Journal(JournalSettings(**settings), file, self.bus, self.clock, self.clock)

    def settle(self, **changes: Any) -> MessageRecord:
        record = attrs.evolve(RECORD, **changes)
        self.bus.publish([MessageSettled(record)])
        return record


@pytest.fixture
def around(tmp_path: Path) -> Around:
    around = Around(tmp_path / "journal.db")
    around.clock.advance(NOW.timestamp())
    return around


@async_yield_fixture
async def journal(around: Around) -> AsyncIterator[Journal]:
    journal = around.journal()
    await journal.prepare()
    yield journal
    await journal.finish()


def test_a_record_survives_as_text() -> None:
    assert read(written(RECORD)) == RECORD


def test_facts_of_any_kind_survive_as_text() -> None:
    odd = {
        "bytes": b"\xff",
        "when": NOW,
        "none": None,
        "nested": {"a": [1]},
        "nan": float("inf"),
    }
    decision = Decision(Stage.CONTENT, "odd", Disposition.KEEP, "\ud800", facts=odd)
    [found] = read(written(attrs.evolve(RECORD, decisions=(decision,)))).decisions
    assert found.facts["nested"] == {"a": [1]}
    assert found.facts["bytes"] == repr(b"\xff")


@pytest.mark.parametrize(
    "text",
    [
        "0199",
        " 0199\n",
        "<1@example.net>",
        "1@example.net",
        "carol@example.net",
        "ALICE@example.org",
        "bob@example.org",
        "dora@example.org",
    ],
)
async def test_a_message_is_found(around: Around, journal: Journal, text: str) -> None:
    around.settle()
    assert await journal.find(text) == [RECORD]


@pytest.mark.parametrize(
    "text", ["", "019", "%", "example.org", "lice@example.org", "'; DROP TABLE records; --"]
)
async def test_another_is_not(around: Around, journal: Journal, text: str) -> None:
    around.settle()
    assert await journal.find(text) == []


async def test_the_newest_are_found_first(around: Around, journal: Journal) -> None:
    records = [
        around.settle(id=f"{n:04}", arrived=NOW + timedelta(seconds=n)) for n in range(30)
    ]
    assert await journal.find("bob@example.org") == records[:9:-1]


async def test_a_later_record_of_a_message_replaces_the_first(
    around: Around, journal: Journal
) -> None:
    around.settle(outcomes=())
    await journal.find("0199")
    record = around.settle()
    assert await journal.find("0199") == [record]


async def test_records_are_written_together_a_little_later(
    around: Around, journal: Journal, monkeypatch: Any
) -> None:
    groups: list[int] = []
    write = journals.queries.write
    monkeypatch.setattr(
        journals.queries, "write", lambda db, rows: groups.append(len(rows)) or write(db, rows)
    )
    for n in range(100):
        around.settle(id=str(n))
    assert groups == []
    around.clock.advance(journals.PATIENCE)
    assert groups == [100]
    for n in range(journals.GROUP):
        around.settle(id=str(n))
    assert groups == [100, journals.GROUP]


async def test_a_flood_is_bounded_in_memory(
    around: Around, journal: Journal, monkeypatch: Any
) -> None:
    monkeypatch.setattr(journals, "MOST_WAITING", 100 * len(written(RECORD)))
    monkeypatch.setattr(journal, "_write", lambda: None)
    for n in range(1000):
        around.settle(id=f"{n:04}")
    monkeypatch.undo()
    assert await journal.find("0899") == []
    [oldest] = await journal.find("0900")
    assert oldest.id == "0900"


async def test_what_is_old_is_forgotten(around: Around) -> None:
    journal = around.journal(keep="1 h")
    await journal.prepare()
    around.settle(id="old", arrived=NOW)
    around.settle(id="new", arrived=NOW + timedelta(hours=2))
    await journal.find("x")
    around.clock.pump([1800.0, 1800.0, 1800.0, 1800.0])
    assert await journal.find("old") == []
    assert len(await journal.find("new")) == 1
    await journal.finish()
    assert not around.clock.getDelayedCalls()


async def test_what_waits_is_written_at_the_end(around: Around) -> None:
    journal = around.journal()
    await journal.prepare()
    around.settle()
    await journal.finish()
    again = around.journal()
    await again.prepare()
    assert await again.find("0199") == [RECORD]
    await again.finish()


async def test_a_file_that_is_no_journal_keeps_nobody_from_anything(around: Around) -> None:
    around.path.write_bytes(b"no database" * 1000)
    journal = around.journal()
    await journal.prepare()
    around.settle()
    with pytest.raises(StoreFailed):
        await journal.find("0199")
    await journal.finish()


async def test_it_writes_in_a_thread(tmp_path: Path, reactor: Any) -> None:
    bus = FakeBus()
    database = SqliteDatabase(tmp_path / "journal.db", reactor, durable=False)
    journal = Journal(JournalSettings(), JournalFile(database), bus, reactor, reactor)
    await journal.prepare()
    bus.publish([MessageSettled(RECORD)])
    assert await journal.find("0199") == [RECORD]
    await journal.finish()
    await database.close()


def test_a_record_is_explained() -> None:
    assert explained(RECORD) == (
        "0199: carol@example.net to Alice@example.org, bob@example.org\n"
        "  arrived     2026-11-23 10:00:00 UTC\n"
        "  from        192.0.2.1:4000, which called itself mail.example.net\n"
        "  by          ESMTPS at mx\n"
        "  size        5000 octets\n"
        "  Message-ID  <1@example.net>\n"
        "  Subject     hello\n"
        "\n"
        "  decisions\n"
        "    recipient  recipients  keep    0.0 ms  <Alice@example.org>\n"
        "    recipient  recipients  reject  0.20 s  <dora@example.org>; NoSuchAddress: leads nowhere\n"
        "    content    tag         keep    1.2 ms  replaces Subject; spf = pass\n"
        "\n"
        "  outcomes\n"
        "    Alice@example.org  2.1.5\n"
        "    bob@example.org    4.2.2  full\n"
    )


def test_an_explanation_is_harmless() -> None:
    hostile = attrs.evolve(
        RECORD,
        subject="\x1b[31mred\r\nX: y",
        greeting="\u202e\u009b",
        outcomes=(),
        decisions=(),
    )
    text = explained(hostile)
    assert all(one.isprintable() or one == "\n" for one in text)
    assert "\\x1b[31mred\\r\\nX: y" in text
    assert "none: the transaction ended before its content came" in text


def test_whom_a_refused_message_was_for() -> None:
    dropped = attrs.evolve(RECORD, recipients=(), outcomes=())
    first = explained(dropped).partition("\n")[0]
    assert first == "0199: carol@example.net to dora@example.org (refused)"
    nobody = explained(attrs.evolve(dropped, decisions=())).partition("\n")[0]
    assert nobody.endswith(" to no recipient that was named")


async def test_the_oldest_go_where_all_take_too_much_room(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file stays about as large as it may be, and gives room back when that is less."""
    monkeypatch.setattr(journals.queries, "AT_ONCE", 50)
    most = 1 << 20
    journal = around.journal(size=most)
    await journal.prepare()
    for n in range(4000):
        around.settle(id=f"{n:05}", arrived=NOW + timedelta(seconds=n))
    around.clock.advance(journals.PATIENCE)
    assert await journal.find("00000") == []
    newest = [record.id for record in await journal.find("bob@example.org")]
    assert newest == [f"{n:05}" for n in range(3999, 3979, -1)]
    oldest = 4000 - most // len(written(RECORD))
    assert await journal.find(f"{oldest:05}") == []
    assert await journal.find("03500")
    await journal.finish()
    await journal._database.close()
    assert around.path.stat().st_size <= most * 9 / 8
    smaller = around.journal(size=most // 4)
    await smaller.prepare()
    around.settle(id="last", arrived=NOW + timedelta(days=1))
    around.clock.advance(journals.PATIENCE)
    assert [record.id for record in await smaller.find("last")] == ["last"]
    await smaller.finish()
    await smaller._database.close()
    assert around.path.stat().st_size <= most / 4 * 9 / 8


async def test_a_record_tells_of_those_like_it(around: Around, journal: Journal) -> None:
    record = around.settle(repeats=53)
    assert await journal.find("0199") == [record]
    assert "like it     53 more in that minute" in explained(record)


def test_a_record_of_an_earlier_version_is_read() -> None:
    fields = json.loads(written(RECORD))
    del fields["repeats"]
    assert read(json.dumps(fields)) == RECORD
