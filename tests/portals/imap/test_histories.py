"""Several clients do whatever they like, and each believes what it is told.

Each client keeps a copy of the mailbox that is made of nothing but the responses it
has heard.  Whatever all of them do, and whenever they are told of it, the copies equal
the mailbox in the end.
"""

from __future__ import annotations

import random
import re
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mailplat.mail.mailbox import UidSet
from mailplat.testing.fakes import new_message

CLIENTS = 3
MESSAGE = b"Subject: x\r\n\r\n"
LINE = re.compile(
    r"\* (?:(\d+) (EXISTS|EXPUNGE|FETCH)|(VANISHED)(?: \(EARLIER\))?) ?(?:\((.*)\)|([\d:,]+))?"
)


@attrs.define
class Copy:
    """What one client knows: a UID and flags for each number, None for what it hasn't heard."""

    client: Any
    name: str
    rows: list[list[Any]] = attrs.field(factory=list)
    idling: bool = False

    async def do(self, line: str) -> str:
        """Say a command and take in the answer."""
        heard = (await self.client.say(f"t {line}")).decode()
        if line.startswith(("FETCH", "STORE", "SEARCH", "COPY")):
            assert " EXPUNGE" not in heard, "RFC 9051 section 7.5.1"
            assert "VANISHED" not in heard
        self.hear(heard)
        return heard

    def hear(self, heard: str) -> None:
        for line in heard.split("\r\n"):
            if found := LINE.fullmatch(line):
                self._take(*found.groups())

    def _take(self, number: str, kind: str, vanished: str, inside: str, uids: str) -> None:
        if vanished:
            gone = {uid for first, last in spans(uids) for uid in range(first, last + 1)}
            assert all(row[0] is not None for row in self.rows), "VANISHED of unknown numbers"
            self.rows = [row for row in self.rows if row[0] not in gone]
            return
        at = int(number) - 1
        if kind == "EXISTS":
            assert at + 1 >= len(self.rows), "EXISTS took some away"
            self.rows += [[None, None] for _ in range(at + 1 - len(self.rows))]
        elif kind == "EXPUNGE":
            del self.rows[at]
        else:
            self._fetched(at, inside)

    def _fetched(self, at: int, inside: str) -> None:
        row = self.rows[at]
        if found := re.search(r"\bUID (\d+)", inside):
            assert row[0] in (None, int(found[1])), "a number changed its message"
            row[0] = int(found[1])
        if found := re.search(r"FLAGS \(([^)]*)\)", inside):
            row[1] = frozenset(found[1].split())

    async def take_turn(self, command: str) -> None:
        """Do something else than idling, or begin to idle."""
        await self.stop_idling()
        await self.do(command)
        self.idling = command == "IDLE"
        if not self.idling and None in [row[0] for row in self.rows]:
            await self.learn()  # who enables QRESYNC must know the UIDs of what may vanish

    async def stop_idling(self) -> None:
        if self.idling:
            self.idling = False
            self.hear((await self.client.send(b"DONE\r\n")).decode())

    async def learn(self) -> None:
        """Ask for what has come and isn't known."""
        await self.do("UID FETCH 1:* (UID FLAGS)")


def spans(uids: str) -> list[tuple[int, int]]:
    pairs = [part.split(":") for part in uids.split(",")]
    return [(int(pair[0]), int(pair[-1])) for pair in pairs]


FLAGS = ["\\Seen", "\\Deleted", "\\Flagged", "$Work"]
SETS = ["1", "1:2", "2:3", "1:*", "*", "3", "1,3"]
PATTERNS = [
    *("STORE {} +FLAGS ({})", "UID STORE {} -FLAGS ({})", "STORE {} +FLAGS.SILENT ({})"),
    *("UID STORE {} FLAGS.SILENT ({})", "FETCH {} FLAGS", "FETCH {} BODY[]", "SEARCH {}"),
    *("UID FETCH {} (FLAGS MODSEQ)", "COPY {} INBOX", "UID COPY {} Other", "MOVE {} Other"),
    *("UID MOVE {} INBOX", "UID EXPUNGE {}", "NOOP", "EXPUNGE", "CHECK", "IDLE"),
    "APPEND INBOX (\\Deleted) {{14+}}\r\nSubject: y\r\n\r\n",
]
commands = st.builds(
    str.format, st.sampled_from(PATTERNS), st.sampled_from(SETS), st.sampled_from(FLAGS)
)
steps = st.lists(
    st.tuples(st.integers(0, CLIENTS - 1), commands, st.booleans()), min_size=3, max_size=25
)


async def play(scene: Any, history: list[tuple[int, str, bool]], enabled: list[str]) -> None:
    account = await scene.alice()
    inbox, other = await scene.box(), await scene.box("Other")
    for box in (inbox, other):
        await account.expunge(box.id, UidSet.all())
    await account.append(inbox.id, [new_message(MESSAGE)] * 3)
    scene.tell()
    copies = [await beginning(scene, names) for names in enabled]
    for who, command, told in history:
        await copies[who].take_turn(command)
        if told:
            scene.tell()
            for one in copies:
                one.hear((await one.client.hear()).decode())
    scene.tell()
    index = await account.index(inbox.id)
    truth = [[uid, index.flag_sets[index.flags[at]]] for at, uid in enumerate(index.uids)]
    for copy in copies:
        await copy.stop_idling()
        await copy.do("NOOP")
        await copy.learn()
        assert copy.rows == truth, copy.name
        copy.client.leave()
    assert not len(scene.indexes)


async def beginning(scene: Any, names: str) -> Copy:
    """Return a client that has enabled some extensions, selected INBOX and looked around."""
    copy = Copy(scene.client(), names or "IMAP4rev1")
    await copy.client.log_in()
    if names:
        await copy.do(f"ENABLE {names}")
    await copy.do("SELECT INBOX")
    await copy.learn()
    return copy


QRESYNC = ["", "CONDSTORE", "QRESYNC"]
QUIET = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@QUIET
@given(steps)
@example([(0, "MOVE 1:2 Other", False), (1, "FETCH 1:* FLAGS", True), (1, "NOOP", True)])
@example([(0, "IDLE", True), (1, "EXPUNGE", True), (1, "STORE 1:* +FLAGS (\\Deleted)", True)])
async def test_all_copies_agree(scene: Any, history: list[tuple[int, str, bool]]) -> None:
    await play(scene, history, ["", "", "IMAP4rev2"])


@QUIET
@given(steps)
async def test_all_copies_agree_by_uids(
    scene: Any, history: list[tuple[int, str, bool]]
) -> None:
    await play(scene, history, QRESYNC)


@pytest.mark.parametrize("scene", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seed", range(8))
async def test_all_copies_agree_with_a_database(scene: Any, seed: int) -> None:
    chance = random.Random(seed)
    history = [
        (
            chance.randrange(CLIENTS),
            chance.choice(PATTERNS).format(chance.choice(SETS), chance.choice(FLAGS)),
            chance.random() < 0.5,
        )
        for _ in range(120)
    ]
    await play(scene, history, QRESYNC if seed % 2 else ["", "", "IMAP4rev2"])
