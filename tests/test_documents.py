"""What the documents show is what the tests play."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from mailplat.app import newhouse
from mailplat.app.cli import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
QUOTED = re.compile(r"<!-- (tests/dialogues/\S+) -->\n```\n(.*?)```\n", re.DOTALL)


def turns(path: Path) -> str:
    """Return a dialogue without its title and settings."""
    return path.read_text("utf-8").partition("\n\n")[2]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_quoted_dialogues_are_the_files(document: Path) -> None:
    for name, quoted in QUOTED.findall(document.read_text("utf-8")):
        assert quoted == turns(ROOT / name), name


def test_every_transcript_says_where_it_comes_from() -> None:
    text = (ROOT / "docs" / "how-mail-works.md").read_text("utf-8")
    assert len(QUOTED.findall(text)) == text.count("<!-- tests/dialogues/") > 10
    assert not re.search(r"^[CS]: ", QUOTED.sub("", text), re.MULTILINE)


README = (ROOT / "README.md").read_text("utf-8")
MOVING = (ROOT / "docs" / "moving-mail.md").read_text("utf-8")
QUEUE = (ROOT / "docs" / "queue.md").read_text("utf-8")
COMMANDS = re.findall(
    r"^(?:\.venv/bin/)?mailplat ([^#\n]*)", README + MOVING + QUEUE, re.MULTILINE
)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_documents_are_there(line: str) -> None:
    """Each takes the words that it is shown with."""
    words = shlex.split(line)
    command: click.Command | None = main
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words.pop(0))
    assert command
    command.make_context("mailplat", words)


def test_what_the_readme_changes_by_sed_is_there() -> None:
    unit = (ROOT / "etc/systemd/mailplat.service").read_text("utf-8")
    assert "/usr/bin/twistd " in unit
    house = newhouse.NewHouse(Path("/etc/mailplat"), "example.org")
    assert '\nstate = "state"\n' in newhouse.configuration_text(house)
    assert "--config /etc/mailplat/mailplat.toml" in unit


def test_no_house_leaves_its_pid_in_the_folder_it_is_started_from() -> None:
    """Two of them would take each other for one that runs already."""
    for name in ("README.md", ".ci/run", "etc/systemd/mailplat.service"):
        text = (ROOT / name).read_text("utf-8")
        started = re.findall(r'twistd"? (?:-n|--nodaemon)\b.*', text)
        assert started
        assert all("--pidfile= mailplat" in line for line in started)


def test_nothing_is_listed_twice() -> None:
    listed = re.findall(r"^- \[[^]]*\]\(([^)]*)\)", README, re.MULTILINE)
    assert len(listed) == len(set(listed)) > 5
    drawn = (ROOT / "docs/architecture.md").read_text("utf-8").partition("## Floors")[2]
    rooms = [
        re.findall(r"[a-z]+", line) for line in drawn.splitlines() if line.startswith("│  ")
    ]
    assert len(rooms) == len({names[0] for names in rooms}) > 5
