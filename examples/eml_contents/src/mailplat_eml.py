"""Keeps messages as .eml files, one folder for each account."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import quote

from pydantic import Field
from zope.interface import implementer

from mailplat.files import Disk
from mailplat.interfaces import House, IContentStore
from mailplat.mail.content import Content, whole
from mailplat.mail.errors import NoSuchMessage
from mailplat.mail.people import AccountId
from mailplat.plugin import Component, Settings
from mailplat.workers import Workers

component = Component(
    name="eml",
    provides=IContentStore,
    settings="mailplat_eml.EmlSettings",
    maker="mailplat_eml.EmlFolder",
)

KEY = re.compile(r"[\w.%~-]{1,150}/\d{20}-[0-9a-f]{16}\.eml(\.new)?", re.ASCII)
AT_ONCE = 1000  # keys that a scan returns


class EmlSettings(Settings):
    """Keys of ``[contents.NAME] use = "eml"``."""

    folder: Path = Field(
        Path("eml"), description="Where the files lie; it starts at the state folder."
    )


@implementer(IContentStore)
class EmlFolder:
    """Writes each message under a name that says that it isn't finished, then renames it.

    Names begin with the time, so that they sort as the messages came, and have some
    octets of chance in them, so that none is given twice.
    """

    def __init__(
        self, settings: EmlSettings, house: House, workers: Workers, disk: Disk
    ) -> None:
        self.folder = house.state / settings.folder
        self._disk = disk
        self._ask = workers.run  # it calls what blocks in a thread

    async def prepare(self) -> None:
        """Make the folder; called once, before anything is asked for."""
        await self._ask(self._disk.make_folder, self.folder)

    async def add(self, account: AccountId, content: Content) -> str:
        return await self._ask(self._add, account, await whole(content))

    async def read(self, key: str, start: int, stop: int) -> bytes:
        return await self._ask(self._read, key, start, stop)

    async def remove(self, keys: Collection[str]) -> None:
        await self._ask(self._remove, list(keys))

    async def scan(self, after: str) -> Sequence[str]:
        return await self._ask(self._scan, after)

    # These run in threads.

    def _add(self, account: AccountId, octets: bytes) -> str:
        folder = self.folder / f"~{quote(account, safe='')[:140]}"
        self._disk.make_folder(folder)
        path = folder / f"{time.time_ns():020d}-{os.urandom(8).hex()}.eml"
        unfinished = path.with_name(f"{path.name}.new")
        try:
            with self._disk.create(unfinished) as file:
                self._disk.write(file, octets)
                self._disk.sync(file)
            self._disk.rename(unfinished, path)
            self._disk.sync_folder(folder)
        except BaseException:
            self._disk.unlink(unfinished)
            raise
        return str(path.relative_to(self.folder))

    def _read(self, key: str, start: int, stop: int) -> bytes:
        file = self._disk.open(self.folder / key) if KEY.fullmatch(key) else None
        if file is None:
            raise NoSuchMessage(f"there is no {key!r}")
        with file:
            return self._disk.read(file, max(start, 0), stop)

    def _remove(self, keys: Sequence[str]) -> None:
        for key in filter(KEY.fullmatch, keys):
            self._disk.unlink(self.folder / key)

    def _scan(self, after: str) -> Sequence[str]:
        names = (str(path.relative_to(self.folder)) for path in self.folder.glob("*/*.eml*"))
        return sorted(key for key in names if key > after and KEY.fullmatch(key))[:AT_ONCE]
