"""Who needs whom: parts of the house, made in the order in which they need each other.

A part's maker says by its annotations what it asks for.  Here that is turned
into an order before anything is made, and whatever keeps it from being one is
a mistake with its line: something nobody provides, a choice that is open, a
circle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import attrs

from mailplat.app import toml
from mailplat.app.mistakes import BadConfiguration, Mistake, Source
from mailplat.app.registry import UnknownComponent, Wish, is_settings, wishes
from mailplat.plugin import ConfigError, Instance, InstanceName, Settings


@attrs.frozen(eq=False, kw_only=True)
class Part:
    """Something that is made once for a tree.

    ``given`` are arguments that its annotations can't say; parts among them, also in
    tuples, are replaced by what was made of them.
    """

    name: str  # as the operator knows it: ``portals.mx``
    provides: tuple[object, ...]
    maker: Callable[..., object]
    settings: Settings | None = None
    given: Mapping[str, object] = attrs.field(factory=dict)
    path: toml.Path = ()  # where the file asks for it
    optional: bool = False  # made only if another asks for it
    is_main: bool = False  # which of several is meant by who has no setting to choose one

    @property
    def instance(self) -> str:
        """The name by which others choose it."""
        return self.name.rpartition(".")[2]


@attrs.frozen(eq=False)
class Made:
    """A part, what it was made with, and what came of it."""

    part: Part
    arguments: Mapping[str, object]
    thing: Any

    def is_still_right(self, part: Part, arguments: Mapping[str, object]) -> bool:
        """Say whether making ``part`` now would give the same thing again."""
        return (
            self.part.name == part.name
            and self.part.maker is part.maker
            and self.arguments == arguments
        )


@attrs.frozen
class Plan:
    """Parts in the order of their making, each with its arguments, parts among them."""

    steps: tuple[tuple[Part, Mapping[str, object]], ...]
    source: Source

    def carry_out(self, before: Iterable[Made] = ()) -> tuple[Made, ...]:
        """Make everything, except what an earlier tree has made just so.

        Raises `BadConfiguration` where a maker can't have what its settings ask for.
        """
        earlier = {made.part.name: made for made in before}
        things: dict[Part, object] = {}
        result = []
        for part, planned in self.steps:
            arguments = {name: _made(value, things) for name, value in planned.items()}
            old = earlier.get(part.name)
            if old and old.is_still_right(part, arguments):
                made = Made(part, arguments, old.thing)
            else:
                made = Made(part, arguments, self._make(part, arguments))
            things[part] = made.thing
            result.append(made)
        return tuple(result)

    def _make(self, part: Part, arguments: Mapping[str, object]) -> object:
        try:
            return part.maker(**arguments)
        except ConfigError as problem:
            mistake = self.source.mistake(part.path, str(problem))
            raise BadConfiguration([mistake]) from problem


def _made(value: object, things: Mapping[Part, object]) -> object:
    if isinstance(value, Part):
        return things[value]
    if isinstance(value, tuple):
        return tuple(_made(item, things) for item in value)
    return value


def plan(parts: Sequence[Part], values: Mapping[object, object], source: Source) -> Plan:
    """Return the order in which to make ``parts``; ``values`` are there already, by kind.

    Raises `BadConfiguration` with everything that stands in the way.
    """
    planner = _Planner(parts, values, source)
    for part in parts:
        if not part.optional:
            planner.visit(part)
    if planner.mistakes:
        raise BadConfiguration(planner.mistakes)
    return Plan(tuple(planner.steps), source)


class _Unmet(Exception):
    """A wish that can't be granted; the text says why."""


@attrs.define
class _Planner:
    parts: Sequence[Part]
    values: Mapping[object, object]
    source: Source
    steps: list[tuple[Part, Mapping[str, object]]] = attrs.field(factory=list)
    mistakes: list[Mistake] = attrs.field(factory=list)
    _way: list[Part] = attrs.field(factory=list)  # from where we began to where we are
    _visited: set[Part] = attrs.field(factory=set)

    def visit(self, part: Part) -> None:
        """Plan the part, after everything that it needs."""
        if part in self._way:
            circle = [*self._way[self._way.index(part) :], part]
            names = " → ".join(one.name for one in circle)
            self._note(part, f"these need each other: {names}")
        if part in self._visited:
            return
        self._visited.add(part)
        self._way.append(part)
        arguments = self._arguments(part)
        for value in arguments.values():
            for needed in value if isinstance(value, tuple) else (value,):
                if isinstance(needed, Part):
                    self.visit(needed)
        self._way.pop()
        self.steps.append((part, arguments))

    def _note(self, part: Part, problem: str) -> None:
        self.mistakes.append(self.source.mistake(part.path, problem))

    def _arguments(self, part: Part) -> Mapping[str, object]:
        arguments = dict(part.given)
        try:
            wanted = [wish for wish in wishes(part.maker) if wish.name not in arguments]
        except UnknownComponent as problem:
            self._note(part, str(problem))
            return arguments
        for wish in wanted:
            try:
                found = self._grant(part, wish)
            except _Unmet as problem:
                self._note(part, str(problem))
            else:
                if found is not None or wish.required:
                    arguments[wish.name] = found
        return arguments

    def _grant(self, part: Part, wish: Wish) -> object:
        kind, optional = _without_none(wish.annotation)
        if is_settings(kind):
            return part.settings
        if kind is InstanceName:
            return part.instance
        if kind in self.values:
            return self.values[kind]
        found = self._meant(part, wish.name, kind)
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(other.instance for other in found)
            raise _Unmet(f"needs one {_kind_text(kind)}, and there are several: {names}")
        if optional or not wish.required:
            return None
        raise _Unmet(f"needs {_kind_text(kind)} as its {wish.name}, and there is none")

    def _meant(self, part: Part, parameter: str, kind: object) -> list[Part]:
        """Return the neighbours of a kind that a part may mean: one, where all is well."""
        found = [other for other in self.parts if kind in other.provides]
        if _has_none(part, parameter, kind):
            return []
        if chosen := _chosen(part, parameter, kind):
            found = [other for other in found if other.instance == chosen]
            if not found:
                raise _Unmet(f"needs {chosen!r} as its {parameter}, and there is none")
        elif len(found) > 1 and not _may_choose(part, kind):
            found = [other for other in found if other.is_main] or found
        return found


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Split ``X | None`` into X and whether there was a None."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation, False
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return (kinds[0] if len(kinds) == 1 else annotation), NoneType in get_args(annotation)


def _has_none(part: Part, parameter: str, kind: object) -> bool:
    """Say whether the part's settings say by a word that there is to be no such neighbour."""
    settings = part.settings
    if settings is None or settings.instances().get(parameter) is not kind:
        return False
    return getattr(settings, parameter) in settings.words(parameter)


def _may_choose(part: Part, kind: object) -> bool:
    """Say whether the part has a setting for which of several neighbours it is to have."""
    return part.settings is not None and kind in part.settings.instances().values()


def _chosen(part: Part, parameter: str, kind: object) -> str:
    """Return the name that the part's settings give to a neighbour; empty if left open."""
    chosen = {
        field: value.name
        for field, value in part.settings or ()
        if isinstance(value, Instance) and value.interface is kind
    }
    return chosen.get(parameter) or next(iter(chosen.values()), "")


def _kind_text(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))
