"""Contents that are shown as maildirs, one for each account."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import attrs
from pydantic import Field
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.files import Disk, Spooled
from mailplat.interfaces import (
    House,
    IBatchedContents,
    IContentStore,
    IDirectoryAdmin,
    IExaminedContents,
    IPlacedContents,
    ISharedContents,
    IViewedContents,
)
from mailplat.mail.content import Content, Octets
from mailplat.mail.errors import NoSuchMessage
from mailplat.mail.mailbox import MailboxId
from mailplat.mail.people import AccountId
from mailplat.mail.placing import Inheritance, Shown, Sighting, Unshown
from mailplat.plugin import Settings
from mailplat.sql import Database, steps_of
from mailplat.store.contents.files import ContentFiles, ContentFilesSettings
from mailplat.store.contents.maildir import queries
from mailplat.store.contents.maildir.arrivals import Arrival, Opened, opened
from mailplat.store.contents.maildir.folders import CUR, MARKER, NEW, Folder, is_linked
from mailplat.store.contents.maildir.inheriting import inherit
from mailplat.store.contents.maildir.names import Namer, safe, split, tag_of
from mailplat.store.contents.maildir.queries import Brought
from mailplat.store.contents.maildir.telling import Telling, show_each, told
from mailplat.store.contents.maildir.tree import FOLDER, SIZES, Tree, take_whole
from mailplat.store.contents.maildir.watching import Hear, Watch
from mailplat.store.contents.shelves import digest_in
from mailplat.workers import Rounds, Workers

P = ParamSpec("P")
T = TypeVar("T")

SHELVES = ".contents"  # the folder of the contents themselves, beside those of accounts
REMEMBERED = 500  # accounts whose folders are remembered
MADE = frozenset({MARKER, FOLDER, SIZES})  # files of a maildir that are made anew
FEW = 64  # messages; an account that is shown more of keeps no others waiting


class MaildirSettings(Settings):
    """Keys of ``[contents.NAME] use = "maildir"``."""

    folder: Path = Field(
        Path("maildir"),
        description=(
            "Where the maildirs lie, and beside them, in `.contents`, each message once; a"
            " relative path starts at the state folder.  All of it has to be in one file"
            " system."
        ),
    )
    path: str = Field(
        "{domain}/{local}",
        pattern=r"^(?:\{(?:domain|local|name|id)\}|[A-Za-z0-9@_+-])+"
        r"(?:/(?:\{(?:domain|local|name|id)\}|[A-Za-z0-9@_+-])+){0,5}$",
        description=(
            "An account's maildir below the folder, made of `{domain}`, `{local}`, `{name}`"
            " (both, with the @) and `{id}` (which never changes).  An account keeps its"
            " maildir, whatever is changed here, or when it is renamed."
        ),
    )


@attrs.define
class Known:
    """What is known of an account: its folder, and the lock under which it is worked at."""

    tree: Tree
    state: int  # how far it is, in the words of `queries`
    found: dict[int, Folder] = attrs.field(factory=dict)  # of what a look has returned
    is_open: bool = False  # whether somebody has come since
    watched: set[Path] = attrs.field(factory=set)


@implementer(
    IContentStore,
    IBatchedContents,
    IExaminedContents,
    IPlacedContents,
    ISharedContents,
    IViewedContents,
)
class Maildirs:
    """Keeps each content as a file, and shows it by hard links in its account's maildir.

    So a message that another program takes away, or a whole maildir that is lost, takes
    nothing from what the index names; and what only the maildirs have is the truth for
    flags, and for what other programs brought.
    """

    log = Logger()

    def __init__(
        self,
        settings: MaildirSettings,
        house: House,
        workers: Workers,
        disk: Disk,
        database: Database,
        reactor: IReactorTime | None = None,
        directory: IDirectoryAdmin | None = None,
    ) -> None:
        self.folder = house.state / settings.folder
        self._path = settings.path
        self._host = house.hostname
        self._disk = disk
        self._database = database
        self._directory = directory
        shelves = ContentFilesSettings(folder=self.folder / SHELVES, compression="off")
        self._files = ContentFiles(shelves, house, workers, disk)
        self._ask = workers.files.ask
        self._sync = workers.syncs.ask
        self._showing: Rounds[Telling, dict[str, int]] = Rounds(self._show_each, at_once=1)
        self._namer = Namer("", "")
        self._known: dict[AccountId, Known] = {}
        self._locks: dict[AccountId, DeferredLock] = {}
        self._reactor = reactor
        self._watch: Watch | None = None
        self._hear: Callable[[AccountId], None] = lambda _account: None

    async def prepare(self) -> None:
        """Make the folder and the tables; see `ContentFiles.prepare`."""
        steps = steps_of("mailplat.store.contents.maildir", self._database.dialect)
        await self._database.migrate("maildir", steps)
        token = await self._database.write(queries.token, os.urandom(8).hex())
        self._namer = Namer(token, self._host)
        await self._ask(_make, self._disk, self.folder)
        await self._files.prepare()

    def finish(self) -> None:
        """Let another have the folder."""
        if self._watch:
            self._watch.stop()
            self._watch = None
        self._files.finish()

    # Contents.

    async def add(self, account: AccountId, content: Content) -> str:
        key = await self._files.add(account, content)
        if isinstance(content, Arrival):
            one = Brought(key, content.tag, os.fsencode(content.base))
            await self._database.write(queries.add_brought, account, one)
            if known := self._known.get(account):
                known.tree.pending[key] = one
        return key

    async def read(self, key: str, start: int, stop: int) -> bytes:
        return await self._files.read(key, start, stop)

    async def read_each(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        return await self._files.read_each(keys)

    async def remove(self, keys: Collection[str]) -> None:
        await self._files.remove(keys)
        for pending in [one.tree.pending for one in self._known.values() if one.tree.pending]:
            for key in keys:
                pending.pop(key, None)
        if keys:
            await self._database.write(queries.forget_keys, list(keys))

    async def scan(self, after: str) -> Sequence[str]:
        return await self._files.scan(after)

    async def is_sound(self, key: str) -> bool:
        return await self._files.is_sound(key)

    async def used(self) -> tuple[int, int]:
        return await self._files.used()

    def is_view(self, path: Path) -> bool:
        """Say so of names that we gave, but not where their contents have gone."""
        if not path.is_relative_to(self.folder):
            return False
        return path.name in MADE or (self._namer.is_ours(path.name) and is_linked(path))

    # Showing.

    async def show(self, account: AccountId, mailboxes: Sequence[Shown]) -> None:
        async with self._at(account) as known:
            telling = Telling(known.tree, mailboxes, known.state == queries.SHOWN)
            try:
                if telling.size > FEW:
                    [claimed] = await self._show_each([telling])
                    if isinstance(claimed, Exception):
                        raise claimed
                else:
                    claimed = await self._showing.ask(telling)
                if claimed:
                    await self._database.write(queries.set_uids, claimed)
                if known.state == queries.TAKEN:
                    await self._set_state(account, known, queries.SHOWN)
            except Unshown:
                raise
            except Exception:
                self._drop(account)  # what failed half-way is looked at anew
                raise
            self._watch_all(account, known)

    def _show_each(
        self, tellings: Sequence[Telling]
    ) -> Deferred[list[dict[str, int] | Exception]]:
        return self._sync(show_each, self._disk, tellings)

    async def begin_anew(self, account: AccountId) -> None:
        async with self._at(account) as known:
            await self._set_state(account, known, queries.TAKEN)

    async def _is_ours(self, known: Known) -> bool:
        return await self._ask(told, lambda: known.tree.is_ours)

    async def _set_state(self, account: AccountId, known: Known, state: int) -> None:
        await self._database.write(queries.set_shown, account, known.state, state)
        known.state = state

    async def forget(self, account: AccountId) -> None:
        place = await self._database.read(queries.folder, account)
        if place is None:
            return
        async with self._at(account) as known:
            await self._sync(told, take_whole, self._disk, known.tree.root)
            await self._database.write(queries.forget, account)
            self._drop(account)
        self._locks.pop(account, None)

    # What other programs do.

    async def look(
        self, account: AccountId, mailboxes: Sequence[tuple[MailboxId, str]]
    ) -> Sequence[Sighting]:
        async with self._at(account) as known:
            known.is_open = True
            if not await self._is_ours(known):
                return []
            if known.state == queries.TAKEN:
                await self._set_state(account, known, queries.SHOWN)
            found = await self._ask(told, known.tree.look, mailboxes)
            known.found = {id(one): folder for one, folder in found}
            self._watch_all(account, known)
            return [one for one, _ in found]

    def agree(self, account: AccountId, found: Sighting) -> None:
        known = self._known.get(account)
        folder = known.found.get(id(found)) if known else None
        if folder and isinstance(found.stamp, tuple):
            folder.agreed = found.stamp

    async def arrival(
        self, account: AccountId, mailbox: MailboxId, name: str
    ) -> tuple[Content, str, float]:
        tag = tag_of(mailbox)
        async with self._at(account) as known:
            tree = known.tree
        read = await self._sync(told, self._open, tree, tag, name)
        content: Content = Octets(read.octets)
        if read.file:
            content = Spooled(self._disk, read.file, read.size, self._ask)
        return Arrival(content, tag, name), f"maildir {tag} {read.inode} {name}", read.changed

    async def inheritance(self, account: AccountId) -> Inheritance | None:
        place = await self._database.read(queries.folder, account)
        if place and place[1]:
            return None
        async with self._at(account) as known:
            return await self._ask(told, inherit, known.tree)

    async def inherited(self, account: AccountId) -> None:
        await self._database.write(queries.set_taken, account)
        if (known := self._known.get(account)) and known.state == queries.NEW:
            known.state = queries.TAKEN

    def watch(self, hear: Callable[[AccountId], None]) -> None:
        self._hear = hear
        reactor: Any = self._reactor
        if IReactorFDSet.providedBy(reactor) and hasattr(os, "O_TMPFILE"):  # it is Linux
            try:
                self._watch = Watch(reactor)
            except OSError as problem:
                self.log.warn("maildirs can't be watched: {why}", why=str(problem))

    def _watch_all(self, account: AccountId, known: Known) -> None:
        """Watch an account's folders, those that are new and no others."""
        if not self._watch or not known.is_open:
            return
        tree = known.tree
        wanted: dict[Path, Hear] = {
            path: lambda _names: self._hear(account) for path in tree.unfinished
        }
        wanted[tree.root] = partial(self._heard_in_root, account)
        for folder in tree.folders.values():
            for part in (NEW, CUR):
                hear = partial(self._heard_in_folder, account, folder, part)
                wanted[folder.path / part] = hear
        self._watch.ignore(known.watched - wanted.keys())
        fresh = wanted.keys() - known.watched
        for path in fresh:
            self._watch.watch(path, wanted[path])
        known.watched = set(wanted)
        if fresh:
            self._hear(account)  # for what was done before they were watched

    def _heard_in_root(self, account: AccountId, names: Sequence[tuple[str, bool]]) -> None:
        if any(
            not name or (name[0] == "." and name[1:2] not in ("", ".")) for name, _ in names
        ):
            self._hear(account)

    def _heard_in_folder(
        self, account: AccountId, folder: Folder, part: str, names: Sequence[tuple[str, bool]]
    ) -> None:
        """Hear of what others did; what we did ourselves is known already."""
        known = folder.files
        if any((known.get(split(one)[0]) == f"{part}/{one}") != come for one, come in names):
            self._hear(account)

    def _drop(self, account: AccountId) -> None:
        """Remember nothing more of an account's folders."""
        known = self._known.pop(account, None)
        if known and self._watch:
            self._watch.ignore(known.watched)

    def _open(self, tree: Tree, tag: str, base: str) -> Opened:
        folder = tree.folders.get(tag)
        if folder is None or base not in folder.files:
            raise NoSuchMessage(f"{base} has gone")
        return opened(self._disk, folder.path / folder.files[base], self.folder)

    # Accounts.

    @asynccontextmanager
    async def _at(self, account: AccountId) -> AsyncIterator[Known]:
        """Work at an account, and let nobody else do so meanwhile."""
        lock = self._locks.setdefault(account, DeferredLock())
        await lock.acquire()
        try:
            known = self._known.pop(account, None) or await self._read(account)
            self._known[account] = known
            while len(self._known) > REMEMBERED:
                self._drop(next(iter(self._known)))
            yield known
        finally:
            lock.release()

    async def _read(self, account: AccountId) -> Known:
        place = await self._database.read(queries.folder, account)
        folder, state = place or (await self._give_folder(account), queries.NEW)
        brought: dict[str, dict[str, Brought]] = {}
        pending: dict[str, Brought] = {}
        for one in await self._database.read(queries.brought, account):
            if one.uid:
                brought.setdefault(one.mailbox, {})[os.fsdecode(one.name)] = one
            else:
                pending[one.key] = one
        root = self.folder / folder
        return Known(Tree(root, self._disk, self._namer, self._source, brought, pending), state)

    async def _give_folder(self, account: AccountId) -> str:
        name = await self._name(account)
        local, at, domain = name.rpartition("@")
        parts = {"id": account, "name": name, "local": local if at else name, "domain": domain}
        apart = f"id/{safe(account)}"
        if not at and "{domain}" in self._path:
            wanted = apart
        else:
            words = {word: safe(text) for word, text in parts.items()}
            wanted = self._path.format_map(words)
        return await self._database.write(queries.has_folder, account, wanted, apart)

    async def _name(self, account: AccountId) -> str:
        if self._directory is None:
            return ""
        for one in await self._directory.accounts():
            if one.id == account:
                return one.name
        return ""

    def _source(self, key: str) -> Path | None:
        return self.folder / SHELVES / key if digest_in(key) else None


def _make(disk: Disk, folder: Path) -> None:
    """Make a folder, but not those around it; they may be missing because a disk is."""
    if folder.parent.is_dir():
        disk.make_folder(folder)
