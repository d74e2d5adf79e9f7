"""Backups: what they hold, what they cost, and that what is damaged is never put back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest

from mailplat.app.keeping import chunks, making
from mailplat.app.keeping.chunks import Damaged, held
from mailplat.app.keeping.manifest import Backup, KeptFile
from mailplat.app.keeping.restoring import check, restore
from mailplat.app.lock import Locked
from mailplat.interfaces import IDirectory, IMailStore
from mailplat.mail.errors import (
    BadParameter,
    InUse,
    NoSuchAccount,
    NoSuchMailbox,
    NotPermitted,
    StoreFailed,
)
from mailplat.mail.mailbox import SEEN, Change, FlagChange, MailboxIndex, UidSet
from mailplat.pytest_plugin import MemoryHouse
from mailplat.store.indexed.queries.audit import RULES
from mailplat.testing.audit import wrong_in
from mailplat.testing.disk import FakeDisk, MakeFolder, SyncFolder, Tape
from mailplat.testing.workers import database_at_once

BOB = "bob@example.org"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 10_000


@pytest.fixture
def house(mailplat_house: Callable[..., MemoryHouse]) -> MemoryHouse:
    house = mailplat_house('[store.main]\nuse = "indexed"')
    house.add_account(BOB)
    for number in range(20):
        deliver(house, number)
    assert house.deliver(LARGE, to=BOB).startswith("250")
    (house.foundation.state / "mime.types").write_text("application/x-report rpt\n")
    config = house.tree.configuration.source.file
    config.write_text('hostname = "mail.example.org"\n')
    (config.parent / "tls").mkdir()
    (config.parent / "tls" / "mail.pem").write_text("a key")
    return house


def deliver(house: MemoryHouse, number: int) -> None:
    text = f"Subject: {number}\r\nMessage-ID: <{number}@example.org>\r\n\r\n{'x' * 3000}\r\n"
    assert house.deliver(text.encode(), to=BOB).startswith("250")


def back_up(house: MemoryHouse, target: Path, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = house.operate("house.backup", target=str(target), **more)
    return made


async def look(house: MemoryHouse, mailbox: str, name: str = BOB) -> MailboxIndex:
    account = await house.tree.find(IMailStore).open(await _id(house, name))
    [box] = [box for box in await account.mailboxes() if box.name == mailbox]
    index: MailboxIndex = await account.index(box.id)
    return index


async def _id(house: MemoryHouse, name: str) -> Any:
    found = await house.tree.find(IDirectory).account(name)
    return found.id


def in_database(path: Path, sql: str) -> list[Any]:
    """Ask a database by SQLite alone, as somebody without our code would."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_all_that_matters_is_in_it(house: MemoryHouse, tmp_path: Path) -> None:
    made = back_up(house, tmp_path / "kept")
    manifest = Backup(tmp_path / "kept").manifest()
    names = {file.name for file in manifest.files}
    assert names == {
        "state/mail.db",
        "state/journal.db",
        "state/mime.types",
        "config/mailplat.toml",
        "config/tls/mail.pem",
    }
    assert made["generation"] == manifest.generation
    assert made["size"] == manifest.size == made["copied"]
    assert made["damaged"] == []
    back_up(house, tmp_path / "other", journal=False)
    names -= {"state/journal.db"}
    assert {file.name for file in Backup(tmp_path / "other").manifest().files} == names
    assert (tmp_path / "kept").stat().st_mode & 0o77 == 0


def test_it_is_read_without_our_code(house: MemoryHouse, tmp_path: Path) -> None:
    """By a shell, as the manual says."""
    back_up(house, tmp_path / "kept")
    [file] = (tmp_path / "kept" / "generations").glob("*.json")
    [mail] = [
        one for one in json.loads(file.read_text())["files"] if one["name"] == "state/mail.db"
    ]
    script = 'for c in "$@"; do cat "chunks/${c%"${c#??}"}/$c"; done'
    octets = subprocess.run(
        ["sh", "-c", script, "-", *mail["chunks"]],
        cwd=tmp_path / "kept",
        capture_output=True,
        check=True,
    ).stdout
    assert (len(octets), sha256(octets).hexdigest()) == (mail["size"], mail["sha256"])
    (tmp_path / "mail.db").write_bytes(octets)
    assert in_database(tmp_path / "mail.db", "SELECT count(*) FROM store_messages") == [(21,)]
    assert in_database(tmp_path / "mail.db", "PRAGMA integrity_check") == [("ok",)]


def test_the_second_one_copies_what_is_new(house: MemoryHouse, tmp_path: Path) -> None:
    for number in range(20, 300):
        deliver(house, number)
    first = back_up(house, tmp_path / "kept", journal=False)
    again = back_up(house, tmp_path / "kept", journal=False)
    assert again["copied"] == 0
    assert again["generation"] > first["generation"]
    deliver(house, 300)
    third = back_up(house, tmp_path / "kept", journal=False)
    assert 0 < third["copied"] <= first["copied"] * 0.75
    assert len(Backup(tmp_path / "kept").generations()) == 3


def test_the_reactor_reads_no_manifest(
    house: MemoryHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest of 40,000 contents takes a third of a second."""
    back_up(house, tmp_path / "kept")
    crew, read = house.foundation.workers.files, Backup.manifest
    ask, in_thread, times = crew.ask, [False], []

    def asked(*args: Any, **more: Any) -> Any:
        in_thread[0] = True
        try:
            return ask(*args, **more)
        finally:
            in_thread[0] = False

    def seen(kept: Backup, generation: str = "") -> Any:
        times.append(in_thread[0])
        return read(kept, generation)

    monkeypatch.setattr(crew, "ask", asked)
    monkeypatch.setattr(Backup, "manifest", seen)
    back_up(house, tmp_path / "kept", keep=1)
    assert times == [True, True]


def test_generations_come_and_go(house: MemoryHouse, tmp_path: Path) -> None:
    kept = Backup(tmp_path / "kept")
    names = []
    for number in range(20, 25):
        deliver(house, number)
        names.append(back_up(house, tmp_path / "kept", keep=2)["generation"])
    assert kept.generations() == names[-2:]
    needed = set().union(*(kept.manifest(name).chunks for name in names[-2:]))
    there = {path.name for path in (tmp_path / "kept" / "chunks").glob("*/*")}
    assert there == needed
    for name in names[-2:]:
        assert kept.problems(kept.manifest(name)) == []
    with pytest.raises(BadParameter, match=f"has no generation {names[0]}; there are"):
        kept.manifest(names[0])


def test_an_interrupted_one_is_none_and_the_next_goes_on(
    house: MemoryHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(chunks.Chunks):
        def keep(self, octets: bytes) -> tuple[str, bool]:
            if len(list(self.folder.glob("*/*"))) >= 1:
                (self.folder / "ab").mkdir(exist_ok=True)
                (self.folder / "ab" / ".half.0000").write_bytes(b"half")
                raise StoreFailed("the disk of the backup has gone")
            return super().keep(octets)

    with monkeypatch.context() as trouble:
        trouble.setattr(chunks, "CHUNK", 65536)
        trouble.setattr(making, "CHUNK", 65536)
        trouble.setattr(Backup, "chunks", property(lambda self: Full(self.folder / "chunks")))
        with pytest.raises(StoreFailed, match="has gone"):
            back_up(house, tmp_path / "kept")
    kept = Backup(tmp_path / "kept")
    assert kept.generations() == []
    with pytest.raises(BadParameter, match="there is no backup in"):
        kept.manifest()
    monkeypatch.setattr(making, "CHUNK", 65536)
    made = back_up(house, tmp_path / "kept", keep=1)
    assert made["copied"] < made["size"]
    assert kept.problems(kept.manifest()) == []
    assert not list((tmp_path / "kept").rglob(".half*"))


def test_what_cannot_be(house: MemoryHouse, tmp_path: Path) -> None:
    with held(tmp_path / "kept"), pytest.raises(InUse, match="is under way"):
        back_up(house, tmp_path / "kept")
    with pytest.raises(NotPermitted, match="can't lie in it"):
        back_up(house, house.foundation.state / "kept")
    (tmp_path / "file").touch()
    with pytest.raises(StoreFailed, match="can't be used"):
        back_up(house, tmp_path / "file" / "kept")


def test_damage_in_the_house_is_told_and_kept(house: MemoryHouse, tmp_path: Path) -> None:
    sound = back_up(house, tmp_path / "kept")
    assert sound["damaged"] == []
    with house.foundation.database.path.open("r+b", buffering=0) as file:
        file.seek(4096 * 12 + 7)
        octet = file.read(1)
        file.seek(4096 * 12 + 7)
        file.write(bytes([octet[0] ^ 1]))
    damaged = back_up(house, tmp_path / "kept")
    assert damaged["damaged"] == ["state/mail.db: page 13 has changed unseen"]
    assert damaged["copied"] > 0
    kept = Backup(tmp_path / "kept")
    assert kept.problems(kept.manifest()) == []  # what was kept is what there was


# Putting it back -------------------------------------------------------------


def test_a_house_is_put_back(house: MemoryHouse, tmp_path: Path) -> None:
    back_up(house, tmp_path / "kept")
    before = house.do(look(house, "INBOX"))
    kept = Backup(tmp_path / "kept")
    found = restore(kept, kept.manifest(), state := tmp_path / "new" / "state")
    assert (state / "mime.types").read_text() == "application/x-report rpt\n"
    assert (state / "restored" / "tls" / "mail.pem").read_text() == "a key"
    assert found["configuration"] == str(state / "restored")
    assert {path.name for path in state.iterdir()} >= {"mail.db", "journal.db", "lock"}
    rows = in_database(state / "mail.db", "SELECT uid FROM store_messages ORDER BY uid")
    assert [uid for [uid] in rows] == list(before.uids)


def test_every_number_is_new_unless_nothing_was_served(
    house: MemoryHouse, tmp_path: Path
) -> None:
    """UIDs, identities and mod-sequences given after the backup are not given again."""
    numbers = "SELECT uid_validity, modseq FROM store_mailboxes"
    before = house.do(look(house, "INBOX")).modseq
    back_up(house, tmp_path / "kept")
    kept = Backup(tmp_path / "kept")
    restore(kept, kept.manifest(), tmp_path / "same", nothing_served=True)
    restore(kept, kept.manifest(), tmp_path / "new")
    [(validity, modseq)] = in_database(tmp_path / "same" / "mail.db", numbers)
    [(other, later)] = in_database(tmp_path / "new" / "mail.db", numbers)
    assert modseq == before
    assert other > validity
    assert later > before + 100_000
    [[email]] = in_database(tmp_path / "new" / "mail.db", "SELECT email FROM store_numbers")
    assert email > 100_000


async def test_what_is_put_back_is_sound(house: MemoryHouse, tmp_path: Path) -> None:
    back_up(house, tmp_path / "kept")
    kept = Backup(tmp_path / "kept")
    restore(kept, kept.manifest(), tmp_path / "new")
    database = database_at_once(tmp_path / "new" / "mail.db")
    await database.open()
    assert await database.read(wrong_in, RULES) == []
    await database.close()


def test_what_is_put_back_has_durable_names(house: MemoryHouse, tmp_path: Path) -> None:
    """Each folder that was made is named in a folder that was synced since."""
    (house.foundation.state / "a" / "b").mkdir(parents=True)
    (house.foundation.state / "a" / "b" / "deep").write_text("text")
    back_up(house, tmp_path / "kept")
    tape = Tape(tmp_path)
    kept = Backup(tmp_path / "kept", FakeDisk(tape))
    restore(kept, kept.manifest(), tmp_path / "new" / "state")
    left = set[Path]()
    for one in tape.operations:
        if isinstance(one, MakeFolder):
            left.add(one.path)
        if isinstance(one, SyncFolder):
            left -= {path for path in left if path.parent == one.path}
    staging = Path("new", "state", ".restoring")
    made = {one.path for one in tape.operations if isinstance(one, MakeFolder)}
    assert made >= {staging.parent.parent, staging.parent, staging / "a", staging / "a" / "b"}
    assert left == set()


def test_no_house_is_overwritten(house: MemoryHouse, tmp_path: Path) -> None:
    back_up(house, tmp_path / "kept")
    kept = Backup(tmp_path / "kept")
    with pytest.raises(Locked):
        restore(kept, kept.manifest(), house.foundation.state)
    (state := tmp_path / "state").mkdir()
    (state / "letter").touch()
    with pytest.raises(NotPermitted, match="is not empty: there is letter"):
        restore(kept, kept.manifest(), state)
    assert [path.name for path in state.iterdir() if path.name != "lock"] == ["letter"]


def test_an_interrupted_restore_begins_anew(house: MemoryHouse, tmp_path: Path) -> None:
    back_up(house, tmp_path / "kept")
    kept = Backup(tmp_path / "kept")
    (tmp_path / "new" / ".restoring").mkdir(parents=True)
    (tmp_path / "new" / ".restoring" / "mail.db").write_bytes(b"half")
    restore(kept, kept.manifest(), tmp_path / "new")
    assert len(in_database(tmp_path / "new" / "mail.db", "SELECT 1 FROM store_messages")) == 21
    assert not (tmp_path / "new" / ".restoring").exists()


@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_what_is_damaged_is_not_put_back(house: MemoryHouse, tmp_path: Path, how: str) -> None:
    back_up(house, tmp_path / "kept")
    kept = Backup(tmp_path / "kept")
    mail = kept.manifest().named["state/mail.db"]
    path = kept.chunks.path(mail.chunks[0])
    octets = bytearray(path.read_bytes())
    octets[1000] ^= 4
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(octets if how == "flip" else octets[:-1])
    with pytest.raises(Damaged, match=r"state/mail.db: .*(not what it was|can't be read)"):
        restore(kept, kept.manifest(), tmp_path / "new")
    assert not (tmp_path / "new" / "mail.db").exists()


def test_a_manifest_that_has_changed_is_told(house: MemoryHouse, tmp_path: Path) -> None:
    back_up(house, tmp_path / "kept")
    kept = Backup(tmp_path / "kept")
    [file] = (tmp_path / "kept" / "generations").iterdir()
    text = file.read_text()
    for changed in (
        text.replace("mail.example.org", "mail.example.net"),
        text[:-200],
        "[]",
        "",
    ):
        file.write_text(changed)
        with pytest.raises(Damaged):
            kept.manifest()
    with pytest.raises(Damaged):
        back_up(house, tmp_path / "kept", keep=1)


@pytest.mark.parametrize("name", ["/etc/passwd", "state/../../x", "mail.db"])
def test_names_lead_nowhere_else(name: str) -> None:
    with pytest.raises(Damaged):
        KeptFile(name, 0, "", 0o600, 0, ()).path  # noqa: B018


# Contents in files ---------------------------------------------------------


@pytest.fixture
def filed(mailplat_house: Callable[..., MemoryHouse]) -> MemoryHouse:
    house = mailplat_house(
        '[store.main]\nuse = "indexed"\ncontents = "files"\n\n[contents.files]\nuse = "files"'
    )
    house.add_account(BOB)
    for number in range(20):
        deliver(house, number)
    house.tree.configuration.source.file.write_text("")
    return house


def test_contents_in_files_are_kept_and_put_back(filed: MemoryHouse, tmp_path: Path) -> None:
    back_up(filed, tmp_path / "kept")
    deliver(filed, 20)
    again = back_up(filed, tmp_path / "kept", journal=False)
    assert again["files"] >= 21
    kept = Backup(tmp_path / "kept")
    names = [file.name for file in kept.manifest().files]
    assert sum(name.startswith("state/contents/") for name in names) >= 21
    restore(kept, kept.manifest(), tmp_path / "new")
    here = filed.foundation.state / "contents"
    there = tmp_path / "new" / "contents"
    for path in here.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            assert (there / path.relative_to(here)).read_bytes() == path.read_bytes()
    found = filed.operate("house.restore", target=str(tmp_path / "kept"), account=BOB)
    box = {"mailbox": "Restored/INBOX", "added": 21, "known": 0, "failed": []}
    assert found["mailboxes"] == [box]
    assert len(filed.do(look(filed, "Restored/INBOX")).uids) == 21
    assert len(filed.messages(BOB)) == 21


@pytest.mark.parametrize("how", ["gone", "cut", "flip"])
def test_a_piece_that_is_lost_is_kept_anew(
    filed: MemoryHouse, tmp_path: Path, how: str
) -> None:
    """Though its file has not changed since; one of its old size is found by a check."""
    back_up(filed, tmp_path / "kept")
    kept = Backup(tmp_path / "kept")
    content = next(one for one in kept.manifest().files if one.path.parts[1] == "contents")
    path = kept.chunks.path(content.chunks[0])
    octets = bytearray(path.read_bytes())
    octets[100] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(octets if how == "flip" else octets[:-1])
    if how == "flip":
        with pytest.raises(Damaged, match="The next backup keeps anew"):
            check(kept, kept.manifest())
        assert path.with_name(f"{path.name}.damaged").read_bytes() == octets
    back_up(filed, tmp_path / "kept")
    check(kept, kept.manifest())
    back_up(filed, tmp_path / "kept", keep=1)
    assert kept.problems(kept.manifest()) == []
    assert not list((tmp_path / "kept").rglob("*.damaged"))


def test_octets_that_lie_elsewhere_are_looked_at(filed: MemoryHouse) -> None:
    assert filed.operate("house.verify")["findings"] == []
    files = [one for one in (filed.foundation.state / "contents").rglob("*") if one.is_file()]
    lost = max(files, key=lambda one: one.stat().st_size)
    lost.unlink()
    [found] = filed.operate("house.verify", mend=True)["findings"]
    assert (found["mailbox"], found["mended"]) == ("INBOX", "")
    assert "its octets can't be read" in found["detail"]


# One account ---------------------------------------------------------------


def test_an_account_is_put_back_beside_what_there_is(
    house: MemoryHouse, tmp_path: Path
) -> None:
    house.do(read_some(house))
    back_up(house, tmp_path / "kept")
    house.do(empty(house))
    deliver(house, 99)
    target = str(tmp_path / "kept")
    found = house.operate("house.restore", target=target, account=BOB)
    box = {"mailbox": "Restored/INBOX", "added": 21, "known": 0, "failed": []}
    assert found["mailboxes"] == [box]
    index = house.do(look(house, "Restored/INBOX"))
    assert len(index.uids) == 21
    flags = [index.flag_sets[number] for number in index.flags]
    assert flags == [frozenset({SEEN})] * 3 + [frozenset()] * 18
    assert len(house.messages(BOB)) == 1
    found = house.operate("house.restore", target=target, account=BOB, mailbox="INBOX")
    assert found["mailboxes"] == [{**box, "added": 0, "known": 21}]
    assert len(house.do(look(house, "Restored/INBOX")).uids) == 21
    house.operate("house.restore", target=target, account=BOB, into="Again")
    assert len(house.do(look(house, "Again/INBOX")).uids) == 21
    left = [path for path in os.listdir(house.foundation.state) if "restor" in path]
    assert left == []


def test_the_same_adds_nothing_a_year_later(house: MemoryHouse, tmp_path: Path) -> None:
    back_up(house, tmp_path / "kept")
    for _ in range(2):
        house.operate("house.restore", target=str(tmp_path / "kept"), account=BOB)
        assert len(house.do(look(house, "Restored/INBOX")).uids) == 21
        for _day in range(366):
            house.clock.advance(24 * 60 * 60)


async def read_some(house: MemoryHouse) -> None:
    account = await house.tree.find(IMailStore).open(await _id(house, BOB))
    [inbox] = await account.mailboxes()
    await account.flag(inbox.id, UidSet(((1, 3),)), FlagChange(Change.ADD, frozenset({SEEN})))


async def empty(house: MemoryHouse) -> None:
    account = await house.tree.find(IMailStore).open(await _id(house, BOB))
    [inbox] = await account.mailboxes()
    await account.expunge(inbox.id, UidSet.all())


def test_an_account_that_is_not_there(house: MemoryHouse, tmp_path: Path) -> None:
    back_up(house, tmp_path / "kept")
    house.add_account("carol@example.org")
    target = str(tmp_path / "kept")
    with pytest.raises(NoSuchAccount, match=r"has no account carol@example\.org"):
        house.operate("house.restore", target=target, account="carol@example.org")
    with pytest.raises(NoSuchAccount, match="account add` makes one"):
        house.operate("house.restore", target=target, account="dave@example.org")
    with pytest.raises(NoSuchMailbox, match="had no mailbox 'Sent'"):
        house.operate("house.restore", target=target, account=BOB, mailbox="Sent")
