"""Kills a store without warning while eight accounts are worked at, again and again.

    python -m pytest tests/flows/test_kill_work.py --rounds 200

Each step that was answered is there after the restart, and the one that was under way is there
whole or not at all; a delivery that was cut short and is made again is there once.  No UID, no
UIDVALIDITY and no mod-sequence ever goes back, and `mailplat verify` finds nothing.
"""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from mailplat.testing.programs import House, wait_until

AT_WORK = Path(__file__).with_name("at_work.py")
PATIENCE = 300.0  # seconds for a start on a busy machine

Step = dict[str, Any]


@attrs.define
class Message:
    """A message as it was promised: its number, its flags, and the least mod-sequence."""

    number: int
    flags: frozenset[str]
    modseq: int = 0

    def is_shown_by(self, other: Message) -> bool:
        same = (self.number, self.flags) == (other.number, other.flags)
        return same and self.modseq <= other.modseq


@attrs.define
class Box:
    """A mailbox as it was promised."""

    name: str
    validity: int = 0
    next: int = 1
    modseq: int = 0
    messages: dict[int, Message] = attrs.field(factory=dict)

    def add(self, *messages: Message) -> None:
        for message in messages:
            self.messages[self.next] = message
            self.next += 1

    def differences(self, other: Box) -> Iterator[str]:
        """Say in what that isn't what was promised, or has a lower number than it had."""
        if self.validity and self.validity != other.validity:
            yield f"UIDVALIDITY {self.validity}, found {other.validity}"
        if self.next != other.next:
            yield f"UIDNEXT {self.next}, found {other.next}"
        if self.modseq > other.modseq:
            yield f"HIGHESTMODSEQ {self.modseq}, found {other.modseq}"
        for uid in sorted(self.messages.keys() | other.messages.keys()):
            here, there = self.messages.get(uid), other.messages.get(uid)
            if not (here and there and here.is_shown_by(there)):
                yield f"UID {uid}: {here}, found {there}"


@attrs.define
class Mail:
    """What an account has been promised, and what was under way."""

    boxes: dict[str, Box] = attrs.field(factory=dict)
    validities: dict[str, int] = attrs.field(factory=dict)  # of all mailboxes there ever were
    under_way: Step | None = None

    @classmethod
    def of(cls, found: dict[str, Any]) -> Mail:
        boxes = {}
        for identity, one in found.items():
            messages = {
                int(uid): Message(number, frozenset(flags), modseq)
                for uid, (number, flags, modseq) in one["messages"].items()
            }
            shown = (one["name"], one["validity"], one["next"], one["modseq"])
            boxes[identity] = Box(*shown, messages)
        return cls(boxes)

    def named(self, name: str) -> Box:
        named = {box.name: box for box in self.boxes.values()}
        return named.get(name) or named["INBOX"]

    def ended(self, done: Step) -> None:
        """Take what was under way for promised."""
        assert self.under_way
        self._do(self.under_way, done)
        self.under_way = None

    def _do(self, step: Step, done: Step) -> None:
        modseq = done.get("modseq", 0)
        if step["does"] == "make":
            made = Box(step["name"], done.get("validity", 0), modseq=modseq)
            self.boxes[done.get("box", "made")] = made
        elif step["does"] == "remove":
            del self.boxes[step["box"]]
        elif step["does"] == "deliver":
            for box in {id(box): box for box in map(self.named, step["names"])}.values():
                box.add(Message(step["number"], frozenset()))
        else:
            getattr(self, f"_{step['does']}")(step, self.boxes[step["box"]], modseq)

    def _append(self, step: Step, box: Box, modseq: int) -> None:
        flags = frozenset(step["flags"])
        box.add(*(Message(number, flags, modseq) for number in step["numbers"]))
        box.modseq = max(box.modseq, modseq)

    def _replace(self, step: Step, box: Box, modseq: int) -> None:
        del self.boxes[step["source"]].messages[step["uid"]]
        self._append(step, box, modseq)

    def _flag(self, step: Step, box: Box, _modseq: int) -> None:
        flags = frozenset(step["flags"])
        for uid in step["uids"]:
            message = box.messages[uid]
            match step["change"]:
                case "ADD":
                    message.flags |= flags
                case "REMOVE":
                    message.flags -= flags
                case "REPLACE":
                    message.flags = flags

    def _move(self, step: Step, box: Box, modseq: int) -> None:
        moved = [attrs.evolve(box.messages[uid], modseq=modseq) for uid in step["uids"]]
        if not step["keep"]:
            self._expunge(step, box, modseq)
        self.boxes[step["target"]].add(*moved)

    def _expunge(self, step: Step, box: Box, _modseq: int) -> None:
        for uid in step["uids"]:
            del box.messages[uid]

    def found(self, there: Mail) -> None:
        """Compare with what is there after a kill, and go on from that.

        A delivery that was under way has been made again meanwhile.
        """
        outcomes = [self]
        if self.under_way:
            after = copy.deepcopy(self)
            after.ended({})
            outcomes = [after] if self.under_way["does"] == "deliver" else [self, after]
        differences = [list(one._differences(there)) for one in outcomes]
        assert [] in differences, (self.under_way, differences)
        for identity, box in there.boxes.items():
            assert self.validities.setdefault(identity, box.validity) == box.validity
        known = list(self.validities.values())
        assert len(known) == len(set(known)), "a UIDVALIDITY has come back"
        self.boxes, self.under_way = there.boxes, None

    def _differences(self, there: Mail) -> Iterator[str]:
        ours = {box.name: box for box in self.boxes.values()}
        theirs = {box.name: box for box in there.boxes.values()}
        if ours.keys() != theirs.keys():
            yield f"mailboxes {sorted(ours)}, found {sorted(theirs)}"
        for name in ours.keys() & theirs.keys():
            for difference in ours[name].differences(theirs[name]):
                yield f"{name}: {difference}"


@attrs.define
class Ledger:
    """What all accounts have been promised, and how many steps that took."""

    accounts: dict[str, Mail] = attrs.field(factory=dict)
    promised: int = 0

    def read(self, lines: Iterator[Step]) -> None:
        for line in lines:
            if "account" not in line:
                continue
            mail = self.accounts.setdefault(line["account"], Mail())
            if "has" in line:
                there = Mail.of(line["has"])
                if mail.boxes:
                    mail.found(there)
                else:
                    mail.boxes = there.boxes
            elif "does" in line:
                mail.under_way = line
            else:
                mail.ended(line["done"])
                self.promised += 1

    def cut_short(self) -> list[tuple[str, int, list[str]]]:
        """Return the deliveries that nobody has answered for."""
        under_way = ((name, mail.under_way) for name, mail in self.accounts.items())
        return [
            (name, step["number"], step["names"])
            for name, step in under_way
            if step and step["does"] == "deliver"
        ]


HOUSES = (
    "sqlite",
    "sqlite, files",
    "sqlite, maildir",
    "postgres",
    "postgres, files",
    "postgres, maildir",
)


@pytest.mark.parametrize("kind", HOUSES)
def test_work_rounds(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    house, ledger = House(tmp_path / "house"), Ledger()
    database, _, contents = kind.partition(", ")
    url = "sqlite:mail.db"
    if database == "postgres":
        url = request.getfixturevalue("postgres").url
    house.make({}, database=url, contents=contents or "database")
    rounds, log = pytestconfig.getoption("rounds"), tmp_path / "steps"
    for number in range(rounds):
        work_until_killed(house, number, ledger, log, random.Random(number).uniform(0, 1))
        ledger.read(lines_of(log))
    work_until_killed(house, rounds, ledger, log, 0)
    ledger.read(lines_of(log))
    house.run("verify")
    print(f"{kind}: {rounds} kills, {ledger.promised} steps promised")


def work_until_killed(
    house: House, number: int, ledger: Ledger, log: Path, seconds: float
) -> None:
    """Let the accounts be worked at for a while, then kill who does it."""
    words = [str(house.config), str(number), json.dumps(ledger.cut_short())]
    with log.open("wb") as steps, log.with_suffix(".errors").open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, AT_WORK, *words], stdout=steps, stderr=errors, cwd=house.folder
        )
        try:
            wait_until(lambda: has_worked(child, log), "a step that is done", PATIENCE)
            threading.Event().wait(seconds)
            assert child.poll() is None, log.with_suffix(".errors").read_text()
        finally:
            child.kill()
            child.wait()


def has_worked(child: subprocess.Popen[bytes], log: Path) -> bool:
    assert child.poll() is None, log.with_suffix(".errors").read_text()
    return b'"done"' in log.read_bytes()


def lines_of(log: Path) -> Iterator[Step]:
    """Yield what was said whole."""
    for line in log.read_bytes().split(b"\n")[:-1]:
        yield json.loads(line)
