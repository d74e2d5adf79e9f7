"""A backup of a house whose contents lie in files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailplat.app.keeping import making
from mailplat.app.keeping.manifest import Backup
from mailplat.app.keeping.restoring import restore
from mailplat.files import Disk
from mailplat.interfaces import IDirectory, IMailStore
from mailplat.mail.content import whole
from mailplat.mail.errors import Unsupported
from mailplat.mail.mailbox import UidSet, Wanted
from mailplat.pytest_plugin import MemoryHouse
from mailplat.store.contents.maildir.place import Maildirs

BOB = "bob@example.org"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 10_000
IN_FILES = '[store.main]\nuse = "indexed"\ncontents = "files"\n'


def furnished(house: MemoryHouse) -> MemoryHouse:
    house.add_account(BOB)
    for number in range(5):
        text = f"Subject: {number}\r\n\r\n{'x' * 3000}\r\n".encode()
        assert house.deliver(text, to=BOB).startswith("250")
    assert house.deliver(LARGE, to=BOB).startswith("250")
    return house


async def mail(house: MemoryHouse, mailbox: str = "INBOX") -> list[bytes]:
    """Return the octets of an account's messages."""
    people = await house.tree.find(IDirectory).account(BOB)
    account = await house.tree.find(IMailStore).open(people.id)
    [box] = [box for box in await account.mailboxes() if box.name == mailbox]
    found = []
    async with account.records(box.id, UidSet.all(), Wanted.CONTENT) as cursor:
        while batch := await cursor.next_batch():
            found += [await whole(await account.content(one)) for one in batch.records()]
    return found


async def delete_all(house: MemoryHouse) -> None:
    people = await house.tree.find(IDirectory).account(BOB)
    account = await house.tree.find(IMailStore).open(people.id)
    [box] = await account.mailboxes()
    await account.expunge(box.id, UidSet.all())


def test_a_backup_has_every_content(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path
) -> None:
    house = furnished(mailplat_house(IN_FILES))
    before = house.do(mail(house))
    house.operate("house.backup", target=str(tmp_path / "kept"))
    kept = Backup(tmp_path / "kept")
    restored = tmp_path / "restored"
    restore(kept, kept.manifest(), restored, nothing_served=True)
    there = {path.name: path.read_bytes() for path in restored.glob("contents/*/*/*")}
    for octets in before:
        assert octets in there.values()


def test_a_restore_tells_how_far_it_has_come(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path
) -> None:
    house = furnished(mailplat_house(IN_FILES))
    house.operate("house.backup", target=str(tmp_path / "kept"))
    kept, told = Backup(tmp_path / "kept"), list[tuple[int, int, float]]()
    manifest = kept.manifest()
    restore(kept, manifest, tmp_path / "new", tell=lambda *one: told.append(one))
    assert [files for files, _, _ in told] == list(range(len(manifest.files)))
    shares = [share for _, _, share in told]
    assert shares == sorted(shares)
    assert shares[0] == 0 < shares[-1] <= 1


def test_a_backup_has_what_lies_in_maildirs(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path
) -> None:
    """Their octets are in a folder that begins with a dot, as are all mailboxes but one."""
    house = furnished(mailplat_house(IN_FILES.replace("files", "maildir")))
    before = house.do(mail(house))
    (house.foundation.state / ".restoring.1").mkdir()
    (house.foundation.state / ".restoring.1" / "left").touch()
    house.operate("house.backup", target=str(tmp_path / "kept"))
    kept = Backup(tmp_path / "kept")
    assert not any("left" in file.name for file in kept.manifest().files)
    restored = tmp_path / "restored"
    restore(kept, kept.manifest(), restored, nothing_served=True)
    there = [path.read_bytes() for path in restored.glob("maildir/.contents/*/*/*")]
    assert set(before) <= set(there)


LETTER = b"Subject: from elsewhere\r\n\r\ntext\r\n"


def test_what_maildirs_only_show_is_left_out(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path
) -> None:
    """It is of another moment than the index, and another program may rename it meanwhile."""
    house = furnished(mailplat_house(IN_FILES.replace("files", "maildir")))
    root = house.foundation.state / "maildir" / "example.org" / "bob"
    shown = set((root / "cur").iterdir())
    assert len(shown) == 6
    lost = min(shown)  # what has lost its content is nowhere else
    (tmp_path / "copy").write_bytes(lost.read_bytes())
    (tmp_path / "copy").replace(lost)
    (root / "new" / "1.brought.host").write_bytes(LETTER)
    (root / "dovecot-keywords").write_bytes(b"0 $Work\n")
    house.operate("house.backup", target=str(tmp_path / "kept"))
    names = {file.name for file in Backup(tmp_path / "kept").manifest().files}
    assert {name for name in names if name.startswith("state/maildir/example.org")} == {
        f"state/maildir/example.org/bob/{name}"
        for name in (f"cur/{lost.name}", "new/1.brought.host", "dovecot-keywords")
    }
    assert sum(name.startswith("state/maildir/.contents/") for name in names) >= 6


@pytest.mark.parametrize("nothing_served", [True, False])
def test_what_was_shown_is_shown_anew(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path, nothing_served: bool
) -> None:
    """So nothing is taken for removed by another program where files came later, or went."""
    configured = IN_FILES.replace("files", "maildir")
    house = furnished(mailplat_house(configured))
    before = house.do(mail(house))
    root = house.foundation.state / "maildir" / "example.org" / "bob"
    (root / "new" / "1.brought.host").write_bytes(LETTER)
    house.operate("house.backup", target=str(tmp_path / "kept"))
    kept = Backup(tmp_path / "kept")

    def put_back(state: Path) -> None:
        restore(kept, kept.manifest(), state, nothing_served=nothing_served)

    other = mailplat_house(configured, before=put_back)
    assert sorted(other.do(mail(other))) == sorted([*before, LETTER])
    shown = list((other.foundation.state / "maildir").glob("example.org/bob/*/*"))
    assert sum(path.parent.name in ("cur", "new") for path in shown) == 7


def test_the_house_of_then_is_only_read(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks what was done to its maildirs, which the backup doesn't have."""
    house = furnished(mailplat_house(IN_FILES.replace("files", "maildir")))
    before = house.do(mail(house))
    house.operate("house.backup", target=str(tmp_path / "kept"))
    house.do(delete_all(house))
    looked, look = list[Path](), Maildirs.look

    async def seen(place: Maildirs, *args: Any) -> Any:
        looked.append(place.folder)
        return await look(place, *args)

    monkeypatch.setattr(Maildirs, "look", seen)
    house.operate("house.restore", target=str(tmp_path / "kept"), account=BOB)
    assert sorted(house.do(mail(house, "Restored/INBOX"))) == sorted(before)
    assert set(looked) == {house.foundation.state / "maildir"}


def test_the_reactor_looks_for_no_files(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = furnished(mailplat_house(IN_FILES))
    crew, scan, reach = house.foundation.workers.files, os.scandir, Path.open
    ask, in_thread, times = crew.ask, [False], list[bool]()

    def asked(*args: Any, **more: Any) -> Any:
        in_thread[0] = True
        try:
            return ask(*args, **more)
        finally:
            in_thread[0] = False

    def seen(function: Callable[..., Any]) -> Callable[..., Any]:
        def look(*args: Any, **more: Any) -> Any:
            times.append(in_thread[0])
            return function(*args, **more)

        return look

    monkeypatch.setattr(crew, "ask", asked)
    monkeypatch.setattr(making, "LISTED", 3, raising=False)
    monkeypatch.setattr(os, "scandir", seen(scan))
    monkeypatch.setattr(Path, "open", seen(reach))
    monkeypatch.setattr(Path, "iterdir", seen(Path.iterdir))
    house.operate("house.backup", target=str(tmp_path / "kept"))
    assert len(times) > 6
    assert all(times)


def test_what_is_deleted_meanwhile_is_in_the_backup(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path
) -> None:
    house = furnished(mailplat_house(f"{IN_FILES}private = true\n"))
    folder = house.foundation.state / "contents"
    files = set(folder.glob("*/*/*"))
    let_go = house.tree.find(IMailStore).hold()
    house.do(delete_all(house))
    house.do(house.tree.find(IMailStore).open("another"))
    assert set(folder.glob("*/*/*")) == files
    let_go()
    house.do(house.tree.find(IMailStore).open("another"))
    assert len(list(folder.glob("*/*/*"))) == 1


@pytest.mark.parametrize("place", ["files", "maildir"])
def test_one_accounts_mail_is_put_back(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path, place: str
) -> None:
    house = furnished(mailplat_house(IN_FILES.replace("files", place)))
    before = house.do(mail(house))
    house.operate("house.backup", target=str(tmp_path / "kept"))
    house.do(delete_all(house))
    house.operate("house.restore", target=str(tmp_path / "kept"), account=BOB)
    assert sorted(house.do(mail(house, "Restored/INBOX"))) == sorted(before)


@pytest.mark.parametrize("place", ["files", "maildir"])
def test_the_disk_that_contents_lie_on_has_to_have_room(
    mailplat_house: Callable[..., MemoryHouse],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    apart = tmp_path / "apart"
    apart.mkdir()
    room = Disk.room

    def has_no_room(disk: Disk, folder: Path) -> int:
        return 1000 if folder.is_relative_to(apart) else room(disk, folder)

    def device(_disk: Disk, folder: Path) -> int:
        return 2 if folder.is_relative_to(apart) else 1

    monkeypatch.setattr(Disk, "device", device)
    settings = f'[contents.{place}]\nfolder = "{apart / "mail"}"\n'
    house = furnished(mailplat_house(IN_FILES.replace("files", place) + settings))
    house.do(delete_all(house))
    store = house.tree.find(IMailStore)

    def kept() -> int:
        return sum(one.kept.messages for one in house.do(store.usage()).values())

    assert kept() == 6
    monkeypatch.setattr(Disk, "room", has_no_room)
    text = b"Subject: no room\r\n\r\n"
    assert house.deliver(text, to=BOB).startswith("452")
    house.do(store.open("another"))
    assert kept() == 0
    monkeypatch.setattr(Disk, "room", room)
    assert house.deliver(text, to=BOB).startswith("250")


def test_contents_that_lie_elsewhere_are_named_and_never_swept(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path
) -> None:
    apart: Any = tmp_path / "elsewhere"
    house = furnished(mailplat_house(f'{IN_FILES}[contents.files]\nfolder = "{apart}"\n'))
    house.operate("house.backup", target=str(tmp_path / "kept"))
    before = house.do(mail(house))
    with pytest.raises(Unsupported, match="in the state folder"):
        house.operate("house.restore", target=str(tmp_path / "kept"), account=BOB)
    assert house.do(mail(house)) == before


SOMEWHERE = """
from mailplat.testing.fakes import FakeContents
from mailplat.plugin import Settings


class CloudSettings(Settings):
    bucket: str = "mail"


class Cloud(FakeContents):
    def __init__(self, settings: CloudSettings) -> None:
        super().__init__()
"""


def test_a_place_that_lies_nobody_knows_where_is_named(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cloud_of_test.py").write_text(SOMEWHERE)
    monkeypatch.syspath_prepend(tmp_path)
    house = furnished(
        mailplat_house(
            '[store.main]\nuse = "indexed"\ncontents = "cloud"\n\n'
            '[contents.cloud]\nuse = "cloud_of_test:Cloud"\n'
        )
    )
    made = house.operate("house.backup", target=str(tmp_path / "kept"))
    assert made["left_out"] == ["contents.cloud"]
