"""Moves mail in and out of a house, cuts it off in the middle, and goes on."""

from __future__ import annotations

import io
import itertools
import json
import os
import random
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import attrs
import pytest

from mailplat.app.cli import main
from mailplat.app.cli.places import Office
from mailplat.mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from mailplat.moving import mbox
from mailplat.moving.sources import FileSource
from mailplat.moving.trees import opened
from mailplat.testing.programs import House, Program, wait_until

PASSWORD = "secret enough"
TRIES = 5  # imports that may be over before a signal comes
FLAGS = (SEEN, ANSWERED, FLAGGED, DELETED, DRAFT, "$Forwarded", "$Work", "other")


def letter(number: int) -> bytes:
    chance = random.Random(number)
    lines = b"From line to line, %d\r\n.\r\n\r\n>From\r\n" % number
    size = 1_500_000 if number % 250 == 7 else chance.randrange(16_000)
    head = b"Subject: letter %d\r\nMessage-ID: <%d@example.net>\r\n\r\n" % (number, number)
    return head + lines * (size // len(lines) + 1)


def flags(number: int) -> frozenset[str]:
    chance = random.Random(number)
    return frozenset(chance.sample(FLAGS, chance.randrange(4)))


def write_mbox(path: Path, numbers: range) -> None:
    with path.open("wb") as file:
        for number in numbers:
            file.writelines(mbox.written([letter(number)], flags(number), 1.7e9 + number))


@attrs.frozen
class Mail:
    """An mbox, and how many messages are in it."""

    path: Path
    messages: int


@pytest.fixture(scope="module", params=[300, pytest.param(1000, marks=pytest.mark.long)])
def mail(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mail:
    """Many letters, and the last one twice more."""
    path, count = tmp_path_factory.mktemp("mail") / "many.mbox", request.param
    write_mbox(path, range(count))
    with path.open("ab") as file:
        for _ in range(2):
            last = mbox.written([letter(count - 1)], flags(count - 1), 1.7e9 + count - 1)
            file.writelines(last)
    return Mail(path, count + 2)


@attrs.define
class Served:
    """A house whose server runs but for a while; its commands are run in this process."""

    house: House
    server: Program
    _names: Iterator[int] = attrs.field(factory=itertools.count)

    def account(self) -> str:
        """Return the name of a new account."""
        name = f"person{next(self._names)}@example.org"
        Office(self.house.config).call("account.add", name=name, password=PASSWORD)
        return name

    def run(self, *words: object) -> str:
        """Run a command; raises `SystemExit` where it ends with another status than 0."""
        said = io.StringIO()
        with redirect_stdout(said):
            main(["--config", str(self.house.config), *map(str, words)], standalone_mode=False)
        return said.getvalue()

    def words(self, *words: object) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.run(*words, "--json"))
        return said

    def begin(self, *words: object) -> subprocess.Popen[bytes]:
        """Run a command as a program of its own."""
        return subprocess.Popen(
            [Path(sys.executable).with_name("mailplat"), *map(str, words)],
            env={**os.environ, "MAILPLAT_CONFIG": str(self.house.config)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let commands do without a server."""
        self.server.stop()
        try:
            yield
        finally:
            self.server = self.house.start()

    def messages(self) -> int:
        """Return how many messages are in the database, whoever has it open."""
        path = f"file:{self.house.folder}/state/mail.db?mode=ro"
        with closing(sqlite3.connect(path, uri=True)) as database:
            found: int = database.execute("SELECT count(*) FROM store_messages").fetchone()[0]
            return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One house for all; each test has accounts of its own."""
    house = House(tmp_path_factory.mktemp("moving") / "house")
    house.make({})
    served = Served(house, house.start())
    yield served
    served.server.stop()


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power goes here, and others may have much to sync."""
    monkeypatch.setattr(os, "sync", lambda: None)


Kept = Counter[tuple[str, bytes, frozenset[str], float]]


def kept(house: Served, account: str, target: Path, form: str = "eml") -> Kept:
    """Return what an account has, by an export of it."""
    house.words("export", account, target, "--format", form)
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


def begun(house: Served, account: str, mail: Mail) -> subprocess.Popen[bytes]:
    """Begin an import, and return it when its first messages have come in."""
    before = house.messages()
    importing = house.begin("import", account, mail.path)
    wait_until(lambda: house.messages() > before, "mail comes in")
    return importing


def cut_off(house: Served, accounts: list[str], mail: Mail, how: signal.Signals) -> str:
    """Import until a signal ends it in the middle; return the account."""
    while accounts:
        account = accounts.pop()
        importing = begun(house, account, mail)
        importing.send_signal(how)
        if importing.wait(30) != 0:
            return account
    raise AssertionError("all was there before the signal, each time")


def goes_on(house: Served, account: str, mail: Mail, tally: Mapping[str, Any]) -> None:
    """See that a second import has added what the first had not, and a third nothing."""
    assert tally["added"] + tally["known"] == mail.messages
    assert tally["known"] > 0
    assert house.words("import", account, mail.path)["added"] == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_import_that_is_cut_off_goes_on(
    house: Served, mail: Mail, tmp_path: Path, how: signal.Signals
) -> None:
    account = cut_off(house, [house.account() for _ in range(TRIES)], mail, how)
    goes_on(house, account, mail, house.words("import", account, mail.path))
    assert kept(house, account, tmp_path / "out") == read(mail.path)


def test_an_import_without_a_server_that_is_cut_off_goes_on(
    house: Served, mail: Mail, tmp_path: Path
) -> None:
    tallies = {}
    accounts = [house.account() for _ in range(3 * TRIES)]
    with house.stopped():
        for how in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            account = cut_off(house, accounts, mail, how)
            said = house.house.run("import", account, str(mail.path), "--json")
            tallies[account] = json.loads(said)
    for number, (account, tally) in enumerate(tallies.items()):
        goes_on(house, account, mail, tally)
        assert kept(house, account, tmp_path / f"out{number}") == read(mail.path)


def test_a_server_that_is_killed_meanwhile(house: Served, mail: Mail, tmp_path: Path) -> None:
    """The command goes on by itself, with the next server or without one."""
    account = house.account()
    importing = begun(house, account, mail)
    house.server.kill()
    house.server = house.house.start()
    assert importing.wait(120) == 0
    assert kept(house, account, tmp_path / "out") == read(mail.path)


def test_an_export_that_is_cut_off_goes_on(house: Served, mail: Mail, tmp_path: Path) -> None:
    account = house.account()
    house.words("import", account, mail.path)
    expected = read(mail.path)
    for form in ("mbox", "maildir", "eml"):
        target = tmp_path / form
        exporting = house.begin("export", account, target, "--format", form)
        wait_until((target / ".mailplat-export").exists, "an export that begins")
        exporting.kill()
        exporting.wait()
        assert kept(house, account, target, form) == expected
    write_mbox(tmp_path / "later.mbox", range(5000, 5003))
    house.words("import", account, tmp_path / "later.mbox")
    expected += read(tmp_path / "later.mbox")
    for form in ("mbox", "maildir", "eml"):
        assert kept(house, account, tmp_path / form, form) == expected


@pytest.fixture(scope="module")
def furnished(house: Served, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An account that has mailboxes of all names."""
    source = tmp_path_factory.mktemp("source")
    lines = []
    for number, name in enumerate(
        ["INBOX", "Sent", "a/b/c", "cur/new", ".hidden/..", "Entwürfe & Co", "100%", "x" * 300]
    ):
        write_mbox(source / f"{number}.mbox", range(number * 5, number * 5 + 4))
        facts = {"folder": f"{number}.mbox", "name": name, "subscribed": number % 2 > 0}
        lines.append({**facts, "role": "\\Sent" if name == "Sent" else ""})
    lines.append({"folder": "9", "name": "empty", "role": "\\Trash", "subscribed": True})
    (source / "mailboxes.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    account = house.account()
    house.words("import", account, source)
    return account


def names(folder: Path) -> list[Mapping[str, object]]:
    lines = (folder / "mailboxes.jsonl").read_text().splitlines()
    said = [json.loads(line) for line in lines]
    return [{key: one[key] for key in ("name", "role", "subscribed")} for one in said]


@pytest.mark.parametrize("form", ["mbox", "maildir", "eml"])
def test_what_goes_out_comes_in_again(
    house: Served, furnished: str, tmp_path: Path, form: str
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    mail, other = kept(house, furnished, first, form), house.account()
    assert sum(mail.values()) == 8 * 4
    tally = house.words("import", other, first)
    assert (tally["added"], tally["left_out"], tally["passed_over"]) == (8 * 4, 0, 0)
    assert kept(house, other, second, form) == mail
    assert names(first) == names(second)
    assert {"name": "empty", "role": "\\Trash", "subscribed": True} in names(second)
    assert kept(house, other, tmp_path / "exact") == mail


def test_only_some_mailboxes(house: Served, furnished: str, tmp_path: Path) -> None:
    chosen = ["--mailbox", "Sent", "--mailbox", "a/b/c"]
    report = house.words("export", furnished, tmp_path / "out", *chosen)
    assert (report["mailboxes"], report["messages"]) == (2, 8)
    assert {name for name, *_ in read(tmp_path / "out")} == {"Sent", "a/b/c"}


SHOWN = re.findall(
    r"^mailplat ((?:import|export) (?!.*://).*)$",
    (Path(__file__).parents[2] / "docs/moving-mail.md").read_text("utf-8"),
    re.MULTILINE,
)


def test_the_commands_of_the_document_do_as_it_says(
    house: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    alice = "alice@example.org"
    Office(house.house.config).call("account.add", name=alice, password=PASSWORD)
    write_mbox(tmp_path / "old.mbox", range(3))
    for name in ("Maildir/cur", "Maildir/.Sent/cur"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.a.host:2,S").write_bytes(letter(8))
    with zipfile.ZipFile("thunderbird-profile.zip", "w") as packed:
        packed.write(tmp_path / "old.mbox", "Inbox.sbd/Old")
    added = [3, 3, 2, 3]
    for line in SHOWN:
        said = house.words(*shlex.split(line))
        assert said.get("added") == (added.pop(0) if "import" in line else None)
    assert not added
    for name in ("mbox", "maildir"):
        assert sum(read(tmp_path / f"alice-{name}").values()) == 11
    assert {name for name, *_ in read(tmp_path / "alice-eml")} == {"INBOX", "Sent"}


def test_what_is_refused_is_said(house: Served, tmp_path: Path) -> None:
    def refused(*words: object) -> str:
        said = io.StringIO()
        with redirect_stderr(said), pytest.raises(SystemExit) as ended:
            house.run(*words)
        assert ended.value.code == 1
        return said.getvalue()

    (tmp_path / "full").mkdir()
    (tmp_path / "full/thing").touch()
    ann = house.account()
    assert "neither a file nor a folder" in refused("import", ann, tmp_path / "none")
    assert "no account eve@" in refused("import", "eve@example.org", tmp_path / "full")
    assert "holds something else" in refused("export", ann, tmp_path / "full")
    assert "no mailbox Sent" in refused("export", ann, tmp_path / "new", "--mailbox", "Sent")


def test_by_another_name_all_of_it_comes_in_anew(house: Served, tmp_path: Path) -> None:
    write_mbox(tmp_path / "some.mbox", range(3))
    ann = ("import", house.account(), tmp_path / "some.mbox")
    assert [
        house.words(*ann, *more)["added"] for more in ((), (), ("--anew", "2"), ("--anew", "2"))
    ] == [3, 0, 3, 0]
    assert house.words(*ann, "--into", "Old")["added"] == 3
