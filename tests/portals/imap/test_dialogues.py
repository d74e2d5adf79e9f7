"""Every transcript in tests/dialogues/imap is what really happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from mailplat.mail.errors import DiskFull, LoginUnavailable
from mailplat.mail.mailbox import Role, UidSet
from mailplat.mail.transit import Peer
from mailplat.testing.dialogues import Dialogue, Player, play

DIALOGUES = sorted((Path(__file__).parents[2] / "dialogues" / "imap").glob("*.txt"))


class Guest(Player):
    """A player whose greeting, login and SELECT are over when the dialogue begins."""

    ahead: tuple[bytes, ...] = ()

    async def greet(self) -> None:
        await super().greet()
        if self.ahead:
            for line in self.ahead:
                await self.send(line)
            assert self.said[-1].startswith("x OK")
            self.said.clear()


class Stage:
    """What the lines before a dialogue ask for.

    ``start`` is ``greeting`` (the default), ``logged in``, or ``MAILBOX selected``.
    ``mailbox`` is a name with its role; ``message`` is octets, into the mailbox named
    last and with the flags named last; ``gone`` expunges by UID.
    """

    def __init__(self, scene: Any, dialogue: Dialogue) -> None:
        self.scene = scene
        self.rules: dict[str, Any] = {}
        self.settings: dict[str, Any] = {}
        self.implicit = True
        self.ahead: list[bytes] = []
        self.into = "INBOX"
        self.flags: tuple[str, ...] = ()
        self.events = dialogue.settings

    async def set_up(self) -> Player:
        for name, value in self.events:
            await getattr(self, name)(value)
        portal = self.scene.portal(**self.settings)
        portal._rules = attrs.evolve(portal._rules, **self.rules)
        player = Guest(portal.connect, peer=Peer("127.0.0.1", 4000), implicit=self.implicit)
        player.ahead = tuple(self.ahead)
        return player

    async def tls(self, value: str) -> None:
        self.implicit = False
        self.rules["tls"] = value == "starttls"

    async def without(self, names: str) -> None:
        self.settings["without"] = names.split()

    async def start(self, where: str) -> None:
        self.ahead.append(b"x LOGIN alice sesame\r\n")
        if where.endswith(" selected"):
            self.ahead.append(f'x SELECT "{where.removesuffix(" selected")}"\r\n'.encode())

    async def enabled(self, names: str) -> None:
        self.ahead.insert(1, f"x ENABLE {names}\r\n".encode())

    async def mailbox(self, value: str) -> None:
        name, _, role = value.partition(" \\")
        self.into = name
        await self.scene.box(name, Role(f"\\{role}") if role else Role.NONE)

    async def subscribed(self, names: str) -> None:
        await (await self.scene.alice()).subscribe(names.split(), on=True)

    async def flagged(self, flags: str) -> None:
        self.flags = tuple(flags.split())

    async def message(self, text: str) -> None:
        octets = text.encode().decode("unicode_escape").encode("latin-1")
        await self.scene.fill(octets, flags=self.flags, into=self.into)

    async def gone(self, uid: str) -> None:
        box = await self.scene.box(self.into)
        await (await self.scene.alice()).expunge(box.id, UidSet.of(int(uid)))

    async def directory(self, state: str) -> None:
        assert state == "down"
        self.scene.people.trouble = LoginUnavailable(state)

    async def disk(self, state: str) -> None:
        assert state == "full"

        def fail(_octets: int) -> None:
            raise DiskFull(state)

        self.scene.spool.insist_on_room = fail

    async def left(self, uids: str) -> None:
        """Looked at when the dialogue is over."""


@pytest.mark.parametrize("scene", ["memory", "sqlite"], indirect=True)
@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
async def test_dialogue(path: Path, scene: Any) -> None:
    dialogue = Dialogue.read(path)
    await play(dialogue, await Stage(scene, dialogue).set_up())
    for name, value in dialogue.settings:
        if name == "left":
            account = await scene.alice()
            index = await account.index((await scene.box()).id)
            assert list(index.uids) == [int(uid) for uid in value.split()]
