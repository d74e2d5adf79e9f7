"""``mailplat upgrade --check``: what another version would change, before it is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mailplat.app import changed, upgrading
from mailplat.app.changed import Changed
from mailplat.app.cli import main
from mailplat.sql import Batches, Connection, steps_of
from mailplat.testing.workers import database_at_once

CONFIG = """\
hostname = "mail.example.org"

[portals.mx]
use = "smtp"
listen = ["127.0.0.1:0"]
tls = "off"
pipeline = "inbound"

[pipelines]
inbound = ["recipients"]
"""
STORE = steps_of("mailplat.store.indexed")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    (tmp_path / "mailplat.toml").write_text(f'state = "state"\n{CONFIG}')
    return tmp_path / "mailplat.toml"


async def made(config: Path, room: str = "store", steps: Any = STORE) -> None:
    database = database_at_once(config.parent / "state" / "mail.db")
    await database.open()
    await database.migrate(room, steps)
    await database.close()


def check(config: Path, *words: str, status: int = 0) -> str:
    done = CliRunner().invoke(main, ["--config", str(config), "upgrade", "--check", *words])
    assert done.exit_code == status, done.output
    return done.stdout


async def test_a_house_that_is_up_to_date(config: Path) -> None:
    assert "store: its tables are not there yet" in check(config)
    await made(config)
    assert f"store: its tables have number {len(STORE)}; nothing to do" in check(config)
    found = json.loads(check(config, "--json"))
    assert [one["room"] for one in found["upgrades"]] == [
        "directory",
        "queue",
        "store",
        "journal",
    ]
    assert found["problems"] == found["notes"] == []


def walk(_db: Connection, _mark: str) -> None:
    pass


async def test_steps_that_lack(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await made(config)
    before = (config.parent / "state" / "mail.db").read_bytes()
    more = [*STORE, "CREATE TABLE more (a)", Batches(walk, "store_accounts", rows_a_second=1)]
    monkeypatch.setattr(upgrading, "steps_of", lambda _package: more)
    said = check(config)
    number = len(STORE)
    assert f"store: its tables have number {number} of {number + 2}: 2 to go; at once" in said
    assert (config.parent / "state" / "mail.db").read_bytes() == before


async def test_tables_of_a_later_version(config: Path) -> None:
    await made(config, steps=[*STORE, "CREATE TABLE later (a)"])
    said = check(config, status=1)
    assert f"the tables of store have number {len(STORE) + 1} and this version" in said
    assert "run the version that wrote them, or restore an older backup" in said


def test_a_mistake_is_told(config: Path) -> None:
    config.write_text(config.read_text() + '\n[log]\nlvl = "info"\n')
    assert "log.lvl: there is no such key; did you mean 'level'?" in check(config, status=1)


def test_a_key_that_was_renamed(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        changed,
        "CHANGED",
        (
            Changed("portals.*.chain", "7.0", renamed="pipeline"),
            Changed("log.colour", "7.1", gone="terminals know better"),
        ),
    )
    text = config.read_text().replace('pipeline = "inbound"', 'chain = "inbound"')
    config.write_text(text + "\n[log]\ncolour = true\n")
    said = check(config, status=1)
    assert "portals.mx.chain: is called pipeline since 7.0" in said
    assert "log.colour: is gone since 7.1: terminals know better" in said


def test_what_will_go_and_what_means_something_else(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        changed,
        "CHANGED",
        (
            Changed("portals.*.tls", "7.0", deprecated="write `security` instead"),
            Changed("stop_within", "7.2", default=("10 s", "30 s")),
            Changed("hostname", "7.2", default=("nothing", "localhost")),
            Changed("mime.system", "7.2", default=("a", "b")),
        ),
    )
    said = check(config)
    assert "mailplat.toml:7: portals.mx.tls: will go (told since 7.0): write `security`" in said
    assert "stop_within: left out, it means 30 s since 7.2, and no longer 10 s" in said
    assert "hostname" not in said
    assert "mime.system" not in said  # its table is not used


def test_what_is_no_database(config: Path) -> None:
    (config.parent / "state" / "mail.db").write_bytes(b"letters" * 1000)
    assert "can't be opened for reading" in check(config, status=1)
