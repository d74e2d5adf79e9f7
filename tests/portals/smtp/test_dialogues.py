"""Every transcript in tests/dialogues/smtp is what really happens."""

from pathlib import Path
from typing import Any

import pytest

from mailplat.testing.dialogues import Dialogue, play

DIALOGUES = sorted((Path(__file__).parents[2] / "dialogues" / "smtp").glob("*.txt"))


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
async def test_dialogue(path: Path, house_of: Any) -> None:
    dialogue = Dialogue.read(path)
    house = house_of(dialogue.settings)
    await play(dialogue, house.player())
    for word in dict(dialogue.settings).get("delivers", "").split():
        address, count = word.split("=")
        assert len(await house.messages(address)) == int(count)
