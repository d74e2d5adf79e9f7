"""What this version would change in a house when it starts, found without changing anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

import mailplat
from mailplat.app.changed import notes_on
from mailplat.app.config import Configuration
from mailplat.app.databases import file_of, mistakes_in_database, target_of
from mailplat.app.registry import Registry
from mailplat.app.tables import DatabaseSettings
from mailplat.app.whereabouts import state_of
from mailplat.app.wiring import examine
from mailplat.mail.errors import StoreFailed
from mailplat.sql import Step, Upgrade, outlook, steps_of
from mailplat.sql.connection import open_reader

ROOMS = {
    "directory": "mailplat.directory",
    "queue": "mailplat.queue",
    "store": "mailplat.store.indexed",
}
JOURNAL = {"journal": "mailplat.journal"}


@attrs.frozen
class Outlook:
    """What would be done to tables, and what there is to say of the configuration.

    ``problems`` are those for which it would not start.
    """

    upgrades: tuple[Upgrade, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can carry."""
        upgrades = [{**attrs.asdict(one), "steps": one.steps} for one in self.upgrades]
        return {"version": mailplat.__version__, **attrs.asdict(self), "upgrades": upgrades}

    def lines(self) -> list[str]:
        """Return it in words."""
        return [
            f"mailplat {mailplat.__version__}",
            *map(_words, self.upgrades),
            *self.notes,
            *self.problems,
        ]


def look(file: Path, registry: Registry) -> Outlook:
    """Return what this version would change for the house of a configuration file.

    A server of another version may be running: nothing is written, and nobody waits.
    """
    configuration, mistakes = examine(file, registry)
    problems = [str(one) for one in mistakes]
    if configuration is None:
        state = state_of(file)
        return Outlook(_in_usual_places(state) if state else (), (), tuple(problems))
    notes = tuple(map(str, notes_on(configuration.source)))
    upgrades: list[Upgrade] = []
    for path, rooms in _databases(configuration).items():
        try:
            upgrades += _outlooks(path, rooms)
        except StoreFailed as problem:
            problems.append(str(problem))
    try:
        upgrades += _outlooks_on_server(configuration)
    except StoreFailed as problem:
        problems.append(str(problem))
    problems += [_too_new(one) for one in upgrades if one.is_too_new]
    return Outlook(tuple(upgrades), notes, tuple(problems))


def _in_usual_places(state: Path) -> tuple[Upgrade, ...]:
    """Return what can be told where the configuration can't be read as a whole."""
    try:
        return (*_outlooks(state / "mail.db", ROOMS), *_outlooks(state / "journal.db", JOURNAL))
    except StoreFailed:
        return ()


def _databases(configuration: Configuration) -> dict[Path, dict[str, str]]:
    state = configuration.house.state
    url = configuration.table(DatabaseSettings).url
    journal = {state / "journal.db": JOURNAL}
    if not url.startswith("sqlite:"):
        return journal
    return {state / url.removeprefix("sqlite:"): ROOMS, **journal}


def _outlooks(path: Path, rooms: dict[str, str]) -> list[Upgrade]:
    steps: dict[str, Sequence[Step]] = {room: steps_of(name) for room, name in rooms.items()}
    if not path.exists():
        return [Upgrade(room, 0, len(known), False, 0, 0) for room, known in steps.items()]
    reader = open_reader(path)
    try:
        return [outlook(reader, room, known) for room, known in steps.items()]
    finally:
        reader.close()


def _outlooks_on_server(configuration: Configuration) -> list[Upgrade]:
    settings = configuration.table(DatabaseSettings)
    if file_of(settings, configuration.house.state) or mistakes_in_database(configuration):
        return []
    target = target_of(settings)
    from mailplat.sql.postgres import open_reader as connect

    reader = connect(target, "looks at tables")
    try:
        return [
            outlook(reader, room, steps_of(name, "postgres")) for room, name in ROOMS.items()
        ]
    finally:
        reader.close()


def _too_new(one: Upgrade) -> str:
    return (
        f"the tables of {one.room} have number {one.found} and this version of mailplat knows"
        f" {one.known}: run the version that wrote them, or restore an older backup"
    )


def _words(one: Upgrade) -> str:
    begins = f"{one.room}: its tables"
    if not one.found:
        return f"{begins} are not there yet"
    if not one.steps:
        return f"{begins} have number {one.found}; nothing to do"
    halfway = ", of which one was begun" if one.is_halfway else ""
    takes = (
        f"; about {one.rows} rows, {max(1, round(one.seconds))} s" if one.rows else "; at once"
    )
    return f"{begins} have number {one.found} of {one.known}: {one.steps} to go{halfway}{takes}"
