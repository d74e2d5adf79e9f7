"""Where a store's contents lie, as the configuration says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mailplat.app import newhouse
from mailplat.app.config import check, read
from mailplat.app.foundation import Foundation
from mailplat.app.lock import Lock
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import Registry, discover
from mailplat.app.tables import CONTENTS
from mailplat.app.wiring import KINDS, draw
from mailplat.interfaces import IMailStore
from mailplat.mail.errors import StoreFailed

TWO = '[contents.fast]\nuse = "files"\nfolder = "fast"\n[contents.slow]\nuse = "files"\n'


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


def place_of(text: str, registry: Registry) -> str | None:
    """Return the name of the part that the store of a configuration is given."""
    configuration = check(text, Path("m.toml"), registry)
    plan = draw(configuration, KINDS)
    [arguments] = [known for part, known in plan.steps if IMailStore in part.provides]
    contents: Any = arguments.get("contents")
    return contents.name if contents else None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", None),
        ('[store.main]\ncontents = "database"\n', None),
        (f'[store.main]\ncontents = "database"\n{TWO}', None),
        (TWO, None),
        ('[store.main]\ncontents = "files"\n', "contents.files"),
        (f'[store.main]\ncontents = "files"\n{TWO}', "contents.files"),
        (f'[store.main]\ncontents = "slow"\n{TWO}', "contents.slow"),
    ],
)
def test_a_store_is_given_the_place_that_it_names(
    registry: Registry, text: str, name: str | None
) -> None:
    assert place_of(text, registry) == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[store.main]\ncontents = "fils"\n', "no place of contents 'fils'; did you mean 'files'"),
        (f'[store.main]\ncontents = "fat"\n{TWO}', "no place of contents 'fat'; did you mean 'fast'"),
        ('[store.main]\ncontents = 5\n', "m.toml:2: store.main.contents"),
        ('[contents.files]\ncompression = "lzma"\n', "m.toml:2: contents.files.compression"),
    ],
)  # fmt: skip
def test_a_place_that_is_none_is_a_mistake(registry: Registry, text: str, said: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        check(text, Path("m.toml"), registry)
    assert said in str(caught.value)


@pytest.mark.parametrize("place", ["files", "maildir"])
def test_a_new_house_may_have_its_contents_elsewhere(
    registry: Registry, tmp_path: Path, place: str
) -> None:
    house = newhouse.NewHouse(tmp_path, "example.org", contents=place)
    newhouse.make(house)
    configuration = read(house.config, registry)
    assert [entry.name for entry in configuration.entries_of(CONTENTS)] == [place]
    assert place_of(house.config.read_text(), registry) == f"contents.{place}"


def test_a_new_house_knows_where_contents_may_lie(tmp_path: Path) -> None:
    house = newhouse.NewHouse(tmp_path, "example.org", contents="file")
    with pytest.raises(newhouse.NotMade, match=r"file: .*did you mean 'files'"):
        newhouse.make(house)
    assert not list(tmp_path.iterdir())


async def test_a_file_that_cannot_be_synced_ends_the_house(
    registry: Registry, tmp_path: Path, reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk that contents are written to is one that the house listens to."""
    (tmp_path / "state").mkdir()
    configuration = check("", tmp_path / "m.toml", registry)
    told: list[Exception] = []
    lock = Lock.take(tmp_path / "state")
    foundation = Foundation.lay(configuration, reactor, lock, told.append)

    def broken(*_args: object) -> None:
        raise OSError(5, "made to fail")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(StoreFailed):
        await foundation.workers.syncs.ask(foundation.disk.make_folder, tmp_path / "new")
    await foundation.workers.syncs.ask(str)
    assert len(told) == 1
    await foundation.clear()
