"""Who needs whom is settled before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
import pytest
from zope.interface import Interface

from mailplat.app.mistakes import BadConfiguration, Source
from mailplat.app.parts import Part, plan
from mailplat.plugin import Instance, Settings

SOURCE = Source(Path("m.toml"), {("portals", "mx"): 7, ("store", "main"): 9})


class IStove(Interface):
    """Something to ask for."""


class ITable(Interface):
    """Something else to ask for."""


class CookSettings(Settings):
    """Keys of a cook."""

    stove: Instance[IStove] | None = None
    salt: int = 1


class Stove:
    def __init__(self, state: Path) -> None:
        self.state = state


@attrs.frozen(eq=False)
class Cook:
    settings: CookSettings
    fire: IStove
    table: ITable | None
    spare: ITable | None = None


class Host:
    def __init__(self, cook: Cook) -> None: ...


class Guest:
    def __init__(self, host: Host) -> None: ...


class Alone:
    """Asks for nothing and has no constructor."""


@attrs.frozen
class Box:
    parts: tuple[object, ...]
    n: int


class Mute:
    def __init__(self, anything) -> None: ...  # type: ignore[no-untyped-def]


def part(name: str, maker: type, *provides: object, settings: Settings | None = None) -> Part:
    return Part(
        name=name,
        provides=provides,
        maker=maker,
        settings=settings,
        path=tuple(name.split(".")),
    )


VALUES: dict[object, object] = {Path: Path("/state")}


def test_neighbours_are_made_first_and_handed_over() -> None:
    cook = part("portals.mx", Cook, Cook, settings=CookSettings())
    made = plan([cook, part("x.gas", Stove, IStove)], VALUES, SOURCE).carry_out()
    assert [one.part.name for one in made] == ["x.gas", "portals.mx"]
    stove, cooking = (one.thing for one in made)
    assert (stove.state, cooking.fire, cooking.table) == (Path("/state"), stove, None)


def test_settings_say_which_of_several() -> None:
    settings = CookSettings(stove=Instance("wood"))
    stoves = [part("x.gas", Stove, IStove), part("x.wood", Stove, IStove)]
    made = plan(
        [*stoves, part("portals.mx", Cook, settings=settings)], VALUES, SOURCE
    ).carry_out()
    things = {one.part.name: one.thing for one in made}
    assert things["portals.mx"].fire is things["x.wood"]


@attrs.frozen(eq=False)
class Lodger:
    """Has no settings, and so no say."""

    stove: IStove


def test_who_has_no_say_gets_the_main_one() -> None:
    wood = attrs.evolve(part("x.wood", Stove, IStove), is_main=True)
    parts = [part("x.gas", Stove, IStove), wood, part("portals.mx", Lodger)]
    things = {one.part.name: one.thing for one in plan(parts, VALUES, SOURCE).carry_out()}
    assert things["portals.mx"].stove is things["x.wood"]
    cook = part("portals.mx", Cook, settings=CookSettings())
    assert "there are several" in problems(*parts[:2], cook)


class HermitSettings(Settings):
    """Keys of one who may want no fire."""

    stove: Literal["none"] | Instance[IStove] = "none"


@attrs.frozen(eq=False)
class Hermit:
    settings: HermitSettings
    stove: IStove | None = None


@pytest.mark.parametrize("word", ["none", "wood"])
def test_a_word_says_that_there_is_to_be_none(word: str) -> None:
    settings = HermitSettings.model_validate({"stove": word})
    parts = [part("x.wood", Stove, IStove), part("y.hermit", Hermit, settings=settings)]
    made = plan(parts, VALUES, SOURCE).carry_out()
    stove, hermit = (one.thing for one in made)
    assert hermit.stove is (stove if word == "wood" else None)


def test_a_neighbour_that_is_named_is_never_left_out() -> None:
    settings = HermitSettings(stove=Instance("coal"))
    said = problems(part("store.main", Hermit, settings=settings))
    assert said == "m.toml:9: store.main: needs 'coal' as its stove, and there is none"


def problems(*parts: Part) -> str:
    with pytest.raises(BadConfiguration) as caught:
        plan(parts, VALUES, SOURCE)
    return str(caught.value)


def test_an_open_choice_is_a_mistake_with_its_line() -> None:
    stoves = [part("x.gas", Stove, IStove), part("x.wood", Stove, IStove)]
    said = problems(*stoves, part("portals.mx", Cook, settings=CookSettings()))
    assert said == "m.toml:7: portals.mx: needs one IStove, and there are several: gas, wood"


def test_what_nobody_provides_is_a_mistake() -> None:
    said = problems(part("portals.mx", Cook, settings=CookSettings()))
    assert said == "m.toml:7: portals.mx: needs IStove as its fire, and there is none"


def test_a_circle_is_named() -> None:
    host, guest = part("portals.mx", Guest, Cook), part("store.main", Host, Host)
    said = problems(host, guest)
    assert (
        said
        == "m.toml:7: portals.mx: these need each other: portals.mx → store.main → portals.mx"
    )


def test_a_maker_must_say_what_it_asks_for() -> None:
    assert "doesn't say what its anything is" in problems(part("portals.mx", Mute))


def test_parts_may_be_given_in_tuples() -> None:
    alone = part("x.alone", Alone)
    several = Part(name="many", provides=(), maker=Box, given={"parts": (alone,), "n": 1})
    made = plan([several, alone], {}, SOURCE).carry_out()
    assert made[1].thing == Box((made[0].thing,), 1)


def test_what_is_unchanged_is_handed_over() -> None:
    def parts(salt: int) -> list[Part]:
        settings = CookSettings(salt=salt)
        return [
            part("portals.mx", Cook, Cook, settings=settings),
            part("x.gas", Stove, IStove),
            part("x.host", Host),
        ]

    first = plan(parts(1), VALUES, SOURCE).carry_out()
    same = plan(parts(1), VALUES, SOURCE).carry_out(first)
    salted = plan(parts(2), VALUES, SOURCE).carry_out(same)
    assert [one.thing for one in first] == [one.thing for one in same]
    kept = {one.part.name for one in same} & {
        two.part.name for one in same for two in salted if one.thing is two.thing
    }
    assert kept == {"x.gas"}
