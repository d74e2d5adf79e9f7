"""The server as one Twisted service: starts in order, reloads beside itself, stops gracefully.

Start: lock and tree, sockets bound (as root where they need it), then the
database, what the rooms prepare, and the doors last.  Stop: the reverse, the
doors first; running transactions may finish.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure

from mailplat import READY
from mailplat.app import config, control, descriptors, memory
from mailplat.app.beside import Beside
from mailplat.app.config import Configuration
from mailplat.app.foundation import Foundation, IReactor
from mailplat.app.holdups import HoldUps
from mailplat.app.keyring import KeyRing
from mailplat.app.lock import Lock, Locked, NoStateFolder
from mailplat.app.logs import LogWriter, tell_of_messages
from mailplat.app.mediatypes import TypeRegistry
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.newhouse import NewHouse, how_to_try, new_password
from mailplat.app.operations import OPERATIONS, Desk
from mailplat.app.registry import discover
from mailplat.app.systemd import Notifier
from mailplat.app.tables import LimitsSettings, LogSettings
from mailplat.app.tree import Tree
from mailplat.app.wiring import build
from mailplat.interfaces import IDirectory, IDirectoryAdmin, IPortal
from mailplat.mail.errors import MailError
from mailplat.plugin import ConfigError
from mailplat.portals.listen import Listener, open_listener
from mailplat.portals.tls import Certificates

SWITCH_INTERVAL = 0.0005  # seconds; beside a busy thread each wake-up costs that much, not 5 ms
FIRST_ACCOUNT = "first-account"  # a file in the state folder
GARBAGE = (50_000, 20, 100)  # objects to begin with; little of ours is circular, so look seldom


@attrs.define(eq=False)
class MailService(Service):
    """The whole server.  A ``first`` house gets its account when it is first started."""

    log = Logger()

    configuration: Configuration
    reactor: IReactor
    writer: LogWriter | None = None  # None: somebody else writes the log
    first: NewHouse | None = None
    is_unseen: bool = False  # nobody sees what is printed
    _foundation: Foundation = attrs.field(init=False)
    _tree: Tree = attrs.field(init=False)
    _leaving: list[Tree] = attrs.field(factory=list, init=False)
    _listeners: dict[str, Listener] = attrs.field(factory=dict, init=False)
    _control: Any = attrs.field(default=None, init=False)
    _notifier: Notifier = attrs.field(init=False)
    _holdups: HoldUps = attrs.field(init=False)
    _beside: Beside = attrs.field(init=False)
    _sweep: LoopingCall = attrs.field(init=False)
    _work: Deferred[None] | None = attrs.field(default=None, init=False)
    _failed: bool = attrs.field(default=False, init=False)

    def setServiceParent(self, parent: Any) -> None:  # noqa: N802 - Twisted calls us
        if self.writer:
            parent.setComponent(ILogObserver, self.writer)
        Service.setServiceParent(self, parent)  # type: ignore[no-untyped-call]

    # Starting.

    def privilegedStartService(self) -> None:  # noqa: N802 - Twisted calls us
        """Do what may need root: read keys, bind ports.  Ends the process if it can't."""
        descriptors.raise_limit()
        self._beside = Beside(self.configuration.source.folder)
        self._beside.note()
        try:
            lock = Lock.take(self.configuration.house.state)
            self._foundation = Foundation.lay(
                self.configuration, self.reactor, lock, self._store_is_bad
            )
            self._tree = build(self.configuration, self._foundation)
            self._listeners = open_all(addresses_of(self._tree))
        except NoStateFolder as problem:
            end_with(
                BadConfiguration([self.configuration.source.mistake(("state",), str(problem))])
            )
        except (Locked, BadConfiguration, ConfigError, OSError) as problem:
            end_with(problem)

    def startService(self) -> None:  # noqa: N802 - Twisted calls us
        Service.startService(self)  # type: ignore[no-untyped-call]
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.set_threshold(*GARBAGE)
        memory.give_back()
        atexit.register(self._end_with_status)
        self._notifier = Notifier.of(os.environ)
        self._holdups = HoldUps(self.reactor)
        self._work = Deferred.fromCoroutine(self._start())
        self._work.addErrback(self._give_up)
        signal.signal(signal.SIGHUP, lambda *_: self.reactor.callFromThread(self.reload))

    async def _start(self) -> None:
        await self._foundation.open()
        await self._tree.prepare()
        tell_of_messages(self._foundation.bus, self.writer, self.reactor)
        if self.first:
            await self._furnish(self.first)
        await self._warn_if_empty()
        self._warn_of_shortage()
        self._control = control.listen(self.reactor, self._foundation.state, self._run)
        self._serve()
        self._holdups.start()
        self._sweep = LoopingCall(self._see_off)
        self._sweep.clock = self.reactor
        self._sweep.start(1, now=False)
        for place in self.places:
            self.log.info("listening: {place}", place=place)
        gc.freeze()  # what is there now stays: nothing to look through again
        self.log.info(READY)
        self._notifier.ready(self.reactor)

    async def _furnish(self, house: NewHouse) -> None:
        """Give a house for trying out its account, and show how to try it.

        Where nobody would see a new password, it is written into a file of our own.
        """
        password = ""
        if not await self._run("account.list", {}, False):
            password = new_password()
            await self._run("server.furnish", house.first_account(password), False)
        if not self.is_unseen:
            print(how_to_try(house, password), file=sys.__stdout__, flush=True)
        elif password:
            path = self._foundation.state / FIRST_ACCOUNT
            self._foundation.disk.replace(path, how_to_try(house, password).encode())
            self.log.warn(
                "{path} has the password of the first account, and how to try this house;"
                " remove it when you have read it",
                path=str(path),
            )

    async def _warn_if_empty(self) -> None:
        """Say that nobody lives here: it is a new house, or the wrong folder."""
        people = self._tree.find(IDirectory)
        if not IDirectoryAdmin.providedBy(people):
            return
        if not (await people.domains() or await people.accounts()):
            self.log.warn(
                "the house in {state} is new and empty: no domain, no account; "
                "`mailplat domain add` and `mailplat account add` furnish it",
                state=str(self._foundation.state),
            )

    def _warn_of_shortage(self) -> None:
        """Say that there are fewer connections than the configuration says."""
        if too_few := descriptors.shortage(self.configuration.table(LimitsSettings).limits()):
            self.log.warn("limits.connections: {too_few}", too_few=too_few)

    def _give_up(self, failure: Any) -> None:
        if failure.check(MailError, ConfigError, BadConfiguration):
            self.log.critical("mailplat could not start: {why}", why=str(failure.value))
        else:
            self.log.failure("mailplat could not start", failure)
        self._failed = True
        self.reactor.stop()

    def _store_is_bad(self, error: Exception) -> None:
        """End the process: after a failed sync only a restart can be trusted."""
        if self._failed:
            return
        self.log.critical("nothing more can be kept, ending: {error}", error=str(error))
        self._failed = True
        self.reactor.callLater(0, self.reactor.stop)

    def _end_with_status(self) -> None:
        if self._failed:
            sys.stderr.flush()
            os._exit(1)

    # Serving.

    @property
    def places(self) -> list[str]:
        """Where it really listens, as ``portal address``."""
        return [
            f"{name} {place}"
            for name, portal in self._tree.portals().items()
            for address in portal.addresses
            for place in self._listeners[address].places
        ]

    def _serve(self) -> None:
        for portal in self._tree.portals().values():
            for address in portal.addresses:
                self._listeners[address].serve(self.reactor, portal)

    async def _run(self, operation: str, arguments: dict[str, Any], repeated: bool) -> Any:
        function = OPERATIONS.get(operation)
        if not function:
            raise control.BadRequest(f"no operation {operation[:50]!r} here")
        desk = Desk(self._tree, tuple(self.places), repeated, self._foundation)
        try:
            asked = inspect.signature(function).bind(desk, **arguments)
        except TypeError as problem:
            raise control.BadRequest(f"{operation}: {problem}") from None
        return await function(*asked.args, **asked.kwargs)

    # Reloading.

    def reload(self) -> None:
        """Read the configuration again, behind what is under way; a bad one changes nothing."""
        if self._work:
            self._work.addCallback(lambda _nothing: Deferred.fromCoroutine(self._reload()))
            self._work.addErrback(lambda failure: self.log.failure("not reloaded", failure))

    async def _reload(self) -> None:
        if self._failed or not self.running:
            return
        self._notifier.reloading()
        self._foundation.workers.renew()
        self._reopen_log()
        try:
            with self._beside.renewed():
                await self._change_to(config.read(self.configuration.source.file, discover()))
        except Exception as problem:  # noqa: BLE001 - whatever it is, the old tree goes on
            self._log_causes(problem)
            for line in str(problem).splitlines():
                self.log.error("the configuration stays as it was: {problem}", problem=line)
            if not isinstance(problem, BadConfiguration | ConfigError | OSError):
                self.log.failure("the new tree could not be made")
        else:
            self.log.info("the configuration was read again")
        self._notifier.ready(self.reactor)

    def _log_causes(self, problem: Exception) -> None:
        """Log what strangers' modules raised when they were imported."""
        for mistake in getattr(problem, "mistakes", ()):
            if mistake.cause:
                cause = Failure(mistake.cause)  # type: ignore[no-untyped-call]
                self.log.failure("{where} can't be had", cause, where=mistake.path)

    def _reopen_log(self) -> None:
        """Let go of a log file that has been renamed; without a new one the old one is kept."""
        try:
            if self.writer:
                self.writer.reopen()
        except OSError as problem:
            self.log.error("the log can't be reopened: {problem}", problem=str(problem))

    async def _change_to(self, wanted: Configuration) -> None:
        configuration, unchanged = wanted.keeping(self.configuration)
        for key in unchanged:
            self.log.warn("{key} has changed; that takes a restart", key=key)
        old, new = self._tree, build(configuration, self._foundation, self._tree)
        addresses = addresses_of(new)
        fresh: dict[str, Listener] = {}
        try:
            fresh = open_all(a for a in addresses if a not in self._listeners)
            await new.prepare(old)
            await read_files_of(new)
            if self.writer:
                self.writer.use(configuration.table(LogSettings))
        except BaseException:
            await close_all(fresh.values())
            await new.finish([old, *self._leaving])
            raise
        self._listeners |= fresh
        self._tree, self.configuration = new, configuration
        self._warn_of_shortage()
        self._serve()
        gone = [self._listeners.pop(a) for a in list(self._listeners) if a not in addresses]
        await close_all(gone)
        self._leaving.append(old)

    def _see_off(self) -> None:
        """Let earlier trees go whose last session has ended."""
        serving = {id(portal) for portal in self._tree.portals().values()}
        for tree in list(self._leaving):
            portals = [p for p in tree.portals().values() if id(p) not in serving]
            if not any(portal.sessions for portal in portals):
                self._leaving.remove(tree)
                kept = [self._tree, *self._leaving]
                Deferred.fromCoroutine(tree.finish(kept)).addErrback(
                    lambda failure: self.log.failure("an earlier tree did not end", failure)
                )

    # Stopping.

    def stopService(self) -> Deferred[None] | None:  # noqa: N802 - Twisted calls us
        Service.stopService(self)  # type: ignore[no-untyped-call]
        if self._work is None:
            return None
        stopped: Deferred[None] = Deferred()
        self._work.addBoth(lambda _nothing: Deferred.fromCoroutine(self._stop()))
        self._work.addErrback(lambda failure: self.log.failure("not stopped well", failure))
        self._work.chainDeferred(stopped)
        return stopped

    async def _stop(self) -> None:
        self._notifier.stopping()
        self._holdups.stop()
        await close_all(self._listeners.values())
        patience = self.configuration.house.stop_within.total_seconds()
        trees = [self._tree, *self._leaving]
        portals = {id(p): p for tree in trees for p in tree.portals().values()}.values()
        await DeferredList([Deferred.fromCoroutine(drain(p, patience)) for p in portals])
        if self._control:
            await self._control.stopListening()
            self._sweep.stop()
        while trees:
            tree = trees.pop()
            await tree.finish(trees)
        await self._foundation.clear()
        self.log.info("mailplat has stopped")


def end_with(problem: Exception) -> NoReturn:
    """End the process before it has begun; nobody reads a log for why it didn't start."""
    print(f"mailplat: {problem}", file=sys.__stderr__, flush=True)
    raise SystemExit(1) from problem


def addresses_of(tree: Tree) -> list[str]:
    """Return where the portals of a tree want to listen; raises `ConfigError` for a clash."""
    wanted: dict[str, str] = {}
    for name, portal in tree.portals().items():
        for address in portal.addresses:
            if address in wanted:
                raise ConfigError(
                    f"the portals {wanted[address]} and {name} both want {address}"
                )
            wanted[address] = name
    return list(wanted)


async def read_files_of(tree: Tree) -> None:
    """Read again what may have changed beside the configuration: certificates, keys, types."""
    for made in tree.made:
        if isinstance(made.thing, Certificates):
            made.thing.reload()
        elif isinstance(made.thing, TypeRegistry):
            await made.thing.reload()
        elif isinstance(made.thing, KeyRing):
            await made.thing.prepare()


def open_all(addresses: Iterable[str]) -> dict[str, Listener]:
    """Open listeners at all addresses, or at none; raises `ConfigError`."""
    opened: dict[str, Listener] = {}
    try:
        for address in addresses:
            opened[address] = open_listener(address)
    except ConfigError:
        Deferred.fromCoroutine(close_all(opened.values()))
        raise
    return opened


async def close_all(listeners: Iterable[Listener]) -> None:
    """Close listeners; what they accepted goes on."""
    for listener in list(listeners):
        await listener.close()


async def drain(portal: IPortal, patience: float) -> None:
    """Let a portal's sessions end within ``patience`` seconds."""
    await portal.drain(patience)
