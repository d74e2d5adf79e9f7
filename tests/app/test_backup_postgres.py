"""A house on PostgreSQL is kept, put back, verified and looked at before an upgrade."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mailplat.sql.postgres import Target
from mailplat.testing.commands import mailplat
from mailplat.testing.postgres import PostgresServer
from mailplat.testing.programs import House

ANN = "ann@example.org"
LARGE = b"Subject: large\r\n\r\n" + b"x" * 76 * 4000


def command(house: House, *words: str, status: int = 0, whole: bool = False) -> str:
    done = mailplat("--config", str(house.config), *words)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    if whole:
        return done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


@pytest.fixture
def house(request: pytest.FixtureRequest, tmp_path: Path, postgres: Target) -> House:
    house = House(tmp_path / "house")
    contents = getattr(request, "param", "database")
    house.make({"ann": "secret enough"}, database=postgres.url, contents=contents)
    take_in(house, tmp_path, range(20))
    return house


def take_in(house: House, folder: Path, numbers: range) -> None:
    letters = folder / f"letters-{numbers.start}"
    letters.mkdir()
    for number in numbers:
        (letters / f"{number}.eml").write_bytes(
            b"Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\n%b\r\n"
            % (number, number, b"text %d " % number * 300)
        )
    (letters / "large.eml").write_bytes(LARGE)
    command(house, "import", ANN, str(letters))


def letters_of(house: House, folder: Path) -> set[bytes]:
    command(house, "export", ANN, str(folder), "--format", "eml")
    return {path.read_bytes() for path in folder.rglob("*.eml")}


@pytest.fixture
def elsewhere(
    house: House, postgres: Target, postgres_server: PostgresServer
) -> Iterator[House]:
    """The same house, with an empty state folder and an empty database."""
    with postgres_server.database() as target:
        other = House(house.folder.with_name("other"))
        other.folder.mkdir()
        other.config.write_text(house.config.read_text().replace(postgres.url, target.url))
        shutil.copytree(house.folder / "tls", other.folder / "tls")
        yield other


def rows(house: House, sql: str) -> list[tuple[object, ...]]:
    url = tomllib.loads(house.config.read_text())["database"]["url"]
    with psycopg.connect(url) as line:
        return line.execute(sql.encode()).fetchall()


@pytest.mark.parametrize("house", ["database", "files"], indirect=True)
def test_a_house_on_a_server_is_kept_and_put_back(
    house: House, elsewhere: House, tmp_path: Path
) -> None:
    kept = str(tmp_path / "kept")
    made = json.loads(command(house, "backup", kept, "--json"))
    assert made["damaged"] == made["left_out"] == []
    before = letters_of(house, tmp_path / "before")
    assert len(before) == 21
    take_in(house, tmp_path, range(20, 25))  # which comes too late
    assert "is not empty" in command(house, "restore", kept, status=1)
    command(elsewhere, "restore", kept)
    assert letters_of(elsewhere, tmp_path / "after") == before
    validity = "SELECT min(uid_validity) FROM store_mailboxes"
    assert rows(elsewhere, validity) > rows(house, validity)
    take_in(elsewhere, tmp_path / "after", range(25, 27))
    assert command(elsewhere, "verify") == "sound\n"


def test_a_backup_copies_what_is_new_and_needs_its_server(
    house: House, elsewhere: House, tmp_path: Path
) -> None:
    kept = str(tmp_path / "kept")
    first = json.loads(command(house, "backup", kept, "--json"))
    take_in(house, tmp_path, range(30, 31))
    second = json.loads(command(house, "backup", kept, "--json"))
    assert second["size"] > first["size"]
    assert second["copied"] < first["copied"]
    said = command(house, "restore", kept, "--account", ANN, status=1)
    assert "restore the whole house into another state folder" in said
    said = command(house, "restore", kept, "--into", str(tmp_path / "new"), status=1)
    assert "is not empty: there is " in said
    assert "directory_accounts" in said
    assert not list((tmp_path / "new").glob("*.db"))
    command(elsewhere, "restore", kept, "--nothing-served")
    validity = "SELECT account, uid_validity FROM store_mailboxes ORDER BY 1, 2"
    assert rows(elsewhere, validity) == rows(house, validity)
    onto_a_file = elsewhere.config.read_text()
    url = tomllib.loads(onto_a_file)["database"]["url"]
    elsewhere.config.write_text(onto_a_file.replace(url, "sqlite:mail.db"))
    said = command(elsewhere, "restore", kept, "--into", str(tmp_path / "new"), status=1)
    assert "has to name an empty database" in said


def test_tables_on_a_server_are_looked_at_before_an_upgrade(house: House) -> None:
    looked = command(house, "upgrade", "--check")
    assert re.search(r"store: its tables have number \d+; nothing to do", looked)
    rows(house, "UPDATE schema SET number = 99 WHERE room = 'store' RETURNING room")
    said = command(house, "upgrade", "--check", "--json", status=1, whole=True)
    assert "the tables of store have number 99" in said
