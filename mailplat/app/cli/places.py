"""Where the configuration is, and who does what a command asks for."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

from mailplat.app import config
from mailplat.app.clocks import go_by_the_steady_clock
from mailplat.app.config import Configuration
from mailplat.app.control import Caller, OperationFailed, ServerDied, problem_text
from mailplat.app.conversation import Speak, serve, speak_over
from mailplat.app.foundation import Foundation, IReactor, the_reactor
from mailplat.app.lock import Lock, Locked, NoStateFolder
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.operations import OPERATIONS, Desk
from mailplat.app.registry import discover
from mailplat.app.tables import CONTENTS, DIRECTORY, STORES
from mailplat.app.wiring import build

T = TypeVar("T")

VARIABLE = "MAILPLAT_CONFIG"
NAME = "mailplat.toml"
PLACES = (Path(NAME), Path("/etc/mailplat") / NAME, Path("mailplat-state") / NAME)
CHANGES = {"add", "passwd", "disable", "enable", "remove"}  # the verbs of operations that do
BUSY = 75  # the status of a child process that found the state folder held by another
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
        result = Caller(self._state, self._alone, Locked).call(operation, arguments)
        self.has_changed |= operation.rpartition(".")[2] in CHANGES
        return result

    def converse(self, operation: str, speak: Speak[T], **arguments: Any) -> T:
        """Begin a conversation and return what ``speak`` makes of it, which may be begun anew.

        Raises as `call` does, and whatever ``speak`` raises.
        """
        alone = partial(self._beside, speak)
        caller = Caller(self._state, alone, Locked, speak=speak)
        result: T = caller.call(operation, arguments)
        return result

    def _beside(
        self, speak: Speak[T], operation: str, arguments: dict[str, Any], repeated: bool
    ) -> T:
        """Speak with a child process that does the operation where no server runs.

        Raises `Locked`, `OperationFailed` and `BadConfiguration`.
        """
        self.configuration  # noqa: B018 - its mistakes are named by this process
        here, there = socket.socketpair()
        child = os.fork()
        if not child:
            here.close()
            self._serve(there, operation, arguments, repeated)
        there.close()
        try:
            with here:
                return speak_over(here, speak)
        except ServerDied:
            _, status = os.waitpid(child, 0)
            child = 0
            if os.waitstatus_to_exitcode(status) == BUSY:
                raise Locked(f"{self._state} is held by another process") from None
            raise OperationFailed("what was begun has ended too soon") from None
        finally:
            if child:
                os.waitpid(child, 0)

    def _serve(
        self, end: socket.socket, operation: str, arguments: dict[str, Any], repeated: bool
    ) -> NoReturn:
        """Do an operation over a socket, as a process that has no other task."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the asker ends, and we see it hang up
        status = 0
        try:
            self._alone(operation, arguments, repeated, end)
        except Locked:
            status = BUSY
        except (OperationFailed, BadConfiguration) as problem:
            with suppress(OSError):
                end.sendall(json.dumps({"problem": str(problem)}).encode() + b"\n")
        except BaseException:  # noqa: BLE001 - nothing goes on in this process
            traceback.print_exc()
            status = 1
        os._exit(status)

    @property
    def _state(self) -> Path:
        return config.state_of(self.file) or self.configuration.house.state

    def _alone(
        self,
        operation: str,
        arguments: dict[str, Any],
        repeated: bool,
        end: socket.socket | None = None,
    ) -> Any:
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
                run_alone(configuration, lock, reactor, operation, arguments, repeated, end)
            )
            work.addBoth(found.append)
            work.addBoth(ended.callback)
            ended.addCallback(lambda _nothing: stop(reactor))

        ended: Deferred[None] = Deferred()
        reactor.callWhenRunning(run)
        reactor.addSystemEventTrigger("before", "shutdown", lambda: ended)
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
    end: socket.socket | None = None,
) -> Any:
    """Run one operation on a house that nobody else has open, without its doors."""
    foundation = Foundation.lay(configuration, reactor, lock)
    try:
        await foundation.open()
        tree = build(configuration.only(CONTENTS, STORES, DIRECTORY), foundation)
        try:
            await tree.prepare()
            desk = Desk(tree, repeated=repeated, foundation=foundation)
            result = await OPERATIONS[operation](desk, **arguments)
            if end:
                await serve(result, reactor, end)
                return None
            return result
        finally:
            await tree.finish()
    finally:
        await foundation.clear()


def stop(reactor: IReactor) -> None:
    """Stop the reactor, unless a signal has done so already."""
    try:
        reactor.stop()
    except ReactorNotRunning:
        pass


def become_owner_of(folder: Path) -> None:
    """As root, go on as the folder's owner: what is made there must be open to the server."""
    if not folder.exists():
        return
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
