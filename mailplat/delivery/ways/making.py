"""Puts together what asks other hosts for proofs, and what reports how it went.

They are three parts: the queue needs the relay, which needs what asks, and the
reports need the queue.
"""

from __future__ import annotations

from random import SystemRandom

from twisted.internet.interfaces import IReactorTime

from mailplat.delivery.ways.fetching import Fetcher
from mailplat.delivery.ways.levels import Levels
from mailplat.delivery.ways.policies import StsPolicies
from mailplat.delivery.ways.reporting import FILE, LATEST, Reports
from mailplat.delivery.ways.sessions import Sessions
from mailplat.delivery.ways.settings import WaySettings
from mailplat.delivery.ways.ways import Ways
from mailplat.files import Disk
from mailplat.interfaces import House, INetwork, IQueue, IResolver, ISigner, WallClock
from mailplat.mail.address import Address
from mailplat.trust.tlsrpt import Reporter
from mailplat.workers import Workers


def sessions(wall: WallClock) -> Sessions:
    """Make what counts."""
    return Sessions(wall.seconds)


def ways(
    settings: WaySettings,
    house: House,
    network: INetwork,
    resolver: IResolver,
    disk: Disk,
    workers: Workers,
    wall: WallClock,
    sessions: Sessions | None = None,
) -> Ways:
    """Make what the relay asks; raises `ConfigError`."""
    fetcher = Fetcher(network, resolver, settings.trust)
    policies = StsPolicies(house.state, resolver, fetcher, disk, workers, wall)
    levels = Levels(house.state, disk, workers, wall)
    return Ways(settings, resolver, policies, wall, sessions, levels)


def reports(
    settings: WaySettings,
    house: House,
    network: INetwork,
    resolver: IResolver,
    disk: Disk,
    workers: Workers,
    clock: IReactorTime,
    wall: WallClock,
    sessions: Sessions,
    queue: IQueue | None = None,
    signer: ISigner | None = None,
) -> Reports:
    """Make what reports, by the address that the settings name; raises `ConfigError`."""
    author = Address.parse(settings.reports_from)
    reporter = Reporter(
        organization=settings.organization or house.hostname,
        contact=str(author),
        domain=author.domain,
    )
    return Reports(
        sessions=sessions,
        reporter=reporter,
        author=author,
        hostname=house.hostname,
        file=house.state / FILE,
        delay=SystemRandom().uniform(0, LATEST),
        resolver=resolver,
        web=Fetcher(network, resolver, settings.trust),
        clock=clock,
        wall=wall,
        disk=disk,
        workers=workers,
        queue=queue,
        signer=signer,
    )
