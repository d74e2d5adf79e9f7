"""Mailboxes that are written into a folder, whatever becomes of it meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from mailplat.moving.sending import Said
from mailplat.moving.sources import FileSource
from mailplat.moving.trees import opened
from mailplat.moving.writing import FORMS, STATE, NotWritten, Writing, Written

AT_ONCE = 3  # messages in an answer


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power goes here, and others may have much to sync."""
    monkeypatch.setattr(os, "sync", lambda: None)


@attrs.define
class FakeHouse:
    """Answers as an export does, for one mailbox."""

    mail: dict[int, bytes]
    asked: int = 0  # how often messages were asked for
    answers: int = 1000  # after so many it hangs up
    names: tuple[str, ...] = ("INBOX",)  # mailboxes, each with this mail

    def ask(self, head: dict[str, Any], octets: bytes = b"") -> Said:
        if head["do"] == "boxes":
            box = {"id": "1", "role": "", "subscribed": False, "uid_validity": 7}
            box["messages"] = len(self.mail)
            return {"boxes": [{**box, "name": name} for name in self.names]}, b""
        return getattr(self, f"_{head['do']}")(head)

    def _messages(self, head: dict[str, Any]) -> Said:
        self.asked += 1
        if self.asked > self.answers:
            raise EOFError
        uids = sorted(uid for uid in self.mail if uid > head["after"])[:AT_ONCE]
        told = [
            {
                "uid": uid,
                "size": len(self.mail[uid]),
                "flags": [],
                "received": 1.7e9 + uid,
                "large": False,
            }
            for uid in uids
        ]
        return {"messages": told}, b"".join(self.mail[uid] for uid in uids)

    def say(self, head: dict[str, Any], octets: bytes = b"") -> None:
        raise NotImplementedError

    def hear(self) -> Said:
        raise NotImplementedError


def letters(count: int) -> dict[int, bytes]:
    return {
        uid: b"Subject: %d\r\n\r\n%s\r\n" % (uid, b"x" * 100) for uid in range(1, count + 1)
    }


def write(house: FakeHouse, target: Path, form: str) -> Written:
    return Writing(house, target, form, "ann@example.org", lambda _report: None).write()


def read(target: Path) -> Counter[bytes]:
    with opened(target) as tree:
        source = FileSource(tree)
        source.boxes()
        return Counter(b"".join(one.pieces) for one in source.letters())


@pytest.mark.parametrize("form", FORMS)
def test_what_was_taken_away_is_written_anew(tmp_path: Path, form: str) -> None:
    house = FakeHouse(letters(10))
    target = tmp_path / "out"
    write(house, target, form)
    for path in target.iterdir():
        if path.name.startswith("INBOX"):
            path.unlink() if path.is_file() else shutil.rmtree(path)
        elif path.name in ("cur", "new", "tmp"):
            shutil.rmtree(path)
    assert write(house, target, form).messages == 10
    assert read(target) == Counter(house.mail.values())


@pytest.mark.parametrize("form", FORMS)
def test_the_state_speaks_of_what_is_synced(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    synced: list[dict[Path, int]] = [{}]
    states: list[bool] = []
    rename = Path.rename

    def sizes() -> dict[Path, int]:
        files = [path for path in target.rglob("*") if path.is_file()]
        return {path: path.stat().st_size for path in files if STATE not in path.name}

    def look(path: Path, other: Path) -> Path:
        if other.name == STATE:
            states.append(sizes() == synced[-1])
        return rename(path, other)

    monkeypatch.setattr(os, "sync", lambda: synced.append(sizes()))
    monkeypatch.setattr(Path, "rename", look)
    write(FakeHouse(letters(10)), target, form)
    assert states
    assert all(states)


@pytest.mark.parametrize("form", FORMS)
def test_what_lost_its_end_is_written_anew(tmp_path: Path, form: str) -> None:
    house = FakeHouse(letters(10))
    target = tmp_path / "out"
    write(house, target, form)
    for path in (*target.glob("*.mbox"), *target.glob("*/messages.jsonl")):
        os.truncate(path, path.stat().st_size - 20)
    house.mail[11] = b"Subject: later\r\n\r\n\r\n"
    write(house, target, form)
    assert read(target) == Counter(house.mail.values())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("answers", [0, 1, 2])
def test_a_run_that_begins_anew_may_be_cut_off(tmp_path: Path, form: str, answers: int) -> None:
    house = FakeHouse(letters(3))
    target = tmp_path / "out"
    write(house, target, form)
    for path in (*target.glob("*.mbox"), *target.glob("*/messages.jsonl")):
        os.truncate(path, 0)
    house = FakeHouse(letters(10), answers=answers)
    with pytest.raises(EOFError):
        write(house, target, form)
    write(FakeHouse(house.mail), target, form)
    assert read(target) == Counter(house.mail.values())


@pytest.mark.parametrize("form", FORMS)
def test_a_disk_that_is_full_is_told_as_such(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: str, _flags: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mailplat.moving.writing._open_private", full)
    with pytest.raises(NotWritten, match=r"can't be written to: .*No space left"):
        write(FakeHouse(letters(1)), tmp_path / "out", form)


def test_a_target_that_vanishes_is_told_as_such(tmp_path: Path) -> None:
    target = tmp_path / "out"

    @attrs.define
    class Vanishing(FakeHouse):
        def _messages(self, head: dict[str, Any]) -> Said:
            shutil.rmtree(target, ignore_errors=True)
            return super()._messages(head)

    with pytest.raises(NotWritten, match="No such file"):
        write(Vanishing(letters(4)), target, "eml")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "planted",
    [
        "INBOX.mbox",
        "INBOX",
        "cur",
        "tmp",
        "mailboxes.jsonl",
        ".mailplat-export",
        ".mailplat-export.new",
    ],
)
def test_a_link_in_the_folder_is_not_followed(tmp_path: Path, form: str, planted: str) -> None:
    target, victim = tmp_path / "out", tmp_path / "victim"
    is_folder = planted in ("INBOX", "cur", "tmp")
    victim.mkdir() if is_folder else victim.write_bytes(b"{}")
    target.mkdir()
    (target / ".mailplat-export").write_bytes(b"{}")
    (target / planted).unlink(missing_ok=True)
    (target / planted).symlink_to(victim)
    with suppress(NotWritten):
        write(FakeHouse(letters(2)), target, form)
    assert (not list(victim.iterdir())) if is_folder else victim.read_bytes() == b"{}"


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_of_somebody_else_is_not_taken_over(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    write(FakeHouse(letters(2)), target, form)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(NotWritten, match="it belongs to somebody else"):
        write(FakeHouse(letters(2)), target, form)


NAMES = (
    "INBOX", "a", "a.mbox", "a.mbox/b", "a.MBX/mbox", "x", "x/messages.jsonl", "x/1.eml", "x/2.EML/y",
    "mailboxes.jsonl", "mailboxes.jsonl/x", "mailplat-export", "mailplat-export/new",
    "mailplat-export.new", "dovecot-keywords", "Maildirfolder/x", "cur", "cur/new", "d.msf", "e.sbd/f",
    "a%2Embox", "." * 200 + ".mbox",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_no_name_of_a_mailbox_is_in_the_way(tmp_path: Path, form: str) -> None:
    house = FakeHouse(letters(2), names=NAMES)
    report = write(house, tmp_path / "out", form)
    assert not report.named
    with opened(tmp_path / "out") as tree:
        source = FileSource(tree)
        assert sorted(box.name for box in source.boxes()) == sorted(NAMES)
        found = Counter(letter.mailbox for letter in source.letters())
    assert found == Counter(dict.fromkeys(NAMES, 2))
    assert write(house, tmp_path / "out", form).messages == 0


@pytest.mark.parametrize(
    ("form", "planted"), [("mbox", "b.mbox"), ("eml", "b"), ("maildir", ".b")]
)
def test_a_mailbox_that_has_no_place_does_not_stop_the_others(
    tmp_path: Path, form: str, planted: str
) -> None:
    target = tmp_path / "out"
    write(FakeHouse(letters(2)), target, form)
    (target / planted).symlink_to(tmp_path)
    report = write(FakeHouse(letters(2), names=("INBOX", "b", "c")), target, form)
    assert [one["place"] for one in report.named] == ["b"]
    assert (report.left_out, report.mailboxes, report.messages) == (1, 2, 2)
    assert read(target) >= Counter(dict.fromkeys(letters(2).values(), 2))
