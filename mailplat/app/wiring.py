"""Builds the tree of rooms from the settings: everything that is made is made here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from mailplat.app import descriptors
from mailplat.app.config import Configuration, Entry, addresses_in, folder_of, look
from mailplat.app.databases import mistakes_in_database, warnings_of_database
from mailplat.app.foundation import Foundation
from mailplat.app.keyring import KeyRing
from mailplat.app.lock import NoStateFolder
from mailplat.app.mediatypes import FILE, AddedTypes, TypeRegistry
from mailplat.app.mistakes import BadConfiguration, Mistake, is_within
from mailplat.app.parts import Part, Plan, plan
from mailplat.app.registry import Registry, UnknownComponent, is_settings, wishes
from mailplat.app.tables import (
    AGENTS,
    CONTENTS,
    DIRECTORY,
    EXTRACTORS,
    FILTERS,
    POLICIES,
    PORTALS,
    STORES,
    LimitsSettings,
    MimeSettings,
)
from mailplat.app.tree import Tree
from mailplat.delivery.warning import Warner
from mailplat.delivery.ways import making
from mailplat.delivery.ways.reporting import Reports
from mailplat.delivery.ways.sessions import Sessions
from mailplat.delivery.ways.settings import WaySettings
from mailplat.directory.allowances import Allowances, QuotaSettings
from mailplat.files import Disk, Spool
from mailplat.interfaces import (
    House,
    IAllowances,
    IBus,
    IMediaTypes,
    INetwork,
    IPipeline,
    IQueue,
    IQueueAdmin,
    IResolver,
    IRoutes,
    ISigner,
    ITextReader,
    IWayPolicies,
    WallClock,
)
from mailplat.journal.journal import Journal, JournalFile, JournalSettings
from mailplat.mail.events import RoomWanted
from mailplat.mail.limits import Limits
from mailplat.mail.retention import Retention
from mailplat.pipeline.judge import Judge
from mailplat.pipeline.pipeline import Pipeline
from mailplat.plugin import ConfigError, InstanceName, Settings
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.indexes import Indexes
from mailplat.portals.login import Logins, LoginSettings
from mailplat.portals.pop3.attendance import Attendance
from mailplat.portals.service import PortalSettings
from mailplat.portals.tls import Certificates, TlsSettings
from mailplat.queue.queue import Queue
from mailplat.queue.routes import Routes
from mailplat.queue.runner import Runner
from mailplat.queue.settings import QueueSettings
from mailplat.resolver.resolver import Resolver
from mailplat.resolver.servers import ResolverSettings
from mailplat.sql import Database
from mailplat.store.search.indexer import SearchFile
from mailplat.store.settings import RetentionSettings
from mailplat.texts.extractors import Extractor
from mailplat.texts.reader import TextReader
from mailplat.workers import Workers

DATABASE, TLS = "database", "tls"  # tables of the configuration


def build(
    configuration: Configuration, foundation: Foundation, before: Tree | None = None
) -> Tree:
    """Make everything that the configuration asks for, on its foundation.

    What ``before`` has made just so is handed over.  Raises `BadConfiguration`.
    """
    values: dict[object, object] = {
        House: House(configuration.house.hostname, foundation.state, foundation.is_of_then),
        Limits: descriptors.within_reach(configuration.table(LimitsSettings).limits()),
        IReactorTime: foundation.reactor,
        INetwork: foundation.reactor,
        WallClock: foundation.wall,
        Workers: foundation.workers,
        Disk: foundation.disk,
        Database: foundation.database,
        JournalFile: JournalFile(foundation.journal),
        SearchFile: SearchFile(foundation.search),
        IBus: foundation.bus,
        Retention: configuration.table(RetentionSettings).retention(),
    }
    made = draw(configuration, values).carry_out(before.made if before else ())
    return Tree(configuration, made)


def draw(configuration: Configuration, values: Mapping[object, object]) -> Plan:
    """Plan the tree without making anything, to see whether it can be made.

    Raises `BadConfiguration` with everything that stands in the way.
    """
    handlers, mistakes = _handlers(configuration)
    mistakes += _stores_on_one_database(configuration)
    rooms = {e: _part(e) for e in configuration.entries if e.room is not EXTRACTORS}
    policies, filters = (
        {entry.name: _judge(entry, rooms[entry]) for entry in configuration.entries_of(room)}
        for room in (POLICIES, FILTERS)
    )
    pipelines = [
        Part(
            name=f"pipelines.{name}",
            provides=(IPipeline,),
            maker=Pipeline,
            given={
                "policies": tuple(policies[step] for step in steps if step in policies),
                "filters": tuple(filters[step] for step in steps if step in filters),
                "agent": next(
                    p
                    for e, p in rooms.items()
                    if e.room is AGENTS and e.name == AGENTS.instance
                ),
            },
            path=("pipelines", name),
        )
        for name, steps in configuration.pipelines.items()
    ]
    agents = {e.name: part for e, part in rooms.items() if e.room is AGENTS}
    parts = [
        *rooms.values(),
        *policies.values(),
        *filters.values(),
        *pipelines,
        *_queue_parts(configuration, agents),
        *_house_parts(configuration, handlers),
    ]
    try:
        drawn = plan(parts, values, configuration.source)
    except BadConfiguration as bad:
        mistakes += bad.mistakes
    if mistakes:
        raise BadConfiguration(mistakes)
    return drawn


def _stores_on_one_database(configuration: Configuration) -> list[Mistake]:
    """Refuse all indexes but one: neither would know what the other has under way."""
    stores = [e for e in configuration.entries_of(STORES) if e.component.name == STORES.default]
    return [
        configuration.source.mistake(
            (*one.path, "use"),
            f"there may be one {STORES.default} store, since all of them keep their mail in"
            f" the house's one database; {stores[0].full_name} is one",
        )
        for one in stores[1:]
    ]


def examine(file: Path, registry: Registry) -> tuple[Configuration | None, list[Mistake]]:
    """Return what a file says, and what keeps a house from being made of it: all at once.

    What stands in the file and what follows from it are looked for one behind the other;
    of a part of which something is known to be wrong nothing else is said.
    """
    draft, mistakes = look(file, registry)
    if draft is None:
        return None, mistakes
    known = [one.path for one in mistakes]
    mistakes += [
        one
        for one in mistakes_in(draft.configuration, draft.unsound)
        if not any(is_within(path, one.path) for path in known)
    ]
    return draft.configuration, sorted(mistakes)


def mistakes_in(configuration: Configuration, unsound: Set[str] = frozenset()) -> list[Mistake]:
    """Return what would keep the tree from being made, without making it.

    What follows from what is ``unsound`` is left out (see `Draft`).
    """
    found: list[Mistake] = []
    if unsound.isdisjoint(room.table for room in (CONTENTS, STORES, DIRECTORY, AGENTS)):
        try:
            draw(configuration, KINDS)
        except BadConfiguration as bad:
            found += bad.mistakes
    if DATABASE not in unsound:
        found += mistakes_in_database(configuration)
    if TLS not in unsound:
        found += _mistakes_in_certificates(configuration)
    return found


def _mistakes_in_certificates(configuration: Configuration) -> list[Mistake]:
    if not any(_wants_tls(entry.settings) for entry in configuration.entries_of(PORTALS)):
        return []
    house = House(configuration.house.hostname, configuration.house.state)
    try:
        Certificates(configuration.table(TlsSettings), house, Clock())
    except (ConfigError, OSError) as problem:
        return [configuration.source.mistake((TLS, "certificates"), str(problem))]
    return []


def warnings_in(configuration: Configuration) -> list[Mistake]:
    """Return what would keep the server from starting here and now, but may be right there."""
    source, state = configuration.source, configuration.house.state
    found = [
        source.mistake(path, "no interface of this machine has that address")
        for path, address in addresses_in(configuration.entries)
        if address.is_foreign
    ]
    if too_few := descriptors.shortage(configuration.table(LimitsSettings).limits()):
        found.append(source.mistake(("limits", "connections"), too_few))
    if not state.is_dir():
        found.append(source.mistake(("state",), str(NoStateFolder(state))))
    return found + warnings_of_database(configuration)


def _wants_tls(settings: Settings) -> bool:
    return isinstance(settings, PortalSettings) and settings.tls != "off"


def _house_parts(
    configuration: Configuration, handlers: Mapping[str, Extractor]
) -> Iterator[Part]:
    """Return what the house itself brings: journal, types, and what others may ask for."""
    yield Part(
        name="journal",
        provides=(Journal,),
        maker=Journal,
        settings=configuration.table(JournalSettings),
        path=("journal",),
    )
    yield Part(
        name="types.added",
        provides=(AddedTypes,),
        maker=AddedTypes,
        given={"file": configuration.house.state / FILE},
        path=("mime",),
    )
    yield Part(
        name="types",
        provides=(IMediaTypes, TypeRegistry),
        maker=TypeRegistry,
        settings=configuration.table(MimeSettings),
        path=("mime",),
    )
    yield Part(name="dkim", provides=(ISigner, KeyRing), maker=KeyRing)
    yield Part(
        name="texts",
        provides=(ITextReader,),
        maker=TextReader,
        given={"handlers": handlers},
        path=("mime", "handlers"),
        optional=True,
    )
    yield Part(
        name="quota",
        provides=(IAllowances,),
        maker=Allowances,
        settings=configuration.table(QuotaSettings),
        path=("quota",),
        optional=True,
    )
    if configuration.pipelines:
        yield Part(name="warner", provides=(Warner,), maker=Warner, path=("quota",))
    yield Part(
        name="resolver",
        provides=(IResolver,),
        maker=Resolver,
        settings=configuration.table(ResolverSettings),
        path=("resolver",),
        optional=True,
    )
    yield from _way_parts(configuration.table(WaySettings))
    yield _house_part("doorkeeper", Doorkeeper)
    yield _house_part("attendance", Attendance)
    yield _house_part("indexes", Indexes)
    state, places = configuration.house.state, configuration.entries_of(CONTENTS)
    yield Part(
        name="spool",
        provides=(Spool,),
        maker=_spool,
        given={"places": tuple(path for one in places if (path := folder_of(one, state)))},
        path=("spool",),
    )
    yield _house_part("login", Logins, configuration.table(LoginSettings))
    tls = configuration.table(TlsSettings)
    if tls.certificates.is_dir():
        yield _house_part("tls", Certificates, tls)


def _way_parts(settings: WaySettings) -> Iterator[Part]:
    """Return what asks other hosts for proofs, and where that is wanted reports of it."""
    yield Part(
        name="ways",
        provides=(IWayPolicies,),
        maker=making.ways,
        settings=settings,
        path=("ways",),
        optional=True,
    )
    if settings.reports_from:
        yield Part(name="ways.sessions", provides=(Sessions,), maker=making.sessions)
        yield Part(
            name="ways.reports",
            provides=(Reports,),
            maker=making.reports,
            settings=settings,
            path=("ways", "reports_from"),
        )


def _queue_parts(configuration: Configuration, agents: Mapping[str, Part]) -> Iterator[Part]:
    """Return the queue, the ways out of it, and who works at it where mail comes in."""
    yield Part(
        name="queue",
        provides=(Queue, IQueue, IQueueAdmin),
        maker=Queue,
        path=("queue",),
    )
    if configuration.entries_of(DIRECTORY):
        yield Part(
            name="routes",
            provides=(Routes, IRoutes),
            maker=Routes,
            given={"routes": configuration.routes},
            path=("routes",),
        )
    if configuration.pipelines:
        yield Part(
            name="queue.runner",
            provides=(Runner,),
            maker=Runner,
            settings=configuration.table(QueueSettings),
            given={"names": tuple(agents), "agents": tuple(agents.values())},
            path=("queue",),
        )


def _handlers(configuration: Configuration) -> tuple[dict[str, Extractor], list[Mistake]]:
    """Return what gives the text of parts, by type, and why others can't."""
    extractors: dict[str, Extractor] = {}
    mistakes: list[Mistake] = []
    for entry in configuration.entries_of(EXTRACTORS):
        try:
            extractors[entry.name] = extractor_of(entry)
        except (ConfigError, UnknownComponent) as problem:
            mistakes.append(configuration.source.mistake((*entry.path, "use"), str(problem)))
    wanted = configuration.table(MimeSettings).handlers
    handlers = {name: extractors[one] for name, one in wanted.items() if one in extractors}
    return handlers, mistakes


def extractor_of(entry: Entry) -> Extractor:
    """Return how a child process makes an extractor, which can ask for no neighbour there."""
    arguments: dict[str, object] = {}
    for wish in wishes(entry.maker):
        if is_settings(wish.annotation):
            arguments[wish.name] = entry.settings
        elif wish.annotation is InstanceName:
            arguments[wish.name] = entry.name
        elif wish.required:
            raise ConfigError(
                f"it is made in a child process, where there is nothing for its {wish.name}"
            )
    return Extractor.of(entry.name, entry.maker, arguments)


def _house_part(
    name: str,
    kind: type,
    settings: Settings | None = None,
    maker: Callable[..., object] | None = None,
) -> Part:
    return Part(
        name=name,
        provides=(kind,),
        maker=maker or kind,
        settings=settings,
        path=(name,),
        optional=True,
    )


def _spool(
    house: House,
    workers: Workers,
    disk: Disk,
    database: Database,
    limits: Limits,
    bus: IBus,
    places: tuple[Path, ...],
) -> Spool:
    return Spool(
        house.state / "spool",
        workers.files.ask,
        disk,
        in_memory=limits.spool_above,
        then=(database.folder, *places) if database.folder else places,
        on_full=lambda octets: bus.publish([RoomWanted(octets)]),
    )


KINDS: dict[object, object] = dict.fromkeys(
    (
        House,
        Limits,
        IReactorTime,
        INetwork,
        WallClock,
        Workers,
        Disk,
        Database,
        JournalFile,
        SearchFile,
        IBus,
        Retention,
    )
)
"""What a foundation brings, for a plan that is only looked at."""


def _part(entry: Entry) -> Part:
    room = entry.room
    return Part(
        name=entry.full_name,
        provides=(room.interface, *entry.component.provides),
        maker=entry.maker,
        settings=entry.settings,
        path=entry.path,
        is_main=entry.name == room.instance,
    )


def _judge(entry: Entry, part: Part) -> Part:
    return Part(
        name=f"{entry.full_name}.judge",
        provides=(Judge,),
        maker=Judge,
        given={
            "name": entry.name,
            "component": part,
            "timeout": entry.guard.timeout.total_seconds(),
            "on_error": entry.guard.on_error,
        },
        path=entry.path,
    )
