"""The example of a storage plugin: its own tests, and a house that has it installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock

from mailplat.files import Disk
from mailplat.interfaces import House, IBus, IMailStore
from mailplat.plugin import Instance
from mailplat.sql import SqliteDatabase
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.contracts.store import StoreContract
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.workers import Workers

EXAMPLE = Path(__file__).parents[2] / "examples" / "eml_contents"
SOURCE = EXAMPLE / "src"
PROJECT = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
CONFIGURATION = '[store.main]\ncontents = "eml"\n'


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment in which the example is installed, as an installer leaves it."""
    info = tmp_path / "site" / "mailplat_eml-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {PROJECT['name']}\nVersion: {PROJECT['version']}\n")
    [(group, points)] = PROJECT["entry-points"].items()
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(info.parent), str(SOURCE)])}


def test_it_is_about_a_hundred_lines() -> None:
    assert len((SOURCE / "mailplat_eml.py").read_text().splitlines()) < 120


def test_its_own_tests_pass(installed: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir"]
    done = subprocess.run(
        [*command, EXAMPLE, "--basetemp", tmp_path / "its", EXAMPLE / "tests"],
        cwd=EXAMPLE,
        env={**installed, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_house_knows_it_and_holds_it_to_its_promises(
    installed: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "mailplat.toml"
    file.write_text(CONFIGURATION)
    command = [Path(sys.executable).with_name("mailplat"), "--config", file]
    for words in (["check"], ["plugin", "verify", "eml"]):
        done = subprocess.run(
            [*command, *words], env=installed, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "  0 broken  0 left out" in done.stdout


class TestStoreOnEml(StoreContract):
    @async_yield_fixture
    async def store(
        self,
        tmp_path: Path,
        reactor: IReactorFromThreads,
        bus: IBus,
        monkeypatch: pytest.MonkeyPatch,
    ) -> AsyncIterator[IMailStore]:
        monkeypatch.syspath_prepend(SOURCE)
        from mailplat_eml import EmlFolder, EmlSettings  # type: ignore[import-not-found]

        workers: Any = Workers(reactor)  # type: ignore[arg-type]
        house = House("mail.example.org", tmp_path)
        contents = EmlFolder(EmlSettings(), house, workers, Disk())
        await contents.prepare()
        database = SqliteDatabase(tmp_path / "mail.db", reactor)
        await database.open()
        settings = IndexedStoreSettings(contents=Instance("eml"))
        store = IndexedStore(settings, database, bus, Clock(), Clock(), contents)
        await store.prepare()
        yield store
        store.finish()
        await database.close()
        await workers.stop()
