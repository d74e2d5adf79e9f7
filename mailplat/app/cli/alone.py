"""Does an operation in this process, where no server runs: with the whole house, without doors."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

from mailplat.app.asking import OperationFailed
from mailplat.app.cli.places import BUSY
from mailplat.app.clocks import go_by_the_steady_clock
from mailplat.app.config import Configuration
from mailplat.app.control import problem_text
from mailplat.app.conversation import serve
from mailplat.app.foundation import Foundation, IReactor, the_reactor
from mailplat.app.lock import Lock, Locked, NoStateFolder
from mailplat.app.operations import OPERATIONS, Desk
from mailplat.app.tables import CONTENTS, DIRECTORY, STORES
from mailplat.app.wiring import build


def run(
    configuration: Configuration,
    operation: str,
    arguments: dict[str, Any],
    repeated: bool,
    end: socket.socket | None = None,
) -> Any:
    """Run an operation in this process, in a reactor of its own.

    Raises `Locked` and `OperationFailed`.
    """
    state = configuration.house.state
    become_owner_of(state)
    try:
        lock = Lock.take(state)
    except NoStateFolder as problem:
        raise OperationFailed(str(problem)) from None
    reactor = the_reactor()
    go_by_the_steady_clock(reactor)
    found: list[Any] = []

    def begin() -> None:
        work = Deferred.fromCoroutine(
            run_alone(configuration, lock, reactor, operation, arguments, repeated, end)
        )
        work.addBoth(found.append)
        work.addBoth(ended.callback)
        ended.addCallback(lambda _nothing: stop(reactor))

    ended: Deferred[None] = Deferred()
    reactor.callWhenRunning(begin)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: ended)
    reactor.run()
    [result] = found
    if isinstance(result, Failure):
        error = result.value or RuntimeError("the operation was cut off")
        raise OperationFailed(problem_text(error)) from error
    return result


def serve_one(
    configuration: Configuration,
    operation: str,
    arguments: dict[str, Any],
    repeated: bool,
    end: socket.socket,
) -> NoReturn:
    """Do an operation over a socket, as a process that has no other task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the asker ends, and we see it hang up
    status = 0
    try:
        run(configuration, operation, arguments, repeated, end)
    except Locked:
        status = BUSY
    except OperationFailed as problem:
        with suppress(OSError):
            end.sendall(json.dumps({"problem": str(problem)}).encode() + b"\n")
    except BaseException:  # noqa: BLE001 - nothing goes on in this process
        traceback.print_exc()
        status = 1
    os._exit(status)


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
