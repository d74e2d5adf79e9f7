"""One TOML file, read once into frozen, checked settings; every mistake has its line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from zope.interface.interface import InterfaceClass

from mailplat.app import toml
from mailplat.app.registry import (
    Registry,
    UnknownComponent,
    importable_from,
    load,
    settings_class,
)
from mailplat.app.tables import (
    DIRECTORY,
    FILTERS,
    POLICIES,
    ROOMS,
    STORES,
    TABLES,
    GuardSettings,
    HouseSettings,
    Room,
)
from mailplat.interfaces import IPipeline
from mailplat.plugin import Component, Settings

S = TypeVar("S", bound=Settings)

# Mistakes --------------------------------------------------------------------


@attrs.frozen(order=True)
class Mistake:
    """Something wrong in the configuration, with its place and what would be right."""

    file: Path
    line: int  # 0: the file as a whole
    path: str  # such as ``portals.mx.port``
    problem: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return (
            f"{where}: {self.path}: {self.problem}" if self.path else f"{where}: {self.problem}"
        )


class BadConfiguration(Exception):
    """The configuration can't be used; ``mistakes`` says all that is wrong with it."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


@attrs.frozen
class Source:
    """The file, and where in it each key stands."""

    file: Path
    lines: Mapping[toml.Path, int] = attrs.field(factory=dict)

    @property
    def folder(self) -> Path:
        """The folder at which relative paths start."""
        return self.file.parent

    def mistake(self, path: toml.Path, problem: str) -> Mistake:
        """Return a mistake at a key, or at the nearest table around it that is written."""
        written = path
        while written and written not in self.lines:
            written = written[:-1]
        return Mistake(self.file, self.lines.get(written, 0), path_text(path), problem)


def path_text(path: toml.Path) -> str:
    """Return a path as people write it: ``portals.mx.listen[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            quoted = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            text += f".{quoted}" if text else quoted
    return text


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at what ``name`` may have been meant to be, or at what there is."""
    names = sorted(known)
    if close := difflib.get_close_matches(name, names, 1):
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(names)}" if names else ""


# The result ------------------------------------------------------------------


@attrs.frozen(eq=False)
class Entry:
    """One instance of a component, as the file asks for it."""

    room: Room
    name: str
    component: Component
    maker: Callable[..., object]
    settings: Settings
    guard: GuardSettings
    path: toml.Path


@attrs.frozen
class Configuration:
    """All that the file says, checked."""

    source: Source
    house: HouseSettings
    tables: Mapping[str, Settings]
    entries: tuple[Entry, ...]
    pipelines: Mapping[str, tuple[str, ...]]

    def table(self, kind: type[S]) -> S:
        """Return the house's own table of that class."""
        return next(table for table in self.tables.values() if isinstance(table, kind))

    def entries_of(self, room: Room) -> tuple[Entry, ...]:
        """Return the instances of one room."""
        return tuple(entry for entry in self.entries if entry.room is room)

    def only(self, *rooms: Room) -> Configuration:
        """Return the same house with nothing but these rooms, and no pipelines."""
        entries = tuple(entry for entry in self.entries if entry.room in rooms)
        return attrs.evolve(self, entries=entries, pipelines={})

    def keeping(self, old: Configuration) -> tuple[Configuration, list[str]]:
        """Return this one with what only a restart can change as it is in ``old``, and its names.

        Two stores or directories on one database would not know of each other's changes.
        """
        tables = {name: old.tables[name] for name in LASTING_TABLES}
        rest = tuple(entry for entry in self.entries if entry.room not in LASTING_ROOMS)
        kept = attrs.evolve(
            self,
            house=self.house.model_copy(update={"state": old.house.state}),
            tables={**self.tables, **tables},
            entries=(*rest, *(entry for entry in old.entries if entry.room in LASTING_ROOMS)),
        )
        changed = ["state"] if self.house.state != old.house.state else []
        changed += [name for name in LASTING_TABLES if self.tables[name] != old.tables[name]]
        changed += [room.table for room in LASTING_ROOMS if not self.has_same(room, old)]
        return kept, changed

    def has_same(self, room: Room, old: Configuration) -> bool:
        """Say whether the instances of a room are the same here and there."""
        here, there = (
            [(e.name, e.maker, e.settings) for e in one.entries_of(room)] for one in (self, old)
        )
        return here == there


LASTING_TABLES = ("database", "journal")
LASTING_ROOMS = (STORES, DIRECTORY)


def read(file: Path, registry: Registry) -> Configuration:
    """Read and check a configuration file.

    Raises `BadConfiguration` with every mistake there is.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise BadConfiguration([Mistake(file, 0, "", f"can't be read: {problem}")]) from None
    return check(text, file, registry)


def check(text: str, file: Path, registry: Registry) -> Configuration:
    """Check the text of a configuration file; see `read`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise BadConfiguration([_syntax_mistake(file, str(problem), text)]) from None
    importable_from(file.parent)
    reader = _Reader(Source(file, toml.lines_of_keys(text)), registry)
    configuration = reader.read(document)
    if reader.mistakes:
        raise BadConfiguration(reader.mistakes)
    return configuration


def _syntax_mistake(file: Path, problem: str, text: str) -> Mistake:
    found = re.search(r" \(at line (\d+), column (\d+)\)$", problem)
    line = int(found[1]) if found else text.count("\n") + 1
    where = f" (column {found[2]})" if found else ""
    return Mistake(file, line, "", f"{re.sub(r' *[(]at [^)]*[)]$', '', problem)}{where}")


# Reading ---------------------------------------------------------------------


@attrs.define
class _Reader:
    """Goes through the file and gathers every mistake on the way."""

    source: Source
    registry: Registry
    mistakes: list[Mistake] = attrs.field(factory=list)
    _names: dict[InterfaceClass, set[str]] = attrs.field(factory=dict)  # what there is
    _named: list[tuple[toml.Path, InterfaceClass, str]] = attrs.field(factory=list)  # is wanted

    def read(self, document: Mapping[str, Any]) -> Configuration:
        for sentence in self.registry.clashes():
            self._note((), sentence)
        rooms = {room.table for room in ROOMS}
        tables = {*TABLES, *rooms, "pipelines"}
        house = self._settings(
            HouseSettings, {k: v for k, v in document.items() if k not in tables}, (), tables
        )
        own = {
            name: self._settings(kind, self._table(document, (name,)), (name,))
            for name, kind in TABLES.items()
        }
        entries = [entry for room in ROOMS for entry in self._entries(room, document)]
        pipelines = self._pipelines(document, entries)
        self._check_instances()
        return Configuration(
            self.source,
            house or HouseSettings.model_construct(),
            {name: table for name, table in own.items() if table},
            tuple(entries),
            pipelines,
        )

    def _note(self, path: toml.Path, problem: str) -> None:
        self.mistakes.append(self.source.mistake(path, problem))

    def _table(self, around: Mapping[str, Any], path: toml.Path) -> Mapping[str, Any]:
        """Return a sub-table, empty if left out."""
        value = around.get(str(path[-1]), {})
        if isinstance(value, dict):
            return value
        self._note(path, "expected a table")
        return {}

    def _settings(
        self,
        kind: type[S],
        table: Mapping[str, Any],
        path: toml.Path,
        also: Iterable[str] = (),
    ) -> S | None:
        """Check one table; ``also`` are further keys that a typo may have meant."""
        try:
            return kind.model_validate(table, context=self.source)
        except ValidationError as error:
            known = [*keys_of(kind), *also]
            for detail in error.errors(include_url=False):
                self._note(*_explained(detail, kind, path, known, self.source))
            return None

    # Instances

    def _entries(self, room: Room, document: Mapping[str, Any]) -> Iterator[Entry]:
        names = self._names.setdefault(room.interface, set())
        written = self._table(document, (room.table,))
        if room.single:
            tables = {room.table: written}
        else:
            tables = {name: self._table(written, (room.table, name)) for name in written}
        if room.instance and (room.always or room.table not in document):
            tables.setdefault(room.instance, {})
        for name, table in tables.items():
            names.add(name)
            path = (room.table,) if room.single else (room.table, name)
            use = table.get("use", room.default if name == room.instance else name)
            if entry := self._entry(room, name, use, table, path):
                yield entry

    def _entry(
        self, room: Room, name: str, use: object, table: Mapping[str, Any], path: toml.Path
    ) -> Entry | None:
        where = (*path, "use")
        if not isinstance(use, str):
            self._note(where, "expected the name of a component")
            return None
        try:
            component = self.registry.find(room.interface, use)
            kind, maker = settings_class(component), load(component.maker)
        except UnknownComponent as problem:
            known = self.registry.names(room.interface)
            hint = "" if ":" in use or use in known else nearest(use, known)
            self._note(where, f"{problem}{hint}")
            return None
        guards = (
            set(GuardSettings.model_fields) - set(kind.model_fields) if room.guarded else set()
        )
        own = {k: v for k, v in table.items() if k not in guards and k != "use"}
        guard = {k: v for k, v in table.items() if k in guards}
        for field, interface in kind.instances().items():
            if isinstance(name_wanted := own.get(field), str):
                self._named.append(((*path, field), interface, name_wanted))
        settings = self._settings(kind, own, path, {"use", *guards})
        guarded = self._settings(GuardSettings, guard, path)
        if settings is None or guarded is None:
            return None
        return Entry(room, name, component, maker, settings, guarded, path)

    # What names something else

    def _pipelines(
        self, document: Mapping[str, Any], entries: list[Entry]
    ) -> Mapping[str, tuple[str, ...]]:
        """Return the pipelines' steps; steps without a table become instances of their own."""
        pipelines: dict[str, tuple[str, ...]] = {}
        self._names[IPipeline] = set()
        for name, steps in (self._table(document, ("pipelines",))).items():
            self._names[IPipeline].add(name)
            path = ("pipelines", name)
            if not isinstance(steps, list) or not all(isinstance(s, str) for s in steps):
                self._note(path, "expected a list of names of policies and filters")
                continue
            pipelines[name] = tuple(steps)
            for number, step in enumerate(steps):
                self._step(step, (*path, number), entries)
        return pipelines

    def _step(self, name: str, path: toml.Path, entries: list[Entry]) -> None:
        rooms = [room for room in (POLICIES, FILTERS) if name in self._names[room.interface]]
        if len(rooms) == 2:
            self._note(path, f"{name!r} is a policy and a filter; give one another name")
        if rooms:
            return
        for room in (POLICIES, FILTERS):
            if name in self.registry.names(room.interface):
                self._names[room.interface].add(name)
                if entry := self._entry(room, name, name, {}, path):
                    entries.append(entry)
                return
        known = {
            known
            for room in (POLICIES, FILTERS)
            for known in (*self._names[room.interface], *self.registry.names(room.interface))
        }
        self._note(path, f"there is no policy or filter {name!r}{nearest(name, known)}")

    def _check_instances(self) -> None:
        for path, interface, name in self._named:
            names = self._names.get(interface, {name})
            if name not in names:
                self._note(path, f"there is no {name!r}{nearest(name, names)}")


def keys_of(kind: type[Settings]) -> list[str]:
    """Return the keys that settings of a class may have in the file."""
    return [*kind.model_fields, *(f"{name}_file" for name in kind.secrets())]


def _explained(
    detail: ErrorDetails,
    kind: type[Settings],
    table: toml.Path,
    known: Iterable[str],
    source: Source,
) -> tuple[toml.Path, str]:
    """Return a pydantic error's place in the file, and what was expected there."""
    path = (*table, *detail["loc"])
    if detail["loc"] and detail["loc"][0] in kind.secrets() and path not in source.lines:
        path = (*table, f"{detail['loc'][0]}_file")
    while (
        len(path) > len(table) + 1 and path not in source.lines and detail["type"] != "missing"
    ):
        path = path[:-1]
    match detail["type"]:
        case "extra_forbidden" if len(detail["loc"]) == 1:
            return path, f"there is no such key{nearest(str(path[-1]), known)}"
        case "extra_forbidden":
            return path, "there is no such key"
        case "missing":
            field = kind.model_fields.get(str(detail["loc"][0]))
            return path, f"is missing: {(field and field.description) or 'it has no default'}"
    problem = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    problem = problem[:1].lower() + problem[1:]
    return path, f"{problem}{_not_this(detail, kind)}"


def _not_this(detail: ErrorDetails, kind: type[Settings]) -> str:
    """Return the value that is wrong, where it is short and no secret."""
    value = detail["input"]
    if (
        isinstance(value, str | int | float)
        and detail["loc"]
        and detail["loc"][0] not in kind.secrets()
    ):
        return f", not {str(value)[:60]!r}" if isinstance(value, str) else f", not {value}"
    return ""
