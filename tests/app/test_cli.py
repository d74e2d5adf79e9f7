"""The command line works the same whether the server is up, down, or killed in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mailplat.app.cli import main
from mailplat.testing.programs import House

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("house"))
    house.make({})
    return house


@pytest.fixture(params=["down", "up"], scope="module")
def up_or_down(house: House, request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "down":
        yield "down"
        return
    with house.start():
        yield "up"


def fails(house: House, *words: str, said: str = "") -> str:
    """Run a command that is to fail, and return what it says on standard error."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        house.run(*words, said=said)
    assert "Traceback" not in caught.value.stderr
    stderr: str = caught.value.stderr
    return stderr


def test_accounts_and_addresses(house: House, up_or_down: str) -> None:
    running = json.loads(house.run("status", "--json"))["running"]
    assert running is (up_or_down == "up")
    house.run("account", "add", ALICE, "--password-stdin", said="one\n")
    assert "is there already" in fails(
        house, "account", "add", ALICE, "--password-stdin", said="x"
    )
    names = [row["name"] for row in json.loads(house.run("account", "list", "--json"))]
    assert names == [ALICE, "postmaster@example.org"]
    assert f"{ALICE}\n" in house.run("account", "list")
    house.run("account", "disable", ALICE)
    assert f"{ALICE:<22}  disabled\n" in house.run("account", "list")
    house.run("account", "enable", ALICE)
    house.run("account", "passwd", ALICE, "--password-stdin", said="two\n")
    house.run("alias", "add", "sales@example.org", ALICE, "postmaster@example.org")
    aliases = json.loads(house.run("alias", "list", "--json"))
    assert {
        "source": "sales@example.org",
        "targets": [ALICE, "postmaster@example.org"],
    } in aliases
    house.run("alias", "remove", "sales@example.org")
    house.run("domain", "add", "example.com")
    assert "example.com" in house.run("domain", "list")
    assert "MX" in house.run("domain", "dns", "example.com")
    house.run("domain", "remove", "example.com")
    house.run("account", "remove", ALICE)
    assert "there is no account" in fails(
        house, "account", "passwd", ALICE, "--password-stdin", said="x"
    )
    assert "knows nothing" in fails(house, "explain", "<nothing@example.org>")


DYING = '''
"""A directory whose process is killed once, before or after it has changed something."""

import os
import signal
from pathlib import Path

from mailplat.directory.directory import Directory


class Dying(Directory):
    async def _write(self, unit, *args):
        kill = Path(__file__).with_name("kill")
        when = kill.read_text() if kill.exists() else ""
        if when == "before":
            kill.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        result = await super()._write(unit, *args)
        if when == "after":
            kill.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return result
'''


@pytest.fixture(scope="module")
def dying(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("dying"))
    house.make({"bob": "secret"})
    (house.folder / "dying_directory.py").write_text(DYING)
    text = house.config.read_text()
    table = '[directory]\nuse = "dying_directory:Dying"'
    house.config.write_text(text.replace('[directory]\nuse = "database"', table))
    return house


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "account add {when}@example.org --password-stdin",
            "{when}@example.org has an account",
        ),
        (
            "account passwd bob@example.org --password-stdin",
            "bob@example.org has a new password",
        ),
        (
            "alias add sales-{when}@example.org bob@example.org",
            "sales-{when}@example.org leads to bob@example.org",
        ),
        ("account remove {when}@example.org", "{when}@example.org is gone, with its mail"),
    ],
)
def test_a_server_killed_in_the_middle(
    dying: House, when: str, command: str, said: str
) -> None:
    """The command is done by whoever is left, once, and says so."""
    server = dying.start()
    try:
        (dying.folder / "kill").write_text(when)
        answer = dying.run(*command.format(when=when).split(), said="secret\n")
        assert answer == said.format(when=when) + "\n"
        assert not (dying.folder / "kill").exists()
    finally:
        server.kill()


def test_nobody_but_the_owner_gets_at_the_passwords(house: House) -> None:
    for path in (house.folder / "state").iterdir():
        assert not path.stat().st_mode & 0o077, path


def test_a_house_is_not_made_twice(house: House) -> None:
    said = fails(house, "init", str(house.folder), "--domain", "example.org")
    assert "is there already; it stays as it is" in said


@pytest.mark.parametrize("command", ["account list", "check", "status"])
def test_without_a_configuration_it_says_what_to_do(command: str, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "MAILPLAT_CONFIG"}
    done = subprocess.run(
        [Path(sys.executable).with_name("mailplat"), *command.split()],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "`mailplat init DIR --domain D` makes one" in done.stderr


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*path, "--help"])
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 3


def test_check_finds_every_mistake(house: House, tmp_path: Path) -> None:
    """Seven mistakes of seven kinds: seven errors, each with its line."""
    bad = tmp_path / "mailplat.toml"
    bad.write_text(SEVEN)
    done = CliRunner().invoke(main, ["--config", str(bad), "check"])
    assert done.exit_code == 1
    found = [
        line.split(":")[1] for line in done.output.splitlines() if line.startswith(str(bad))
    ]
    assert found == ["1", "4", "5", "9", "12", "13", "16"], done.output


SEVEN = """\
hostnam = "mail.example.org"

[limits]
unsent_patience = "1 fortnight"
connections = 0

[portals.mx]
use = "smtp"
port = 99999

[portals.pop3]
use = "popp3"
[portals.submission]

[pipelines]
inbound = ["recipients", "lops"]
"""
