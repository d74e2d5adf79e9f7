"""One TOML file, read once into frozen, checked settings; every mistake has its line."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
from pydantic import ValidationError
from zope.interface.interface import InterfaceClass

from mailplat.app import toml
from mailplat.app.mistakes import (
    BadConfiguration,
    Mistake,
    Source,
    explained,
    keys_of,
    nearest,
    path_text,
    syntax_mistake,
)
from mailplat.app.registry import (
    Registry,
    UnknownComponent,
    importable_from,
    load,
    settings_class,
)
from mailplat.app.tables import (
    AGENTS,
    CONTENTS,
    DIRECTORY,
    EXTRACTORS,
    FILTERS,
    POLICIES,
    PORTALS,
    ROOMS,
    STORES,
    TABLES,
    GuardSettings,
    HouseSettings,
    MimeSettings,
    Room,
)
from mailplat.interfaces import IPipeline
from mailplat.mail.limits import MIB
from mailplat.plugin import Component, Settings
from mailplat.portals.listen import Wanted
from mailplat.portals.service import PortalSettings
from mailplat.queue.settings import WORDS, RouteSettings

S = TypeVar("S", bound=Settings)

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

    @property
    def full_name(self) -> str:
        """Its name with its table, as the operator knows it: ``portals.mx``."""
        return self.room.table if self.room.single else f"{self.room.table}.{self.name}"


def folder_of(entry: Entry, state: Path) -> Path | None:
    """Return where a place of contents lies, by its setting ``folder``; None without one."""
    folder = getattr(entry.settings, "folder", None)
    return state / folder if isinstance(folder, str | Path) else None


@attrs.frozen
class Configuration:
    """All that the file says, checked."""

    source: Source
    house: HouseSettings
    tables: Mapping[str, Settings]
    entries: tuple[Entry, ...]
    pipelines: Mapping[str, tuple[str, ...]]
    routes: tuple[RouteSettings, ...] = ()

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
        """Return this one with what only a restart can change as it is in ``old``, and names.

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


@attrs.frozen
class Draft:
    """What a file says as far as it can be read, so that more can be found out about it.

    Where keys of a table are wrong, the table is what the others say.
    """

    configuration: Configuration
    unsound: frozenset[str]
    """Tables of which not all is known, and rooms in which an instance is missing."""


def addresses_in(entries: Iterable[Entry]) -> Iterator[tuple[toml.Path, Wanted]]:
    """Return where the portals among these want to listen, each with its key."""
    for entry in entries:
        if entry.room is PORTALS and isinstance(entry.settings, PortalSettings):
            for key, address in entry.settings.wanted():
                yield (*entry.path, *key), address


LONGEST = MIB  # octets of a file
LASTING_TABLES = ("database", "journal", "quota", "retention")
LASTING_ROOMS = (CONTENTS, STORES, DIRECTORY)


def read(file: Path, registry: Registry) -> Configuration:
    """Read and check a configuration file.

    Raises `BadConfiguration` with every mistake that can be seen in it.
    """
    return _sound(*look(file, registry))


def check(text: str, file: Path, registry: Registry) -> Configuration:
    """Check the text of a configuration file; see `read`."""
    return _sound(*look_at(text, file, registry))


def _sound(found: Draft | None, mistakes: list[Mistake]) -> Configuration:
    if found is None or mistakes:
        raise BadConfiguration(mistakes)
    return found.configuration


def look(file: Path, registry: Registry) -> tuple[Draft | None, list[Mistake]]:
    """Return what a file says as far as it can be read, and every mistake in it."""
    try:
        if file.stat().st_size > LONGEST:
            raise OSError(f"it has more than {LONGEST} octets")
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        return None, [Mistake(file, 0, "", f"can't be read: {problem}")]
    return look_at(text, file, registry)


def look_at(text: str, file: Path, registry: Registry) -> tuple[Draft | None, list[Mistake]]:
    """Return what the text of a file says as far as it can be read, and its mistakes."""
    try:
        document, lines = tomllib.loads(text), toml.lines_of_keys(text)
    except (ValueError, RecursionError) as problem:  # a number too long, tables too deep
        return None, [syntax_mistake(file, str(problem), text)]
    importable_from(file.parent)
    reader = _Reader(Source(file, lines), registry)
    configuration = reader.read(document)
    return Draft(configuration, frozenset(reader.unsound)), reader.mistakes


# Reading ---------------------------------------------------------------------


@attrs.define
class _Reader:
    """Goes through the file and gathers every mistake on the way."""

    source: Source
    registry: Registry
    mistakes: list[Mistake] = attrs.field(factory=list)
    unsound: set[str] = attrs.field(factory=set)
    _names: dict[InterfaceClass, set[str]] = attrs.field(factory=dict)  # what there is
    _named: list[tuple[toml.Path, InterfaceClass, str]] = attrs.field(factory=list)  # is wanted

    def read(self, document: Mapping[str, Any]) -> Configuration:
        for sentence in self.registry.clashes():
            self._note((), sentence)
        rooms = {room.table for room in ROOMS}
        tables = {*TABLES, *rooms, "pipelines", "routes"}
        house = self._own(
            HouseSettings, {k: v for k, v in document.items() if k not in tables}, (), tables
        )
        own = {
            name: self._own(kind, self._table(document, (name,)), (name,))
            for name, kind in TABLES.items()
        }
        entries = [entry for room in ROOMS for entry in self._entries(room, document)]
        pipelines = self._pipelines(document, entries)
        routes = self._routes(document.get("routes", []), entries)
        self._check_addresses(addresses_in(entries))
        if isinstance(mime := own["mime"], MimeSettings):
            self._check_types(mime)
            for name, handler in mime.handlers.items():
                self._step(handler, ("mime", "handlers", name), entries, EXTRACTORS)
        self._check_instances(entries)
        return Configuration(
            self.source,
            house,
            own,
            tuple(entries),
            pipelines,
            routes,
        )

    def _note(self, path: toml.Path, problem: str, cause: BaseException | None = None) -> None:
        self.mistakes.append(self.source.mistake(path, problem, cause))

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
        """Check one table; ``also`` are further keys that a typo may have meant.

        Where keys are wrong, return what the others say, or None if they are not enough.
        """
        wrong: set[object] = set()
        try:
            return kind.model_validate(table, context=self.source)
        except ValidationError as error:
            known = [*keys_of(kind), *also]
            for detail in error.errors(include_url=False):
                self._note(*explained(detail, kind, path, known, self.source))
                wrong |= (
                    {detail["loc"][0], f"{detail['loc'][0]}_file"} if detail["loc"] else set()
                )
        self.unsound.add(path_text(path))
        try:
            rest = {key: value for key, value in table.items() if key not in wrong}
            return kind.model_validate(rest, context=self.source)
        except ValidationError:
            return None

    def _own(
        self,
        kind: type[S],
        table: Mapping[str, Any],
        path: toml.Path,
        also: Iterable[str] = (),
    ) -> S:
        """Check a table of the house itself, all of whose keys have defaults."""
        found = self._settings(kind, table, path, also)
        return found or kind.model_validate({}, context=self.source)

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
            else:
                self.unsound.add(room.table)

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
            self._note(where, f"{problem}{hint}", problem.__cause__)
            return None
        guards = (
            set(GuardSettings.model_fields) - set(kind.model_fields) if room.guarded else set()
        )
        own = {k: v for k, v in table.items() if k not in guards and k != "use"}
        guard = {k: v for k, v in table.items() if k in guards}
        for field, interface in kind.instances().items():
            name_wanted = own.get(field)
            if isinstance(name_wanted, str) and name_wanted not in kind.words(field):
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
                steps = []
            pipelines[name] = tuple(steps)
            for number, step in enumerate(steps):
                self._step(step, (*path, number), entries, POLICIES, FILTERS)
        return pipelines

    def _routes(self, written: object, entries: list[Entry]) -> tuple[RouteSettings, ...]:
        """Return the routes in their order; agents without a table become instances."""
        if not isinstance(written, list) or not all(isinstance(one, dict) for one in written):
            self._note(("routes",), "expected tables [[routes]]")
            return ()
        routes: list[RouteSettings] = []
        for number, table in enumerate(written):
            path = ("routes", number)
            if route := self._settings(RouteSettings, table, path):
                routes.append(route)
                if route.agent not in WORDS:
                    self._step(route.agent, (*path, "agent"), entries, AGENTS)
        return tuple(routes)

    def _step(self, name: str, path: toml.Path, entries: list[Entry], *rooms: Room) -> None:
        """Look for an instance in some rooms, or else for a component, which becomes one."""
        found = [room for room in rooms if name in self._names[room.interface]]
        if len(found) == 2:
            self._note(path, f"{name!r} is a policy and a filter; give one another name")
        if found:
            return
        for room in rooms:
            if name in self.registry.names(room.interface):
                self._names[room.interface].add(name)
                if entry := self._entry(room, name, name, {}, path):
                    entries.append(entry)
                return
        known = {
            known
            for room in rooms
            for known in (*self._names[room.interface], *self.registry.names(room.interface))
        }
        kinds = " or ".join(room.one for room in rooms)
        self._note(path, f"there is no {kinds} {name!r}{nearest(name, known)}")

    def _check_types(self, mime: MimeSettings) -> None:
        """Note each extension that the operator gives to a second type."""
        owners: dict[str, str] = {}
        for name, endings in mime.types.items():
            for number, ending in enumerate(endings):
                owner = owners.setdefault(ending, name)
                if owner != name:
                    path = ("mime", "types", name, number)
                    self._note(path, f"{ending!r} belongs to {owner} already")

    def _check_addresses(self, wanted: Iterable[tuple[toml.Path, Wanted]]) -> None:
        """Note each place to listen at that another portal has, or the same one."""
        taken: list[tuple[toml.Path, Wanted]] = []
        for path, address in wanted:
            for other_path, other in taken:
                if address.is_at_odds_with(other):
                    self._note(path, f"{path_text(other_path)} has {other.text} already")
                    break
            else:
                taken.append((path, address))

    def _check_instances(self, entries: list[Entry]) -> None:
        for path, interface, name in self._named:
            if room := next((r for r in ROOMS if r.one and r.interface is interface), None):
                self._step(name, path, entries, room)
                continue
            names = self._names.get(interface, {name})
            if name not in names:
                self._note(path, f"there is no {name!r}{nearest(name, names)}")
