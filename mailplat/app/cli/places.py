"""Where the configuration is, and who does what a command asks for."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailplat.app import config
from mailplat.app.clocks import go_by_the_steady_clock
from mailplat.app.config import Configuration
from mailplat.app.control import Caller, OperationFailed, problem_text
from mailplat.app.foundation import Foundation, IReactor, the_reactor
from mailplat.app.lock import Lock, Locked, NoStateFolder
from mailplat.app.operations import OPERATIONS, Desk
from mailplat.app.registry import discover
from mailplat.app.tables import CONTENTS, DIRECTORY, STORES
from mailplat.app.wiring import build

VARIABLE = "MAILPLAT_CONFIG"
NAME = "mailplat.toml"
PLACES = (Path(NAME), Path("/etc/mailplat") / NAME, Path("mailplat-state") / NAME)
CHANGES = {"add", "passwd", "disable", "enable", "remove"}  # the verbs of operations that do
WHERE_ELSE = ", ".join([VARIABLE, *map(str, PLACES)])


class NoConfiguration(Exception):
    """There is no configuration file in any place where one is looked for."""


def find_config(given: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the configuration file: the one given, the one of the environment, or the first.

    Raises `NoConfiguration`.
    """
    if given:
        return given.absolute()
    if named := environment.get(VARIABLE):
        return Path(named).absolute()
    for place in PLACES:
        if place.exists():
            return place.absolute()
    raise NoConfiguration(f"there is no configuration: neither --config, nor {WHERE_ELSE}")


@attrs.define
class Office:
    """Does operations, by the server if one runs and else in this process.

    Where a server answers, the file is not read for more than where its state folder is:
    a mistake in it stops nobody from looking after a house that is up.
    """

    file: Path
    has_changed: bool = attrs.field(default=False, init=False)  # the house, by what was called

    @property
    def is_here(self) -> bool:
        """Whether the house is the one in the current folder."""
        return self.file.parent == Path.cwd()

    @cached_property
    def configuration(self) -> Configuration:
        """What the file says; raises `BadConfiguration`."""
        return config.read(self.file, discover())

    def call(self, operation: str, **arguments: Any) -> Any:
        """Return the operation's result; raises `OperationFailed` and `BadConfiguration`."""
        state = config.state_of(self.file) or self.configuration.house.state
        result = Caller(state, self._alone, Locked).call(operation, arguments)
        self.has_changed |= operation.rpartition(".")[2] in CHANGES
        return result

    def _alone(self, operation: str, arguments: dict[str, Any], repeated: bool) -> Any:
        """Run an operation in this process, in a reactor of its own.

        Raises `Locked`, `OperationFailed` and `BadConfiguration`.
        """
        configuration = self.configuration
        state = configuration.house.state
        become_owner_of(state)
        try:
            lock = Lock.take(state)
        except NoStateFolder as problem:
            raise OperationFailed(str(problem)) from None
        reactor = the_reactor()
        go_by_the_steady_clock(reactor)
        found: list[Any] = []

        def run() -> None:
            work = Deferred.fromCoroutine(
                run_alone(configuration, lock, reactor, operation, arguments, repeated)
            )
            work.addBoth(found.append)
            work.addBoth(lambda _nothing: reactor.stop())

        reactor.callWhenRunning(run)
        reactor.run()
        [result] = found
        if isinstance(result, Failure):
            error = result.value or RuntimeError("the operation was cut off")
            raise OperationFailed(problem_text(error)) from error
        return result


async def run_alone(
    configuration: Configuration,
    lock: Lock,
    reactor: IReactor,
    operation: str,
    arguments: dict[str, Any],
    repeated: bool = False,
) -> Any:
    """Run one operation on a house that nobody else has open, without its doors."""
    foundation = Foundation.lay(configuration, reactor, lock)
    try:
        await foundation.open()
        tree = build(configuration.only(CONTENTS, STORES, DIRECTORY), foundation)
        try:
            await tree.prepare()
            desk = Desk(tree, repeated=repeated, foundation=foundation)
            return await OPERATIONS[operation](desk, **arguments)
        finally:
            await tree.finish()
    finally:
        await foundation.clear()


def become_owner_of(folder: Path) -> None:
    """As root, go on as the folder's owner: what is made there must be open to the server."""
    if not folder.exists():
        return
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
