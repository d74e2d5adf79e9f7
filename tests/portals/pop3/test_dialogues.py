"""Every transcript in tests/dialogues/pop3 is what really happens."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from mailplat.mail.errors import DiskFull, LoginUnavailable
from mailplat.mail.transit import Peer
from mailplat.plugin import duration
from mailplat.portals.pop3.service import Pop3PortalSettings
from mailplat.testing.dialogues import Dialogue, Player, play

DIALOGUES = sorted((Path(__file__).parents[2] / "dialogues" / "pop3").glob("*.txt"))


class Stage:
    """What the lines before a dialogue ask for."""

    def __init__(self, scene: Any, dialogue: Dialogue) -> None:
        self.scene = scene
        self.rules: dict[str, Any] = {}
        self.settings: dict[str, Any] = {}
        self.implicit = True
        self.events: list[tuple[str, str]] = []
        for name, value in dialogue.settings:
            if name == "tls":
                self.implicit = False
                self.rules["tls"] = value == "starttls"
            elif name in Pop3PortalSettings.model_fields:
                self.settings[name] = {"true": True, "false": False}.get(value, value)
            else:
                self.events.append((name, value))

    async def set_up(self) -> Player:
        portal = self.scene.portal(**self.settings)
        portal._rules = attrs.evolve(portal._rules, **self.rules)
        for name, value in self.events:
            await getattr(self, name)(portal, value)
        return Player(portal.connect, peer=Peer("127.0.0.1", 4000), implicit=self.implicit)

    async def message(self, _: Any, text: str) -> None:
        octets = text.encode().decode("unicode_escape").encode("latin-1")
        await self.scene.fill(octets)

    async def age(self, _: Any, text: str) -> None:
        self.scene.clock.advance(duration(text) / timedelta(seconds=1))

    async def directory(self, _: Any, state: str) -> None:
        assert state == "down"
        self.scene.people.trouble = LoginUnavailable(state)

    async def disk(self, portal: Any, state: str) -> None:
        assert state == "full"

        async def fail(*_: object) -> None:
            raise DiskFull(state)

        portal._rules.maildrops._removal = fail

    async def before(self, portal: Any, _: str) -> None:
        client = self.scene.client(portal)
        assert (await client.log_in()).startswith(b"+OK")
        client.leave()

    async def beside(self, portal: Any, _: str) -> None:
        assert (await self.scene.client(portal).log_in()).startswith(b"+OK")

    async def left(self, _: Any, uids: str) -> None:
        """Looked at when the dialogue is over."""


@pytest.mark.parametrize("scene", ["memory", "sqlite"], indirect=True)
@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
async def test_dialogue(path: Path, scene: Any) -> None:
    dialogue = Dialogue.read(path)
    await play(dialogue, await Stage(scene, dialogue).set_up())
    for name, value in dialogue.settings:
        if name == "left":
            account = await scene.alice()
            index = await account.index(await scene.inbox())
            assert list(index.uids) == [int(uid) for uid in value.split()]
