"""The player notices everything in which a server differs from its transcript."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from mailplat.testing.dialogues import Dialogue, Line, Player, play
from mailplat.wire.engine import After, TimedOut
from mailplat.wire.lines import Lines


@attrs.define
class Echo:
    """An engine that gives every line back; ``tls`` and ``bye`` do what they say."""

    after: After = After.GO_ON
    _lines: Lines = attrs.field(factory=lambda: Lines(100))

    @property
    def held(self) -> int:
        return self._lines.held

    def receive(self, octets: bytes) -> None:
        self._lines.receive(octets)

    def next_event(self) -> object | None:
        return self._lines.next_line()

    def send(self, reply: object) -> bytes:
        assert isinstance(reply, bytes)
        self.after = {b"tls": After.START_TLS, b"bye": After.CLOSE}.get(reply, After.GO_ON)
        return reply + b"\r\n"


@attrs.define
class Parrot:
    """A session that says every line again, under TLS louder."""

    line: Line
    ended: int = 0

    async def greet(self) -> bytes:
        return b"hello"

    async def answer(self, event: object) -> bytes | None:
        if isinstance(event, TimedOut):
            return b"bye"
        assert isinstance(event, bytes)
        if event == b"long":
            await self.line.write(b"one\r\ntwo\r\n")
        if event == b"nothing":
            return None
        return event.upper() if self.line.secured and event != b"bye" else event

    def lost(self) -> None:
        self.ended += 1


def player() -> Player:
    return Player(lambda line: (Echo(), Parrot(line)))


async def perform(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dialogue.txt"
    path.write_text(text)
    await play(Dialogue.read(path), player())


@pytest.mark.parametrize(
    "text",
    [
        "# a title\n\nS: hello\nC: a\nC: b\nS: a\nS: b\n",
        "# a title\nkey: value\n\nS: ...\nC: bye\nS: b...e\n[closed]\n",
        "# a title\n\nS: h...\n# a remark\nR: a\\x20b\\r\\n\nS: a b\n[hangs up]\n",
        "# a title\n\nS: hello\nC: tls\nS: tls\n[TLS]\nC: a\nS: A\n",
        "# a title\n\nS: hello\nC: long\nS: ...\nS: two\nS: long\n",
        "# a title\n\nS: hello\nC: nothing\nC: a\nS: a\n[late]\nS: bye\n[closed]\n",
        "# a title\n\nS: hello\nS: ...\n",
    ],
)
async def test_what_fits(tmp_path: Path, text: str) -> None:
    await perform(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "# nothing expected\n\nC: a\n",
        "# another line\n\nS: hullo\n",
        "# a line more\n\nS: hello\nC: long\nS: one\nS: two\n",
        "# a line less\n\nS: hello\nC: a\nS: a\nS: b\n",
        "# not closed\n\nS: hello\n[closed]\n",
        "# no TLS\n\nS: hello\n[TLS]\n",
        "# unexpected at the end\n\nS: hello\nC: a\n",
        "# words before the handshake\n\nS: hello\nC: tls\nC: a\n",
        "# dots in the middle are not regular expressions\n\nS: h.llo\n",
    ],
)
async def test_what_differs(tmp_path: Path, text: str) -> None:
    with pytest.raises(AssertionError):
        await perform(tmp_path, text)


def test_a_line_without_meaning(tmp_path: Path) -> None:
    path = tmp_path / "dialogue.txt"
    path.write_text("# a title\n\nS: hello\nD: what\n")
    with pytest.raises(ValueError, match="line 4"):
        Dialogue.read(path)


def test_settings_and_title(tmp_path: Path) -> None:
    path = tmp_path / "dialogue.txt"
    path.write_text("# one\n# title\naccount: alice: INBOX\naccount: bob\n\nS: hello\n")
    dialogue = Dialogue.read(path)
    assert dialogue.title == "one title"
    assert dialogue.settings == (("account", "alice: INBOX"), ("account", "bob"))
