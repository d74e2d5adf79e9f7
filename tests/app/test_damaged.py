"""Messages that can't be read are left out by name, wherever mail is moved, and no others."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from mailplat.app.operations import OPERATIONS, Desk
from mailplat.moving.sources import FileSource
from mailplat.moving.trees import opened
from mailplat.moving.writing import FORMS, Writing, Written
from mailplat.pytest_plugin import MemoryHouse

BOB = "bob@example.org"
PACKED = """
[store.main]
use = "indexed"
contents = "files"

[contents.files]
use = "files"
compression = "gzip"
"""
OTHER = """
[store.other]
use = "memory"

[agents.local]
use = "local"
store = "main"

[portals.pop3]
use = "pop3"
listen = ["127.0.0.1:0"]
tls = "off"
store = "main"

[portals.imap]
use = "imap"
listen = ["127.0.0.1:0"]
tls = "off"
store = "main"
"""
SIZES = [100, 3000, 3000, 3000, 200_000, 3_000_000, 3000]
CUT, GONE, LARGE = 3, 4, 6  # UIDs of those that are damaged below
SOUND = [1, 2, 5, 7]


def message(number: int) -> bytes:
    line = b"line of message %d\r\n" % number
    return b"Subject: %d\r\n\r\n" % number + line * (SIZES[number - 1] // len(line))


@pytest.fixture(params=[""])
def house(
    mailplat_house: Callable[..., MemoryHouse], request: pytest.FixtureRequest
) -> MemoryHouse:
    house = mailplat_house(PACKED + request.param)
    house.add_account(BOB)
    for number in range(1, len(SIZES) + 1):
        assert house.deliver(message(number), to=BOB).startswith("250")
    return house


def files(state: Path) -> list[Path]:
    """Return the contents' files in the order of their messages."""
    found = {}
    for path in state.glob("contents/*/*/*"):
        octets = path.read_bytes()
        if path.suffix == ".gz":
            octets = zlib.decompressobj(31).decompress(octets)  # its first frame
        if subject := re.search(rb"Subject: (\d+)\r\n", octets):
            found[int(subject[1])] = path
    return [found[number] for number in range(1, len(SIZES) + 1)]


def damage(state: Path) -> None:
    there = files(state)
    there[CUT - 1].write_bytes(there[CUT - 1].read_bytes()[:-1])
    there[GONE - 1].unlink()
    octets = there[LARGE - 1].read_bytes()
    half = len(octets) // 2
    changed = bytes(octet ^ 0xFF for octet in octets[half : half + 50])
    there[LARGE - 1].write_bytes(octets[:half] + changed + octets[half + 50 :])


def uids(places: Iterable[str]) -> list[int]:
    return sorted(int(re.findall(r"UID (\d+)", place)[0]) for place in places)


class Line:
    """Speaks with a house in this process."""

    def __init__(self, house: MemoryHouse) -> None:
        self._house = house
        self._conversation = house.do(OPERATIONS["mail.export"](Desk(house.tree), name=BOB))

    def ask(self, head: dict[str, Any], octets: bytes = b"") -> Any:
        return self._house.do(self._conversation.answer(head, octets))

    say = hear = ask


def export(house: MemoryHouse, target: Path, form: str) -> Written:
    return Writing(Line(house), target, form, BOB, lambda _report: None).write()


def subjects(target: Path) -> list[int]:
    with opened(target) as tree:
        source = FileSource(tree)
        source.boxes()
        found = []
        for letter in source.letters():
            octets = b"".join(letter.pieces)
            number = int(re.findall(rb"Subject: (\d+)", octets)[0])
            assert octets.endswith(message(number))
            found.append(number)
    return sorted(found)


@pytest.mark.parametrize("form", FORMS)
def test_an_export_leaves_them_out(house: MemoryHouse, tmp_path: Path, form: str) -> None:
    damage(house.foundation.state)
    target = tmp_path / "out"
    report = export(house, target, form)
    assert report.messages == len(SOUND)
    assert uids(one["place"] for one in report.named) == [CUT, GONE, LARGE]
    assert subjects(target) == SOUND
    again = export(house, target, form)
    assert again.messages == 0
    assert again.named == report.named
    assert json.loads((target / ".mailplat-export").read_bytes())


def test_an_account_is_put_back_without_them(house: MemoryHouse, tmp_path: Path) -> None:
    damage(house.foundation.state)
    house.operate("house.backup", target=str(tmp_path / "kept"))
    found = house.operate("house.restore", target=str(tmp_path / "kept"), account=BOB)
    [box] = found["mailboxes"]
    assert (box["mailbox"], box["added"], box["known"]) == ("Restored/INBOX", len(SOUND), 0)
    assert uids(box["failed"]) == [CUT, GONE, LARGE]
    export(house, tmp_path / "out", "eml")
    assert subjects(tmp_path / "out/Restored") == SOUND


def migrate(house: MemoryHouse) -> dict[str, Any]:
    desk = Desk(house.tree)
    migration = house.do(OPERATIONS["store.migrate"](desk, source="main", target="other"))
    while True:
        told, _ = house.do(migration.answer({"do": "go on"}, b""))
        if told["done"]:
            return dict(told)


@pytest.mark.parametrize("house", [OTHER], indirect=True)
def test_a_store_goes_over_without_them_and_takes_them_later(house: MemoryHouse) -> None:
    before = {path: path.read_bytes() for path in files(house.foundation.state)}
    damage(house.foundation.state)
    for _ in range(2):
        told = migrate(house)
        assert uids(one["place"] for one in told["named"]) == [CUT, GONE, LARGE]
        assert (told["left_out"], told["messages"]) == (3, len(SOUND))
    for path, octets in before.items():
        path.write_bytes(octets)
    told = migrate(house)
    assert (told["left_out"], told["written"], told["messages"]) == (0, 3, len(SIZES))
