"""What settings accept, refuse, and never show."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

import attrs
import pytest
from pydantic import Field, ValidationError
from zope.interface import Interface
from zope.interface.verify import verifyObject

from mailplat.plugin import (
    Component,
    Duration,
    IComponent,
    Instance,
    Location,
    Secret,
    Settings,
    Size,
    duration,
    duration_text,
    size,
    size_text,
)


class IPantry(Interface):
    """Something to depend on."""


class ShelfSettings(Settings):
    """Keys of a shelf."""

    patience: Duration = timedelta(seconds=30)
    room: Size = 1 << 20
    password: Secret | None = None
    folder: Location = Path("here")
    pantry: Instance[IPantry] | None = None
    count: int = Field(3, ge=1, description="How many.")


@attrs.frozen
class Origin:
    folder: Path


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5 days", 432000), ("30 s", 30), ("1 h 30 min", 5400), ("250ms", 0.25), ("1.5 h", 5400)],
)
def test_a_duration_carries_its_unit(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)
    assert duration(duration_text(duration(text))) == duration(text)


@pytest.mark.parametrize(
    "wrong", ["", "30", "5 parsecs", "30 s x", "-1 s", "5 m", 30, True, None]
)
def test_what_is_no_duration_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="unit"):
        duration(wrong)


@pytest.mark.parametrize(
    ("text", "octets"), [("50 MiB", 52428800), ("10 kB", 10000), ("7 B", 7)]
)
def test_a_size_carries_its_unit(text: str, octets: int) -> None:
    assert size(text) == octets
    assert size(size_text(octets)) == octets


@pytest.mark.parametrize("wrong", ["", "50", "1.5 B", "3 apples", True, 2.5, None])
def test_what_is_no_size_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="unit"):
        size(wrong)


def test_a_file_must_say_the_unit_and_code_need_not(tmp_path: Path) -> None:
    assert ShelfSettings(room=5).room == 5
    with pytest.raises(ValidationError, match="unit"):
        ShelfSettings.model_validate({"room": 5}, context=Origin(tmp_path))


def test_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    read = ShelfSettings.model_validate({"folder": "x/y"}, context=Origin(tmp_path))
    assert read.folder == tmp_path / "x/y"


def test_a_secret_never_shows_itself() -> None:
    settings = ShelfSettings(password="tomato soup")
    assert settings.password == Secret("tomato soup")
    assert settings.password.reveal() == "tomato soup"
    shown = f"{settings!r} {settings} {settings.model_dump_json()} {settings.password}"
    assert "tomato" not in shown


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("tomato soup\n")
    read = ShelfSettings.model_validate({"password_file": "pass"}, context=Origin(tmp_path))
    assert read.password is not None
    assert read.password.reveal() == "tomato soup"
    with pytest.raises(ValidationError, match="readable file"):
        ShelfSettings.model_validate({"password_file": "missing"}, context=Origin(tmp_path))
    with pytest.raises(ValidationError, match="only one of"):
        ShelfSettings.model_validate({"password_file": "pass", "password": "x"})


def test_an_instance_knows_its_interface() -> None:
    settings = ShelfSettings(pantry="cellar")
    assert settings.pantry == Instance("cellar")
    assert settings.pantry.interface is IPantry


class BoxSettings(Settings):
    """Keys of a box, which may stand in a pantry or elsewhere."""

    place: Literal["cellar", "attic"] | Instance[IPantry] = "cellar"


@pytest.mark.parametrize("place", ["cellar", "attic", "kitchen"])
def test_an_instance_may_be_a_word_instead(place: str) -> None:
    [interface] = BoxSettings.instances().values()
    assert interface is IPantry
    assert BoxSettings.words("place") == ["cellar", "attic"]
    read = BoxSettings.model_validate({"place": place}).place
    assert str(read) == place
    assert isinstance(read, Instance) == (place == "kitchen")


def test_settings_are_frozen_and_know_every_key() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ShelfSettings().count = 5  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        ShelfSettings(cuont=5)  # type: ignore[call-arg]


def test_a_component_is_a_plugin() -> None:
    component = Component(name="shelf", provides=IPantry, maker="no.such.Module")
    assert component.provides == (IPantry,)
    verifyObject(IComponent, component)
