"""Backups and migrations are cut off in the middle by a signal, and go on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.app.cli.places import Office
from mailplat.testing.commands import mailplat
from mailplat.testing.programs import House, Program, wait_until

ANN = "ann@example.org"
MESSAGES, SIZE = 400, 50_000
TRIES = 5  # commands that may be over before a signal comes


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of some letters, each with other octets."""
    house = House(tmp_path_factory.mktemp("interrupted") / "house")
    house.make({"ann": "secret enough"})
    letters = house.folder / "letters"
    letters.mkdir()
    for number in range(MESSAGES):
        lines = b"".join(b"%d %d\r\n" % (number, line) for line in range(SIZE // 10))
        (letters / f"{number}.eml").write_bytes(b"Subject: %d\r\n\r\n%b" % (number, lines))
    done = command(house, "import", ANN, str(letters))
    assert done["added"] == MESSAGES
    return house


@pytest.fixture
def server(house: House) -> Iterator[Program]:
    server = house.start()
    yield server
    server.stop()


def command(house: House, *words: str) -> dict[str, object]:
    done = mailplat("--config", str(house.config), *words, "--json")
    assert done.returncode == 0, done.stderr
    said: dict[str, object] = json.loads(done.stdout)
    return said


def begin(house: House, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [Path(sys.executable).with_name("mailplat"), *words],
        env={**os.environ, "MAILPLAT_CONFIG": str(house.config)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def pieces(kept: Path) -> int:
    return len(list(kept.glob("chunks/??/*")))


def cut_off(house: House, folder: Path, how: signal.Signals) -> Path:
    """Begin a backup until a signal ends one in the middle; return its folder."""
    for number in range(TRIES):
        kept = folder / f"kept{number}"
        running = begin(house, "backup", str(kept))
        wait_until(lambda kept=kept: pieces(kept) > 0, "a backup that begins")
        running.send_signal(how)
        if running.wait(60) != 0 and not list(kept.glob("generations/*")):
            return kept
    raise AssertionError("all was kept before the signal, each time")


def goes_on(house: House, kept: Path) -> None:
    """See that another one has all, what the first had kept but once, and can be put back."""
    made = command(house, "backup", str(kept))
    again = command(house, "backup", str(kept), "--without-journal")
    assert int(str(made["copied"])) < int(str(made["size"]))
    assert int(str(again["copied"])) < int(str(again["size"])) / 10
    assert len(list(kept.glob("generations/*"))) == 2
    command(house, "restore", str(kept), "--check")
    state = kept.with_name("state")
    command(house, "restore", str(kept), "--into", str(state))
    assert (state / "mail.db").exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.usefixtures("server")
def test_a_backup_that_is_cut_off_goes_on(
    house: House, tmp_path: Path, how: signal.Signals
) -> None:
    goes_on(house, cut_off(house, tmp_path, how))


def test_a_backup_without_a_server_that_is_cut_off_goes_on(
    house: House, tmp_path: Path
) -> None:
    goes_on(house, cut_off(house, tmp_path, signal.SIGINT))


# Between stores ---------------------------------------------------------------


@pytest.fixture
def two_stores(house: House) -> Iterator[House]:
    """The same house with a second store, which forgets all when a server stops."""
    before = house.config.read_text()
    named = re.sub(r'(?m)^(use = "(?:imap|pop3|local)")$', r'\1\nstore = "main"', before)
    house.config.write_text(f'{named}\n[store.aside]\nuse = "memory"\n')
    yield house
    house.config.write_text(before)


MIGRATE = ("store", "migrate", "main", "aside")


def aside(house: House) -> int:
    """Return how many messages the second store has."""
    found = Office(house.config).call("store.usage")["mailboxes"]
    return sum(box["messages"] for box in found if box["store"] == "aside")


def half_migrated(house: House) -> Program:
    """Start servers until a signal ends a migration in the middle; return the last."""
    for _ in range(TRIES):
        server = house.start()
        migrating = begin(house, *MIGRATE)
        wait_until(lambda: aside(house) > 0, "a migration that begins")
        migrating.send_signal(signal.SIGTERM)
        if migrating.wait(60) != 0 and aside(house) < MESSAGES:
            return server
        server.stop()
    raise AssertionError("all was there before the signal, each time")


def test_a_migration_that_is_cut_off_goes_on(two_stores: House) -> None:
    house = two_stores
    server = half_migrated(house)
    try:
        there = aside(house)
        told = command(house, *MIGRATE)
        assert (told["messages"], told["written"]) == (MESSAGES, MESSAGES - there)
        again = command(house, *MIGRATE)
        assert (again["messages"], again["written"]) == (MESSAGES, 0)
        assert aside(house) == MESSAGES
    finally:
        server.stop()
