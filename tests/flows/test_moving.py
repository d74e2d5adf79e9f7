"""Moves mail in and out of a house, cuts it off in the middle, and goes on."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mailplat.mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from mailplat.moving import mbox
from mailplat.moving.sources import FileSource
from mailplat.moving.trees import opened
from mailplat.testing.programs import House, wait_until

PASSWORD = "secret enough"
MANY = 1000
FLAGS = (SEEN, ANSWERED, FLAGGED, DELETED, DRAFT, "$Forwarded", "$Work", "other")


def letter(number: int) -> bytes:
    chance = random.Random(number)
    lines = b"From line to line, %d\r\n.\r\n\r\n>From\r\n" % number
    size = 1_500_000 if number % 500 == 7 else chance.randrange(16_000)
    head = b"Subject: letter %d\r\nMessage-ID: <%d@example.net>\r\n\r\n" % (number, number)
    return head + lines * (size // len(lines) + 1)


def flags(number: int) -> frozenset[str]:
    chance = random.Random(number)
    return frozenset(chance.sample(FLAGS, chance.randrange(4)))


def write_mbox(path: Path, numbers: range) -> None:
    with path.open("wb") as file:
        for number in numbers:
            file.writelines(mbox.written([letter(number)], flags(number), 1.7e9 + number))


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a thousand letters, and the last one twice more."""
    path = tmp_path_factory.mktemp("mail") / "many.mbox"
    write_mbox(path, range(MANY))
    with path.open("ab") as file:
        for _ in range(2):
            last = mbox.written([letter(MANY - 1)], flags(MANY - 1), 1.7e9 + MANY - 1)
            file.writelines(last)
    return path


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path / "house")
    house.make({"ann": PASSWORD, "ben": PASSWORD})
    return house


def words(house: House, *words: object) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(house.run(*map(str, words), "--json"))
    return said


def begin(house: House, *words: object) -> subprocess.Popen[bytes]:
    program = Path(sys.executable).with_name("mailplat")
    return subprocess.Popen(
        [program, *map(str, words)],
        env={**os.environ, "MAILPLAT_CONFIG": str(house.config)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


Kept = Counter[tuple[str, bytes, frozenset[str], float]]


def kept(house: House, account: str, target: Path, form: str = "eml") -> Kept:
    """Return what an account has, by an export of it."""
    words(house, "export", account, target, "--format", form)
    return read(target)


def read(source: Path) -> Kept:
    found: Kept = Counter()
    with opened(source) as tree:
        files = FileSource(tree)
        files.boxes()
        for one in files.letters():
            assert one.received is not None
            octets = b"".join(one.pieces)
            found[one.mailbox, octets, one.flags, one.received] += 1
    return found


def size_of_database(house: House) -> int:
    return sum(path.stat().st_size for path in house.folder.glob("state/mail.db*"))


def until_it_grows(house: House, octets: int) -> None:
    before = size_of_database(house)
    wait_until(lambda: size_of_database(house) > before + octets, "mail comes in")


def cut_off(house: House, mailbox: Path, how: signal.Signals) -> str:
    """Import until a signal ends it in the middle; return the account."""
    for account in ("ann@example.org", "ben@example.org"):
        importing = begin(house, "import", account, mailbox)
        until_it_grows(house, 3 << 20)
        importing.send_signal(how)
        if importing.wait(30) != 0:
            return account
    raise AssertionError("all was there before the signal, each time")


@pytest.mark.parametrize(
    ("served", "how"),
    [
        (False, signal.SIGTERM),
        (False, signal.SIGINT),
        (False, signal.SIGKILL),
        (True, signal.SIGTERM),
        (True, signal.SIGKILL),
    ],
)
def test_an_import_that_is_cut_off_goes_on(
    house: House, mailbox: Path, tmp_path: Path, how: signal.Signals, served: bool
) -> None:
    server = house.start() if served else None
    try:
        account = cut_off(house, mailbox, how)
        tally = words(house, "import", account, mailbox)
        assert tally["added"] + tally["known"] == MANY + 2
        assert tally["known"] > 0
        assert words(house, "import", account, mailbox)["added"] == 0
        assert kept(house, account, tmp_path / "out") == read(mailbox)
    finally:
        if server:
            server.stop()


def test_a_server_that_is_killed_meanwhile(house: House, mailbox: Path, tmp_path: Path) -> None:
    """The command goes on by itself, with the next server or without one."""
    server = house.start()
    importing = begin(house, "import", "ann@example.org", mailbox)
    until_it_grows(house, 3 << 20)
    server.kill()
    with house.start():
        assert importing.wait(120) == 0
        assert kept(house, "ann@example.org", tmp_path / "out") == read(mailbox)


def test_an_export_that_is_cut_off_goes_on(house: House, mailbox: Path, tmp_path: Path) -> None:
    words(house, "import", "ann@example.org", mailbox)
    expected = read(mailbox)
    for form in ("mbox", "maildir", "eml"):
        target = tmp_path / form
        exporting = begin(house, "export", "ann@example.org", target, "--format", form)
        wait_until((target / ".mailplat-export").exists, "an export that begins")
        exporting.kill()
        exporting.wait()
        assert kept(house, "ann@example.org", target, form) == expected
    write_mbox(tmp_path / "later.mbox", range(MANY, MANY + 3))
    words(house, "import", "ann@example.org", tmp_path / "later.mbox")
    expected += read(tmp_path / "later.mbox")
    for form in ("mbox", "maildir", "eml"):
        assert kept(house, "ann@example.org", tmp_path / form, form) == expected


@pytest.fixture
def furnished(house: House, tmp_path: Path) -> Iterator[House]:
    """A house in which an account has mailboxes of all names."""
    source = tmp_path / "source"
    source.mkdir()
    lines = []
    for number, name in enumerate(
        ["INBOX", "Sent", "a/b/c", "cur/new", ".hidden/..", "Entwürfe & Co", "100%", "x" * 300]
    ):
        write_mbox(source / f"{number}.mbox", range(number * 5, number * 5 + 4))
        facts = {"folder": f"{number}.mbox", "name": name, "subscribed": number % 2 > 0}
        lines.append({**facts, "role": "\\Sent" if name == "Sent" else ""})
    lines.append({"folder": "9", "name": "empty", "role": "\\Trash", "subscribed": True})
    (source / "mailboxes.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    with house.start():
        words(house, "import", "ann@example.org", source)
        yield house


def names(folder: Path) -> list[Mapping[str, object]]:
    lines = (folder / "mailboxes.jsonl").read_text().splitlines()
    said = [json.loads(line) for line in lines]
    return [{key: one[key] for key in ("name", "role", "subscribed")} for one in said]


@pytest.mark.parametrize("form", ["mbox", "maildir", "eml"])
def test_what_goes_out_comes_in_again(furnished: House, tmp_path: Path, form: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    mail = kept(furnished, "ann@example.org", first, form)
    assert sum(mail.values()) == 8 * 4
    tally = words(furnished, "import", "ben@example.org", first)
    assert (tally["added"], tally["left_out"], tally["passed_over"]) == (8 * 4, 0, 0)
    assert kept(furnished, "ben@example.org", second, form) == mail
    assert names(first) == names(second)
    assert {"name": "empty", "role": "\\Trash", "subscribed": True} in names(second)
    assert kept(furnished, "ben@example.org", tmp_path / "exact") == mail


def test_only_some_mailboxes(furnished: House, tmp_path: Path) -> None:
    chosen = ["--mailbox", "Sent", "--mailbox", "a/b/c"]
    report = words(furnished, "export", "ann@example.org", tmp_path / "out", *chosen)
    assert (report["mailboxes"], report["messages"]) == (2, 8)
    assert {name for name, *_ in read(tmp_path / "out")} == {"Sent", "a/b/c"}


SHOWN = re.findall(
    r"^mailplat ((?:import|export) (?!.*://).*)$",
    (Path(__file__).parents[2] / "docs/moving-mail.md").read_text("utf-8"),
    re.MULTILINE,
)


def test_the_commands_of_the_document_do_as_it_says(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    house.run("account", "add", "alice@example.org", "--password-stdin", said=PASSWORD)
    write_mbox(tmp_path / "old.mbox", range(3))
    for name in ("Maildir/cur", "Maildir/.Sent/cur"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.a.host:2,S").write_bytes(letter(8))
    with zipfile.ZipFile("thunderbird-profile.zip", "w") as packed:
        packed.write(tmp_path / "old.mbox", "Inbox.sbd/Old")
    added = [3, 3, 2, 3]
    with house.start():
        for line in SHOWN:
            said = words(house, *shlex.split(line))
            assert said.get("added") == (added.pop(0) if "import" in line else None)
    assert not added
    for name in ("mbox", "maildir"):
        assert sum(read(tmp_path / f"alice-{name}").values()) == 11
    assert {name for name, *_ in read(tmp_path / "alice-eml")} == {"INBOX", "Sent"}


def test_what_is_refused_is_said(house: House, tmp_path: Path) -> None:
    def refused(*words: object) -> str:
        done = subprocess.run(
            [Path(sys.executable).with_name("mailplat"), *map(str, words)],
            env={**os.environ, "MAILPLAT_CONFIG": str(house.config)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        return done.stderr

    (tmp_path / "full").mkdir()
    (tmp_path / "full/thing").touch()
    ann = "ann@example.org"
    assert "neither a file nor a folder" in refused("import", ann, tmp_path / "none")
    assert "no account eve@" in refused("import", "eve@example.org", tmp_path / "full")
    assert "holds something else" in refused("export", ann, tmp_path / "full")
    assert "no mailbox Sent" in refused("export", ann, tmp_path / "new", "--mailbox", "Sent")


def test_by_another_name_all_of_it_comes_in_anew(house: House, tmp_path: Path) -> None:
    write_mbox(tmp_path / "some.mbox", range(3))
    ann = ("import", "ann@example.org", tmp_path / "some.mbox")
    assert [
        words(house, *ann, *more)["added"]
        for more in ((), (), ("--anew", "2"), ("--anew", "2"))
    ] == [3, 0, 3, 0]
    assert words(house, *ann, "--into", "Old")["added"] == 3
