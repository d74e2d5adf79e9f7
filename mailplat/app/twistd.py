"""What ``twistd mailplat`` does: finds the configuration or makes a first house, and serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from mailplat.app import config, newhouse
from mailplat.app.cli.places import WHERE_ELSE, NoConfiguration, find_config
from mailplat.app.clocks import go_by_the_steady_clock
from mailplat.app.config import Configuration
from mailplat.app.foundation import the_reactor
from mailplat.app.logs import LogWriter
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.newhouse import NewHouse, NotMade
from mailplat.app.registry import discover
from mailplat.app.service import MailService, end_with
from mailplat.app.tables import LogSettings
from mailplat.app.wiring import examine

FIRST_HOUSE = NewHouse(Path("mailplat-state").absolute(), "localhost", 10000)
"""A house for trying out, beside us, on loopback and high ports."""


class Options(usage.Options):
    """Words of the command line."""

    optParameters = [  # noqa: N815 - Twisted's name
        [
            "config",
            "c",
            None,
            f"The configuration file; else {WHERE_ELSE}; else a first house is made.",
        ],
    ]
    parent: Any


def makeService(options: Options) -> IService:  # noqa: N802 - Twisted's name
    """Return the server as a service; ends the process with all mistakes if it can't."""
    try:
        file = the_config(options["config"])
        configuration = the_configuration(file)
        writer = None if logs_elsewhere(options, configuration) else the_log(configuration)
    except (NotMade, BadConfiguration, OSError) as problem:
        end_with(problem)
    first = FIRST_HOUSE if file == FIRST_HOUSE.config else None
    reactor = the_reactor()
    go_by_the_steady_clock(reactor)
    return MailService(configuration, reactor, writer, first, in_background(options))


def the_configuration(file: Path) -> Configuration:
    """Read a configuration; raises `BadConfiguration` with all that `mailplat check` says."""
    registry = discover()
    try:
        return config.read(file, registry)
    except BadConfiguration:
        raise BadConfiguration(examine(file, registry)[1]) from None


def the_log(configuration: Configuration) -> LogWriter:
    """Return who writes the log; raises `BadConfiguration` if its file can't be opened."""
    try:
        return LogWriter(configuration.table(LogSettings))
    except OSError as problem:
        why = f"can't be opened: {problem.strerror or problem}"
        raise BadConfiguration([configuration.source.mistake(("log", "file"), why)]) from None


def the_config(given: str | None) -> Path:
    """Return the configuration file, of a first house if there is none; raises `NotMade`."""
    try:
        return find_config(Path(given) if given else None)
    except NoConfiguration:
        newhouse.make(FIRST_HOUSE)
        return FIRST_HOUSE.config


def in_background(options: Options) -> bool:
    """Say whether twistd goes there, where nobody sees what is printed: without ``-n``."""
    return not (options.parent or {}).get("nodaemon", True)


def logs_elsewhere(options: Options, configuration: Configuration) -> bool:
    """Say whether twistd writes the log: as it was told, or because nobody would see ours.

    In the background, where there is no standard error, that is ``twistd.log``.
    """
    parent = options.parent or {}
    if any(parent.get(name) for name in ("logfile", "logger", "syslog")):
        return True
    return in_background(options) and configuration.table(LogSettings).file is None
