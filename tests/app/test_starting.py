"""What starts imports no more than it needs, and says what it does where it can be read."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mailplat import READY
from mailplat.app import newhouse
from mailplat.app.cli import main
from mailplat.app.cli.elsewhere import Elsewhere
from mailplat.app.cli.holdings import store
from mailplat.app.newhouse import NewHouse
from mailplat.mail.ports import STANDARD_PORTS
from mailplat.testing.programs import House, free_base, wait_until

HEAVY = [
    *("OpenSSL", "apsw", "argon2", "asyncio", "cryptography", "dns", "imapclient", "psycopg"),
    *("pydantic", "twisted", "zope.interface"),
]
"""What a command has no need of while a server answers it."""

IMPORTED = """
import json, sys
from mailplat.app.cli import main
heavy, commands = json.load(sys.stdin)
found = {}
for words in commands:
    try:
        main(words)
    except SystemExit as ended:
        assert not ended.code, words
    found[" ".join(words)] = [name for name in heavy if name in sys.modules]
print()
print(json.dumps(found))
"""


def imported_by(*commands: Sequence[str]) -> dict[str, list[str]]:
    """Run commands in one process; return what is imported of what is heavy after each."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        input=json.dumps([HEAVY, commands]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_help_imports_no_house() -> None:
    commands = [
        "",
        "account",
        "account add",
        "alias add",
        "domain",
        "backup",
        "status",
        "store",
    ]
    found = imported_by(*([*words.split(), "--help"] for words in commands))
    assert not any(found.values()), found


def test_a_server_is_asked_without_a_house(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    house.make({"alice": "secret"})
    commands = [
        *("status", "account list", "account quota alice@example.org", "domain list"),
        *(
            "account disable alice@example.org",
            "alias list",
            "alias add a@example.org alice@example.org",
        ),
        *("mime show text/plain", "store usage", "undelete alice@example.org --list", "verify"),
        f"backup {tmp_path / 'backup'}",
    ]
    with house.start():
        found = imported_by(*(["--config", str(house.config), *c.split()] for c in commands))
    assert not any(found.values()), found


@pytest.mark.parametrize("group", [main, store], ids=lambda group: group.name)
def test_a_list_of_commands_says_what_each_does(group: click.Group) -> None:
    assert isinstance(group, Elsewhere)
    listed = CliRunner().invoke(group, ["--help"]).output.partition("Commands:\n")[2]
    lines = {line.split()[0]: line for line in listed.splitlines()}
    context = click.Context(group)
    assert list(lines) == group.list_commands(context)
    for name, (_, words) in group.commands_elsewhere.items():
        command = group.get_command(context, name)
        assert command
        assert command.name == name
        assert lines[name].endswith(f"  {words}")  # on one line


def test_a_command_that_is_not_there_is_said_so() -> None:
    done = CliRunner().invoke(main, ["statsu"])
    assert done.exit_code == 2
    assert "No such command 'statsu'" in done.output


def test_a_first_house_in_the_background_says_where_its_password_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would see it on standard output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAILPLAT_CONFIG", raising=False)
    folder, log, process = (
        tmp_path / name for name in ("mailplat-state", "twistd.log", "twistd.pid")
    )
    newhouse.make(NewHouse(folder, "localhost", free_base(STANDARD_PORTS.values())))
    subprocess.run([Path(sys.executable).with_name("twistd"), "mailplat"], check=True)
    wait_until(lambda: log.exists() and READY in log.read_text(), "the start")
    try:
        written = folder / "state" / "first-account"
        assert written.stat().st_mode & 0o777 == 0o600
        found = re.search(r"password +(\S+)", written.read_text())
        assert found
        assert f"{written} has the password of the first account" in log.read_text()
        assert found[1] not in log.read_text()
    finally:
        os.kill(int(process.read_text()), signal.SIGTERM)
        wait_until(lambda: not process.exists(), "the end")
