"""Where the configuration is, and who does what a command asks for."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from mailplat.app.asking import Caller, OperationFailed, ServerDied, Speak, speak_over
from mailplat.app.lock import Locked
from mailplat.app.whereabouts import state_of

if TYPE_CHECKING:
    from mailplat.app.config import Configuration

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
    a mistake in it stops nobody from looking after a house that is up.  Nor is the house
    imported then, which takes ten times as long as to ask.
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
        from mailplat.app import config, registry

        return config.read(self.file, registry.discover())

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
        from mailplat.app.cli.alone import serve_one

        configuration = self.configuration  # whose mistakes are named by this process
        here, there = socket.socketpair()
        child = os.fork()
        if not child:
            here.close()
            serve_one(configuration, operation, arguments, repeated, there)
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

    @property
    def _state(self) -> Path:
        return state_of(self.file) or self.configuration.house.state

    def _alone(self, operation: str, arguments: dict[str, Any], repeated: bool) -> Any:
        """Run an operation in this process; see `mailplat.app.cli.alone`."""
        from mailplat.app.cli.alone import run

        return run(self.configuration, operation, arguments, repeated)
