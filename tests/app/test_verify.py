"""``mailplat plugin verify``: configured instances held to their contracts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mailplat.app.cli.verify import NotVerified, Verification, verify

HOUSE = """
state = "state"
[store.main]
use = "memory"
[filters.tag]
use = "tagging:{kind}"
"""
MAILPLAT = Path(sys.executable).with_name("mailplat")
TAGGING = """
from zope.interface import implementer
from mailplat.interfaces import IFilter
from mailplat.mail.transit import Verdict

@implementer(IFilter)
class Right:
    async def judge(self, transit):
        return Verdict()

@implementer(IFilter)
class Nonsense:
    async def judge(self, transit):
        return "keep"

@implementer(IFilter)
class Meddling:
    async def judge(self, transit):
        transit.facts["tagged"] = "yes"
        return Verdict()

@implementer(IFilter)
class Fragile:
    async def judge(self, transit):
        transit.header.octets.index(b"Subject")
        return Verdict()

class Undeclared:
    def judge(self):
        return Verdict()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tagging.py").write_text(TAGGING)
    return tmp_path


def tried(folder: Path, kind: str, instance: str = "filters.tag") -> Verification:
    file = folder / "mailplat.toml"
    file.write_text(HOUSE.format(kind=kind))
    return verify(file, instance)


def broken(verification: Verification) -> set[str]:
    return {row["test"].partition("[")[0] for row in verification.broken}


def test_a_filter_that_keeps_its_promises(folder: Path) -> None:
    found = tried(folder, "Right")
    assert not found.broken
    assert not found.left_out
    assert [row["contract"] for row in found.contracts] == ["Filter"]
    assert not (folder / "state").exists()


@pytest.mark.parametrize(
    ("kind", "promise", "problem"),
    [
        ("Nonsense", "test_it_answers_with_a_verdict", "'keep'"),
        ("Meddling", "test_it_leaves_the_transit_alone", "tagged"),
        ("Fragile", "test_it_answers_with_a_verdict", "not found"),
        ("Undeclared", "test_it_provides_its_interface", "IFilter"),
    ],
)
def test_what_a_filter_breaks_is_named(
    folder: Path, kind: str, promise: str, problem: str
) -> None:
    found = tried(folder, kind)
    assert promise in broken(found)
    assert any(problem in row["problem"] for row in found.broken)


def test_a_store_is_held_to_all_its_contracts(folder: Path) -> None:
    found = tried(folder, "Right", "main")
    assert not found.broken
    assert {row["contract"] for row in found.contracts} == {
        "Account",
        "Store",
        "Quota",
        "Undelete",
        "Scripts",
        "Annotations",
        "Sharing",
        "Search",
    }


def test_an_unknown_instance_is_told_with_those_there_are(folder: Path) -> None:
    with pytest.raises(NotVerified, match=r"'tags', but: .*filters\.tag.*store\.main"):
        tried(folder, "Right", "tags")


def test_the_command_prints_a_table_and_fails_where_a_promise_is_broken(folder: Path) -> None:
    file = folder / "mailplat.toml"
    file.write_text(HOUSE.format(kind="Nonsense"))
    command = [MAILPLAT, "--config", file, "plugin", "verify", "tag"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert said.stdout.startswith("Filter  2 kept  6 broken  0 left out\n")
    assert "\nfailed: Filter test_it_answers_with_a_verdict[" in said.stdout
    rows = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert len(json.loads(rows.stdout)) == 8


def test_a_place_of_contents_is_held_to_its_contract(tmp_path: Path) -> None:
    file = tmp_path / "mailplat.toml"
    file.write_text('[contents.files]\ncompression = "gzip"\n')
    found = verify(file, "contents.files")
    assert not found.broken
    assert [row["contract"] for row in found.contracts] == ["Contents"]


def test_mail_that_lies_there_is_left_alone(tmp_path: Path) -> None:
    """A contract removes all that it finds."""
    name = f"{'0' * 64}-{'1' * 12}"
    letter = tmp_path / "mail" / "0000" / "01" / name
    letter.parent.mkdir(parents=True)
    letter.touch()
    file = tmp_path / "mailplat.toml"
    file.write_text(f'[contents.files]\nfolder = "{tmp_path / "mail"}"\n')
    found = verify(file, "contents.files")
    assert len(found.broken) == len(found.tests)
    assert letter.exists()
