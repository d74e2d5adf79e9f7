"""Contents as files, each named for what it holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.files import Disk
from mailplat.interfaces import (
    House,
    IAddressedContents,
    IBatchedContents,
    IContentStore,
    IExaminedContents,
)
from mailplat.mail.content import Content, chunks, whole
from mailplat.mail.errors import InUse, StoreFailed
from mailplat.mail.people import AccountId
from mailplat.plugin import ConfigError, Settings
from mailplat.store.contents.packing import CODECS, FRAME
from mailplat.store.contents.shelves import Shelves, Writing, digest_in
from mailplat.workers import Rounds, Workers


class ContentFilesSettings(Settings):
    """Keys of ``[contents.NAME] use = "files"``."""

    folder: Path = Field(
        Path("contents"),
        description="Where the files lie; a relative path starts at the state folder.",
    )
    compression: Literal["off", "zstd", "gzip"] = Field(
        "off",
        description=(
            "How new files are made smaller; those that are there stay as they are.  "
            "`zstd` is the fastest, and needs the extra of that name."
        ),
    )


@implementer(IContentStore, IAddressedContents, IBatchedContents, IExaminedContents)
class ContentFiles:
    """Keeps each content as a file, named for the SHA-256 of its octets.

    Those of packed files are unpacked by the frame, so that a piece in the middle of a
    large message costs no more than one at its begin.
    """

    log = Logger()

    def __init__(
        self, settings: ContentFilesSettings, house: House, workers: Workers, disk: Disk
    ) -> None:
        codec = CODECS.get(settings.compression)
        if codec is None and settings.compression != "off":
            raise ConfigError(
                f"{settings.compression} needs a library that isn't there: install"
                f" mailplat[{settings.compression}], or choose gzip"
            )
        self.folder = house.state / settings.folder
        self._shelves = Shelves(disk, self.folder, codec)
        self._sync = workers.syncs.ask
        self._ask = workers.files.ask
        self._keeping: Rounds[bytes, str] = Rounds(self._keep_each, at_once=3)

    async def prepare(self) -> None:
        """Make the folder where there is none, but not those around it.

        They may be missing because a disk is.
        """
        try:
            await self._ask(self._shelves.prepare)
        except (StoreFailed, InUse) as problem:
            raise ConfigError(f"contents can't be kept here: {problem}") from problem

    def finish(self) -> None:
        """Let another have the folder."""
        self._shelves.close()

    async def add(self, _account: AccountId, content: Content) -> str:
        if content.size <= FRAME:
            return await self._keeping.ask(await whole(content))
        writing = await self._sync(self._shelves.begin, content.size)
        try:
            async for octets in chunks(content, FRAME):
                await self._sync(self._shelves.add, writing, octets)
            return await self._sync(self._shelves.finish, writing)
        except BaseException:
            self._give_up(writing)
            raise

    async def read(self, key: str, start: int, stop: int) -> bytes:
        return await self._ask(self._shelves.read, key, start, stop)

    async def read_each(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        return await self._ask(self._shelves.read_each, list(keys))

    async def remove(self, keys: Collection[str]) -> None:
        await self._ask(self._shelves.remove, list(keys))

    async def scan(self, after: str) -> Sequence[str]:
        return await self._ask(self._shelves.scan, after)

    def address(self, key: str) -> bytes:
        return digest_in(key) or key.encode()

    async def is_sound(self, key: str) -> bool:
        return await self._ask(self._shelves.is_sound, key)

    async def used(self) -> tuple[int, int]:
        return await self._ask(self._shelves.used)

    def _keep_each(self, contents: Sequence[bytes]) -> Deferred[list[str | Exception]]:
        return self._sync(self._shelves.keep_each, contents)

    def _give_up(self, writing: Writing) -> None:
        left = self._ask(self._shelves.give_up, writing)
        left.addErrback(lambda failure: self.log.failure("left to the next start", failure))
