"""Where the house's database is, and what is said when it can't be had."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailplat.app import databases
from mailplat.app.cli import main
from mailplat.app.config import Configuration, check
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import discover
from mailplat.app.wiring import mistakes_in, warnings_in
from mailplat.files import Disk
from mailplat.sql.postgres import PostgresDatabase, Target
from mailplat.testing.programs import House
from mailplat.testing.workers import ReactorAtOnce


def configured(folder: Path, *lines: str) -> Configuration:
    (folder / "state").mkdir(exist_ok=True)
    text = "\n".join(["[database]", *lines])
    return check(text, folder / "mailplat.toml", discover())


def test_a_password_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("sesame\n")
    url = "postgresql://ann@db.example.org/mail"
    configuration = configured(tmp_path, f'url = "{url}"', 'password_file = "word"')
    database = databases.make_database(configuration, ReactorAtOnce(), Disk(), print)
    assert isinstance(database, PostgresDatabase)
    assert database.target == Target(url, "sesame")
    assert "sesame" not in repr(database.target)


def test_without_psycopg_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = configured(tmp_path, 'url = "postgresql://ann@localhost/mail"')
    for name in [name for name in sys.modules if name.startswith("mailplat.sql.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("mailplat.sql.postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    [mistake] = mistakes_in(configuration)
    assert (mistake.line, mistake.path) == (2, "database.url")
    assert "pip install 'mailplat[postgres]'" in mistake.problem
    assert warnings_in(configuration) == []
    with pytest.raises(BadConfiguration, match=r"database\.url: PostgreSQL takes"):
        databases.make_database(configuration, ReactorAtOnce(), Disk(), print)


def test_a_url_of_nonsense_is_a_mistake_and_keeps_its_password(tmp_path: Path) -> None:
    configuration = configured(tmp_path, 'url = "postgresql://ann:secret@h/mail?what=no"')
    [mistake] = mistakes_in(configuration)
    assert "what" in mistake.problem
    assert "secret" not in str(mistake)


def test_a_server_out_of_reach_is_a_warning(tmp_path: Path) -> None:
    configuration = configured(tmp_path, f'url = "postgresql:///mail?host={tmp_path}"')
    assert mistakes_in(configuration) == []
    [warning] = warnings_in(configuration)
    assert warning.path == "database.url"
    assert "can't be reached" in warning.problem


def test_a_house_is_made_on_a_server(tmp_path: Path, postgres: Target) -> None:
    house = House(tmp_path / "house")
    house.make({"ann": "secret enough"}, database=postgres.url)
    assert not (house.folder / "state/mail.db").exists()
    assert "ann@example.org" in house.run("account", "list")
    checked = CliRunner().invoke(main, ["--config", str(house.config), "check"])
    assert "no mistakes" in checked.output
    assert "warning" not in checked.output
    assert house.config.stat().st_mode & 0o777 == 0o600
