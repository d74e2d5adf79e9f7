"""The command line works the same whether the server is up, down, or killed in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import click
import pytest
from click.testing import CliRunner

from mailplat.app.cli import main
from mailplat.testing.commands import mailplat
from mailplat.testing.programs import House

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("house"))
    house.make({})
    return house


def in_this_process(house: House, words: Sequence[str], said: str) -> tuple[int, str, str]:
    """Run a command that needs no reactor, since a server does what it asks for."""
    done = CliRunner().invoke(main, ["--config", str(house.config), *words], input=said)
    return done.exit_code, done.stdout, done.stderr


def in_its_own(house: House, words: Sequence[str], said: str) -> tuple[int, str, str]:
    where = {"MAILPLAT_CONFIG": str(house.config)}
    done = mailplat(*words, said=said, environment=where)
    return done.returncode, done.stdout, done.stderr


@attrs.frozen
class Operator:
    """Runs commands, the server being up or down."""

    house: House
    is_up: bool

    def run(self, *words: str, said: str = "") -> str:
        status, output, wrong = self._run(words, said)
        assert status == 0, wrong
        return output

    def fails(self, *words: str, said: str = "") -> str:
        """Run a command that is to fail, and return what it says on standard error."""
        status, _, wrong = self._run(words, said)
        assert status == 1
        assert "Traceback" not in wrong
        return wrong

    def _run(self, words: Sequence[str], said: str) -> tuple[int, str, str]:
        return (in_this_process if self.is_up else in_its_own)(self.house, words, said)


@pytest.fixture(params=["down", "up"])
def operator(house: House, request: pytest.FixtureRequest) -> Iterator[Operator]:
    if request.param == "down":
        yield Operator(house, is_up=False)
        return
    with house.start():
        yield Operator(house, is_up=True)


def test_accounts_and_addresses(operator: Operator) -> None:
    run, fails = operator.run, operator.fails
    assert json.loads(run("status", "--json"))["running"] is operator.is_up
    run("account", "add", ALICE, "--password-stdin", said="one\n")
    again = fails("account", "add", ALICE, "--password-stdin", said="x")
    assert f"{ALICE} has an account already" in again
    names = [row["name"] for row in json.loads(run("account", "list", "--json"))]
    assert names == [ALICE, "postmaster@example.org"]
    run("account", "disable", ALICE)
    assert f"{ALICE:<22}  disabled  0 B  0\n" in run("account", "list")
    run("account", "enable", ALICE)
    run("account", "passwd", ALICE, "--password-stdin", said="two\n")
    run("alias", "add", "sales@example.org", ALICE, "postmaster@example.org")
    aliases = json.loads(run("alias", "list", "--json"))
    assert {
        "source": "sales@example.org",
        "targets": [ALICE, "postmaster@example.org"],
    } in aliases
    said = fails("account", "passwd", "Sales@example.org", "--password-stdin", said="x")
    leads = f"it is an alias, and leads to {ALICE}, postmaster@example.org"
    assert said == f"mailplat: sales@example.org is no account: {leads}\n"
    assert f"{ALICE} is no alias: it is an account" in fails("alias", "remove", ALICE)
    run("alias", "remove", "sales@example.org")
    run("domain", "add", "example.com")
    assert "example.com" in run("domain", "list")
    assert "MX" in run("domain", "dns", "example.com")
    run("domain", "remove", "example.com")
    run("account", "remove", ALICE)
    said = fails("account", "passwd", ALICE, "--password-stdin", said="x")
    assert "there is no account" in said
    assert "nor queue knows anything" in fails("explain", "<nothing@example.org>")


def test_media_types(operator: Operator, tmp_path: Path) -> None:
    run, fails = operator.run, operator.fails
    assert run("mime", "add", "application/x-report", "rpt", ".RPT2") == (
        "application/x-report has rpt, rpt2\n"
    )
    listed = json.loads(run("mime", "list", "--origin", "operator", "--json"))
    place = str(operator.house.folder / "state" / "mime.types")
    assert listed == [
        {
            "type": "application/x-report",
            "extensions": ["rpt", "rpt2"],
            "origin": "operator",
            "place": place,
            "handler": "",
        }
    ]
    assert "image/png" in run("mime", "list")
    assert run("mime", "show", "RPT") == f"application/x-report  rpt, rpt2  operator  {place}\n"
    file = tmp_path / "x.rpt"
    file.write_bytes(b"%PDF-1.7\n")
    assert run("mime", "guess", str(file)) == "application/x-report, by its name\n"
    guess = json.loads(run("mime", "guess", str(file), "--declared", "text/plain", "--json"))
    assert (guess["type"], guess["content"]) == ("text/plain", "application/pdf")
    assert run("mime", "remove", "application/x-report", "rpt") == (
        "application/x-report has rpt2 now\n"
    )
    assert run("mime", "remove", "application/x-report") == "application/x-report is gone\n"
    assert run("mime", "guess", str(file)) == "application/pdf, by its content\n"
    assert "nobody knows rpt" in fails("mime", "show", "rpt")
    assert "can't be read" in fails("mime", "guess", str(tmp_path / "missing"))
    assert "expected a media type" in fails("mime", "add", "nonsense", "x")
    assert "only what was added can go" in fails("mime", "remove", "application/pdf")


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
    said = Operator(house, is_up=False).fails("init", str(house.folder), "--domain", "x.org")
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
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*path, "--help"])
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 3


def test_an_empty_house_says_that_it_is_empty(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.config.write_text("hostname = 'localhost'\n")
    (tmp_path / "state").mkdir()
    with house.start() as server:
        assert "is new and empty: no domain, no account; `mailplat domain add`" in (
            server.output()
        )


def test_a_house_that_is_up_is_looked_after_whatever_its_file_says(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.make({})
    good = house.config.read_text()
    with house.start():
        hostname = "state = 'state'\nhostname = 3"
        for bad in (good.replace("hostname =", "hostnam ="), good + "x", "nonsense", hostname):
            house.config.write_text(bad)
            up = Operator(house, is_up=True)
            assert json.loads(up.run("status", "--json"))["running"]
            assert "postmaster@example.org" in up.run("account", "list")
    assert "mailplat.toml:2: hostname: " in Operator(house, is_up=False).fails("status")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["{folder}/file"], "{folder}/file can't be used: Not a directory"),
        (["{folder}/file/below"], "{folder}/file/below can't be used: Not a directory"),
        (["{folder}/x", "--port-base", "65000"], "expected 0 to 64540, since ports end at"),
        (["{folder}/x", "--port-base", "-1"], "expected 0 to 64540, since ports end at"),
        (["{folder}/x", "--database", "mysql://x"], "expected sqlite:FILE or postgresql://"),
        (["{folder}/x", "--database", "postgresql:///x?host=/nowhere"], "can't be reached"),
    ],
)
def test_a_house_that_can_not_be_made(tmp_path: Path, words: list[str], why: str) -> None:
    (tmp_path / "file").touch()
    given = [word.format(folder=tmp_path) for word in words]
    status, _, wrong = in_this_process(House(tmp_path), ["init", *given, "--domain", "x.y"], "")
    assert status == 1
    assert why.format(folder=tmp_path) in wrong
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_keys_that_sign(operator: Operator) -> None:
    run, fails = operator.run, operator.fails
    domain = f"signed-{operator.is_up}.example".lower()
    run("domain", "add", domain)
    said = run("dkim", "add", domain)
    assert f"mailplat dkim rotate {domain} --published" in said
    assert said.count('TXT "v=DKIM1; k=') == 2
    assert [row["phase"] for row in json.loads(run("dkim", "list", domain, "--json"))] == [
        "waiting",
        "waiting",
    ]
    assert "Signs from now on" in run("dkim", "rotate", domain, "--published")
    records = json.loads(run("domain", "dns", domain, "--json"))
    assert sum("_domainkey" in row["name"] for row in records) == 2
    assert "signing" in run("dkim", "dns", domain)
    run("dkim", "rotate", domain)
    said = run("dkim", "rotate", domain, "--published")
    assert "Signs no more; let it stand until" in said
    retired = [r for r in json.loads(run("dkim", "list", "--json")) if r["phase"] == "retired"]
    for row in retired:
        assert "is gone" in run("dkim", "remove", domain, row["selector"])
    assert "is no domain of ours" in fails("dkim", "add", "nobody.example")
    assert "has no key" in fails("dkim", "rotate", "nobody.example")


def test_records_to_publish(operator: Operator) -> None:
    name, ascii_name = f"bücher-{operator.is_up}.example", f"-{operator.is_up}".lower()
    operator.run("domain", "add", name)
    said = operator.run("domain", "dns", name)
    assert said.isascii()
    assert ascii_name in said
    assert "mail.example.org.  " in said
    assert {"A", "AAAA", "MX", "TXT", "SRV"} >= {line.split()[1] for line in said.splitlines()}
    assert "AAAA" in said
    assert "is no domain of ours" in operator.fails("domain", "dns", "nobody.example")
    assert "no domain" in operator.fails("domain", "dns", "no domain")


def test_the_house_is_named_where_it_is_not_the_one_here(house: House) -> None:
    """Without --config; and `status` always says which configuration counts."""
    assert json.loads(Operator(house, is_up=False).run("status", "--json"))[
        "configuration"
    ] == str(house.config)
    status, _, told = in_its_own(house, ["account", "disable", "postmaster@example.org"], "")
    assert (status, told) == (0, f"(in the house of {house.config})\n")
    status, _, told = in_its_own(
        house,
        ["--config", str(house.config), "account", "enable", "postmaster@example.org"],
        "",
    )
    assert (status, told) == (0, "")


def test_a_class_beside_the_configuration_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "described_here.py").write_text('class One:\n    """Does one thing."""\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    done = CliRunner().invoke(main, ["describe", "described_here:One"])
    assert done.output == "described_here:One\nDoes one thing.\n"
