"""A store that shows its mailboxes as maildirs, a step at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.task import Clock

from mailplat.files import Disk
from mailplat.interfaces import House
from mailplat.mail.mailbox import INBOX, Wanted
from mailplat.mail.people import AccountId
from mailplat.moving.maildir import KEYWORDS_FILE, read_keywords
from mailplat.plugin import Instance
from mailplat.store.contents.maildir import names
from mailplat.store.contents.maildir.place import Maildirs, MaildirSettings
from mailplat.store.indexed.queries.audit import RULES
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.audit import wrong_in
from mailplat.testing.contracts.accounts import ALICE, octets, records
from mailplat.testing.disk import quick_folder
from mailplat.testing.fakes import FakeBus
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import (
    ChildrenAtOnce,
    CrewAtOnce,
    ReactorAtOnce,
    database_at_once,
)
from mailplat.workers import Workers

MAILDIR = IndexedStoreSettings(contents=Instance("maildir"))


@attrs.define
class Scene:
    """The store, and the folder of Alice's maildir."""

    folder: Path
    place: Any = None
    database: Any = None
    store: Any = None
    bus: Any = attrs.field(factory=FakeBus)
    files: Any = None  # another place of contents

    @property
    def root(self) -> Path:
        return self.folder / "maildir/id/alice"

    async def open_place(self) -> None:
        reactor: Any = ReactorAtOnce()
        workers = Workers(reactor, crew=CrewAtOnce, children=ChildrenAtOnce)
        self.database = database_at_once(self.folder / "mail.db")
        await self.database.open()
        house = House("mail.example.org", self.folder)
        self.place = Maildirs(MaildirSettings(), house, workers, Disk(), self.database)
        await self.place.prepare()

    async def start(self) -> None:
        await self.open_place()
        clock = Clock()
        clock.advance(1_700_000_000)
        self.store = IndexedStore(MAILDIR, self.database, self.bus, clock, clock, self.place)
        await self.store.prepare()

    async def stop(self) -> None:
        if self.store:
            self.store.finish()
        self.place.finish()
        await self.database.close()

    async def agrees(self, who: AccountId = ALICE) -> None:
        """See that the maildir says what the index says, and nothing else."""
        account = await self.store.open(who)
        boxes = await account.mailboxes()
        root = self.root.with_name(who)
        folders = {box.id: names.folder_of(box.name) for box in boxes if box.name != INBOX}
        there = {one.name for one in root.iterdir() if one.name.startswith(".")}
        assert there == set(folders.values())
        for box in boxes:
            contents = await octets(account, box.id)
            expected = await records(account, box.id, wanted=Wanted.FLAGS)
            assert self.files_of(root / folders.get(box.id, "")) == sorted(
                (read, tuple(sorted(record.flags or ())))
                for read, record in zip(contents, expected, strict=True)
            )

    def files_of(self, folder: Path) -> list[tuple[bytes, tuple[str, ...]]]:
        """Return what each file holds, with CRLF, and how it is flagged."""
        keywords = folder / KEYWORDS_FILE
        found = read_keywords(keywords.read_bytes()) if keywords.exists() else {}
        there = names.Lexicon.of(found)
        return sorted(
            (
                path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
                tuple(sorted(there.flags(names.split(path.name)[1]))),
            )
            for part in ("new", "cur")
            for path in (folder / part).iterdir()
        )


@async_yield_fixture
async def empty() -> AsyncIterator[Scene]:
    """A place of contents that no store uses."""
    with quick_folder() as folder:
        scene = Scene(folder)
        await scene.open_place()
        yield scene
        await scene.stop()


@async_yield_fixture
async def scene() -> AsyncIterator[Scene]:
    with quick_folder() as folder:
        scene = Scene(folder)
        await scene.start()
        yield scene
        assert not await scene.database.read(wrong_in, RULES, at_rest=False)
        await scene.stop()
