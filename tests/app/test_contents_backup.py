"""A backup of a house whose contents lie in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailplat.app.keeping.manifest import Backup
from mailplat.app.keeping.restoring import restore
from mailplat.files import Disk
from mailplat.interfaces import IDirectory, IMailStore
from mailplat.mail.content import whole
from mailplat.mail.errors import Unsupported
from mailplat.mail.mailbox import UidSet, Wanted
from mailplat.pytest_plugin import MemoryHouse

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
