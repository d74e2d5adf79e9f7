"""What the documents show is what the tests play."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
