"""A maildir of which something could not be written, and what the next attempt makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mailplat.files import Disk
from mailplat.mail.errors import DiskFull, StoreFailed
from mailplat.mail.mailbox import FLAGGED, INBOX, SEEN, UidSet
from mailplat.store.contents.maildir import queries
from mailplat.store.contents.maildir.folders import Folder
from mailplat.testing.contracts.accounts import ALICE, add, flags, named, numbered, octets

ONE = b"Subject: one\n\nfrom another program\n"


def bring(folder: Path, name: str, octets: bytes = ONE) -> None:
    (folder / "tmp/some").write_bytes(octets)
    (folder / "tmp/some").rename(folder / name)


def left_by_dovecot(root: Path, count: int) -> None:
    """Make a maildir with numbers of Dovecot's, and one message that it has not seen."""
    for part in ("cur", "new", "tmp"):
        (root / part).mkdir(parents=True)
    lines = ["3 V1600000000 N90001 Gf00"]
    for n in range(count):
        (root / f"cur/16000{n:05}.M{n}P1.host:2,").write_bytes(ONE + b"%d\n" % n)
        lines.append(f"{n * 2 + 10} :16000{n:05}.M{n}P1.host")
    (root / "dovecot-uidlist").write_text("\n".join([*lines, ""]))
    (root / "new/1700000000.M1P1.host").write_bytes(ONE)


async def test_uids_that_could_not_be_noted_stay(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    bring(scene.root, "new/1.M2P3.other")
    write = scene.database.write

    async def fails_to_note(unit: Any, *args: Any) -> Any:
        if unit is queries.set_uids:
            raise DiskFull("made to fail")
        return await write(unit, *args)

    monkeypatch.setattr(scene.database, "write", fails_to_note)
    await scene.store.open(ALICE)
    monkeypatch.undo()
    await scene.store.open(ALICE)
    await scene.stop()
    await scene.start()
    account = await scene.store.open(ALICE)
    assert await flags(account, inbox.id) == {1: set()}
    await scene.agrees()


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_what_was_not_synced_is_synced_by_the_repeat(
    scene: Any, monkeypatch: pytest.MonkeyPatch, is_restarted: bool
) -> None:
    """The names are as they should be by then, but a power cut would take them back."""
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    await account.append(inbox.id, [numbered(1)])
    synced: list[Path] = []
    sync_folder = Disk.sync_folder

    def fails(_folder: Folder, _disk: Any) -> None:
        raise StoreFailed("made to fail")

    def notes(disk: Disk, folder: Path) -> None:
        synced.append(folder)
        sync_folder(disk, folder)

    with monkeypatch.context() as failing:
        failing.setattr(Folder, "sync", fails)
        await account.flag(inbox.id, UidSet.of(1), add(FLAGGED))
    monkeypatch.setattr(Disk, "sync_folder", notes)
    if is_restarted:
        await scene.stop()
        await scene.start()
    await scene.store.open(ALICE)
    assert {scene.root / "cur", scene.root / "new", scene.root} <= set(synced)


async def test_nobody_sees_an_account_whose_numbers_are_not_taken_over(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_by_dovecot(scene.root, 3)

    async def fails(*_args: Any) -> Any:
        raise StoreFailed("made to fail")

    for step in ("inheritance", "arrival", "inherited"):
        with monkeypatch.context() as failing:
            failing.setattr(scene.place, step, fails)
            with pytest.raises(StoreFailed):
                await scene.store.open(ALICE)
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    assert inbox.uid_validity == 1_600_000_000
    assert sorted(await flags(account, inbox.id)) == [10, 12, 14, 90001]


@pytest.mark.parametrize("times", [1, 2])
async def test_what_a_removed_mailbox_held_unseen_takes_nobodys_name(
    scene: Any, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """It comes to INBOX with its flags, once, whatever lies there under the same name."""
    account = await scene.store.open(ALICE)
    box = await account.create("box")
    await account.append(box.id, [numbered(1, FLAGGED)])
    bring(scene.root, "new/1.M2P3.other", ONE + b"in INBOX")
    bring(scene.root, "cur/2.M2P3.other:2,", ONE + b"in INBOX too")
    bring(scene.root / ".box", "cur/1.M2P3.other:2,Fa", ONE + b"a")
    bring(scene.root / ".box", "new/2.M2P3.other", ONE + b"b")
    bring(scene.root / ".box", "cur/3.M2P3.other:2,S", ONE + b"c")
    (scene.root / ".box/dovecot-keywords").write_text("0 $Work\n")
    rename = Disk.rename

    def fails(disk: Disk, source: Path | str, target: Path | str) -> None:
        if "..mailplat-" in str(target):
            raise StoreFailed("made to fail")
        rename(disk, source, target)

    if times > 1:
        monkeypatch.setattr(Disk, "rename", fails)
    await account.remove(box.id)
    monkeypatch.undo()
    for _ in range(2):
        account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    there = dict(
        zip(
            await octets(account, inbox.id),
            (await flags(account, inbox.id)).values(),
            strict=True,
        )
    )
    brought = ONE.replace(b"\n", b"\r\n")
    assert there == {
        brought + b"in INBOX": set(),
        brought + b"in INBOX too": set(),
        brought + b"a": {FLAGGED, "$Work"},
        brought + b"b": set(),
        brought + b"c": {SEEN},
    }
    await scene.agrees()


async def test_what_there_is_no_room_for_keeps_nothing_else_out(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    await account.set_quota({"STORAGE": 3300})
    for number in range(40):
        bring(scene.root, f"new/{number}.M2P3.other", ONE)
    bring(scene.root, "new/5.M3P3.other", ONE * 200)
    for number in range(2):
        bring(scene.root, f"new/6.M{number}P4.other", ONE * 45)  # of which one fits
    added: list[int] = []
    add_content = scene.place.add

    async def notes(who: Any, content: Any) -> Any:
        added.append(content.size)
        return await add_content(who, content)

    account = await scene.store.open(ALICE)
    index = await account.index(inbox.id)
    assert len(index.uids) == 41
    assert not scene.place._known[ALICE].tree.pending
    scene.store._wall.advance(60)
    monkeypatch.setattr(scene.place, "add", notes)
    await scene.store.open(ALICE)
    assert (await account.index(inbox.id)).uids == index.uids
    assert not added
