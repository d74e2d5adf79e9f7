"""What somebody may put into a maildir that is no mail."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mailplat.mail.mailbox import INBOX
from mailplat.store.contents.maildir.strange import is_folder, read_strange
from mailplat.testing.contracts.accounts import ALICE, HELLO, named, numbered

BOB = "bob"


@pytest.mark.parametrize("part", ["cur", "new"])
async def test_a_link_leads_to_nobody_elses_mail(scene: Any, part: str) -> None:
    bob = await scene.store.open(BOB)
    await bob.append((await named(bob, INBOX)).id, [HELLO])
    async with scene.store.showing.quiet(BOB):
        theirs = scene.root.parent / "bob"
    evil = scene.root / ".Evil"
    await scene.store.open(ALICE)
    for name in ("cur", "new", "tmp"):
        if name != part:
            (evil / name).mkdir(parents=True)
    (evil / part).symlink_to(theirs / "cur")
    account = await scene.store.open(ALICE)
    for box in await account.mailboxes():
        assert not (await account.index(box.id)).uids
        if box.name != INBOX:
            await account.remove(box.id)
    await scene.store.open(ALICE)
    bob = await scene.store.open(BOB)
    assert list((await bob.index((await named(bob, INBOX)).id)).uids) == [1]
    assert len(list((theirs / "cur").iterdir())) == 1


@pytest.mark.parametrize("name", ["dovecot-keywords", "mailplat", "cur/1.M1P1.other:2,"])
async def test_a_pipe_keeps_nobody_waiting(scene: Any, name: str) -> None:
    account = await scene.store.open(ALICE)
    box = await account.create("box")
    await account.append(box.id, [numbered(1)])
    async with scene.store.showing.quiet(ALICE):
        pipe = scene.root / ".box" / name
        pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    (scene.root / ".other/cur").mkdir(parents=True)  # so that it looks at all of them
    account = await scene.store.open(ALICE)
    assert INBOX in {one.name for one in await account.mailboxes()}


def test_only_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert read_strange(tmp_path / "file", 5) == b"01234"
    for name in ("link", "pipe", "none", "file/below", "."):
        assert read_strange(tmp_path / name, 5) is None
    (tmp_path / "folder").symlink_to(".")
    assert is_folder(tmp_path)
    assert not is_folder(tmp_path / "folder")
    assert not is_folder(tmp_path / "file/below")
