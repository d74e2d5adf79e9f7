"""`mailplat check` and a start that fails say every mistake there is, each with its line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailplat.app.cli import main


def test_check_finds_every_mistake(tmp_path: Path) -> None:
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


STOPS_THE_START = """\
hostname = "mail example org"
state = "state"

[log]
file = "/nosuch/x.log"

[portals.a]
use = "pop3"
tls = "off"
port = 20110

[portals.b]
use = "pop3"
tls = "off"
listen = ["127.0.0.1:99999", "127.0.0.1", "localhost:20025", "[::1]:20110"]

[portals.c]
use = "pop3"
tls = "off"
listen = ["127.0.0.1:20111", "127.0.0.1:20110"]

[portals.d]
use = "pop3"
tls = "off"
listen = ["unix:/run/x.sock", "127.0.0.1:20111"]
"""


def test_check_finds_what_would_stop_the_start(tmp_path: Path) -> None:
    """Both find each of them, with its line and key."""
    bad = tmp_path / "mailplat.toml"
    bad.write_text(STOPS_THE_START)
    done = CliRunner().invoke(main, ["--config", str(bad), "check"])
    assert done.exit_code == 1
    places = [line.split(": ")[:2] for line in done.output.splitlines()]
    assert [(place.split(":")[1], key) for place, key in places] == [
        ("1", "hostname"),
        ("5", "log.file"),
        ("15", "portals.b.listen[0]"),
        ("15", "portals.b.listen[1]"),
        ("15", "portals.b.listen[2]"),
        ("20", "portals.c.listen[1]"),
        ("25", "portals.d.listen[1]"),
    ]
    assert serve(bad, tmp_path) == (1, done.output)


def test_two_portals_at_one_place(tmp_path: Path) -> None:
    bad = tmp_path / "mailplat.toml"
    text = STOPS_THE_START.replace('"127.0.0.1:99999", "127.0.0.1", "localhost:20025", ', "")
    text = text.replace("mail example org", "[192.0.2.1]").replace("/nosuch/", "")
    bad.write_text(text)
    done = CliRunner().invoke(main, ["--config", str(bad), "check"])
    assert [line.partition(": ")[2] for line in done.output.splitlines()] == [
        "portals.b.listen[0]: portals.a.port has tcp:20110 already",
        "portals.c.listen[1]: portals.a.port has tcp:20110 already",
        "portals.d.listen[1]: portals.c.listen[0] has 127.0.0.1:20111 already",
    ]
    assert serve(bad, tmp_path) == (1, done.output)


LAYERS = """\
state = "state"
[limits]
connections = 0
[database]
url = "postgresql://nobody@/x?bad=1"
[portals.mx]
use = "smtp"
port = "https"
pipeline = "inbund"
[portals.b]
use = "pop3"
port = 25
store = "second"
[portals.c]
use = "pop3"
port = 26
lisen = ["x"]
[filters.needy]
use = "needy:Needy"
[store.other]
use = "indexed"
[pipelines]
inbound = ["recipients", "needy"]
"""
NEEDY = """
class Unheard: ...
class Needy:
    def __init__(self, other: Unheard): ...
    def judge(self, transit): ...
"""


def test_what_follows_from_the_file_is_said_with_what_stands_in_it(tmp_path: Path) -> None:
    """Keys, names, what is asked for, the database's address and certificates: all at once."""
    (tmp_path / "needy.py").write_text(NEEDY)
    bad = tmp_path / "mailplat.toml"
    bad.write_text(LAYERS)
    done = CliRunner().invoke(main, ["--config", str(bad), "check"])
    assert done.exit_code == 1
    lines = [line.removeprefix(str(bad)).split(": ") for line in done.output.splitlines()]
    assert [(where.strip(":"), key) for where, key, *_ in lines] == [
        ("", "tls.certificates"),
        ("3", "limits.connections"),
        ("5", "database.url"),
        ("8", "portals.mx.port"),
        ("9", "portals.mx.pipeline"),
        ("13", "portals.b.store"),
        ("17", "portals.c.lisen"),
        ("18", "filters.needy"),
    ]
    assert serve(bad, tmp_path) == (1, done.output)


def test_what_only_follows_from_a_mistake_is_not_said(tmp_path: Path) -> None:
    bad = tmp_path / "mailplat.toml"
    bad.write_text(
        'hostname = "localhost"\n[store.main]\nuse = "indexd"\n'
        '[database]\nurl = 5\n[tls]\ncertificate = "x"\n[portals.x]\nuse = "pop3"\nport = 20025\n'
    )
    done = CliRunner().invoke(main, ["--config", str(bad), "check"])
    keys = [line.split(": ")[1] for line in done.output.splitlines()]
    assert keys == ["store.main.use", "database.url", "tls.certificate"]


def test_check_warns_of_an_address_that_is_nowhere_here(tmp_path: Path) -> None:
    file = tmp_path / "mailplat.toml"
    (tmp_path / "state").mkdir()
    file.write_text(
        'hostname = "localhost"\n[portals.x]\nuse = "pop3"\ntls = "off"\nlisten = ["192.0.2.7:20025"]\n'
    )
    done = CliRunner().invoke(main, ["--config", str(file), "check"])
    assert done.exit_code == 0
    assert done.stderr == (
        f"warning: {file}:5: portals.x.listen[0]: "
        "no interface of this machine has that address\n"
    )


def serve(config: Path, folder: Path) -> tuple[int, str]:
    """Start a server that is expected not to start; return its status and what it says."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("twistd"),
            *["-n", "--pidfile=", "mailplat", "--config", str(config)],
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr.removeprefix("mailplat: ")


@pytest.mark.parametrize("words", ["state = 'stat'\n", ""])
def test_a_house_that_can_not_be_seen_is_not_made_anew(tmp_path: Path, words: str) -> None:
    file = tmp_path / "mailplat.toml"
    file.write_text(words + "hostname = 'localhost'\n")
    place = f"{file}:1: state: " if words else f"{file}: state: "
    status, said = serve(file, tmp_path)
    assert (status, f"mailplat: {place}the state folder {tmp_path}/stat" in said) == (1, True)
    assert "`mailplat init`" in said
    checked = CliRunner().invoke(main, ["--config", str(file), "check"])
    assert "warning: " + place in checked.stderr
    done = CliRunner().invoke(main, ["--config", str(file), "account", "list"])
    assert done.exit_code == 1
    assert "is not there; is its disk mounted?" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mailplat.toml"]
