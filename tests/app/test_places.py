"""Where a configuration is looked for, and how a new one is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailplat.app import newhouse
from mailplat.app.cli import places
from mailplat.app.cli.places import NAME, NoConfiguration, find_config
from mailplat.app.newhouse import NewHouse, NotMade
from mailplat.files import Disk
from mailplat.mail.errors import StoreFailed


def test_the_house_of_a_first_start_is_found_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    system = tmp_path / "etc" / NAME
    chosen = (places.PLACES[0], system, *places.PLACES[2:])
    assert [str(place) for place in places.PLACES] == [
        "mailplat.toml",
        "/etc/mailplat/mailplat.toml",
        "mailplat-state/mailplat.toml",
    ]
    monkeypatch.setattr(places, "PLACES", chosen)
    with pytest.raises(NoConfiguration):
        find_config(None, {})
    for place in reversed(chosen):
        place.parent.mkdir(exist_ok=True)
        place.touch()
        assert find_config(None, {}) == place.absolute()


def test_a_new_house_is_private_and_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(Disk, "sync_folder", lambda _disk, folder: synced.append(folder))
    house = NewHouse(tmp_path / "house", "example.org", 10000)
    newhouse.make(house)
    assert house.config.stat().st_mode & 0o777 == 0o600
    assert synced == [house.folder / "tls", house.folder]


def test_a_house_that_can_not_be_written_is_said_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_disk: Disk, path: Path, _octets: bytes) -> None:
        raise StoreFailed(f"sync of {path}")

    monkeypatch.setattr(Disk, "replace", fail)
    with pytest.raises(NotMade, match="can't be written: sync of"):
        newhouse.make(NewHouse(tmp_path / "house", "example.org", 10000))
